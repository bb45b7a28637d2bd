/**
 * Just enough of protobuf's wire format to look into an ONNX file and to append to its messages without decoding the
 * weights: fields are views into the file.
 */

import { TensorwrightError } from '@tensorwright/core';

export interface Field {
  readonly number: number;
  /** Of a varint, as far as it fits. */
  readonly integer: number;
  /** Of a length-delimited field. */
  readonly bytes: Uint8Array | undefined;
  /** The whole field, with its tag. */
  readonly begin: number;
  readonly end: number;
}

const bytesOfFixed: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** @throws ERR_INVALID_MODEL for bytes that are no message */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const fail = (): never => {
    throw new TensorwrightError(
      'ERR_INVALID_MODEL',
      `the file is no valid protobuf message (byte ${at} of ${message.length})`,
    );
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? fail();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      if (scale > 2 ** 63) fail();
    }
  };
  while (at < message.length) {
    const begin = at;
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    let integer = 0;
    let bytes: Uint8Array | undefined;
    if (wireType === 0) {
      integer = varint();
    } else if (wireType === 2) {
      const length = varint();
      if (at + length > message.length) fail();
      bytes = message.subarray(at, at + length);
      at += length;
    } else {
      at += bytesOfFixed[wireType] ?? fail();
      if (at > message.length) fail();
    }
    yield { number, integer, bytes, begin, end: at };
  }
}

export function textOf(field: Field): string {
  return new TextDecoder().decode(field.bytes);
}

/** A length-delimited field: its tag and length, then its contents. */
export function delimited(number: number, ...contents: readonly Uint8Array[]): Uint8Array[] {
  const length = contents.reduce((sum, c) => sum + c.length, 0);
  return [Uint8Array.from([...encodeVarint(number * 8 + 2), ...encodeVarint(length)]), ...contents];
}

function encodeVarint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...out, rest];
}
