/** Protobuf messages from bytes, and the conversions of protobufjs's 64-bit integers. */

import { TensorwrightError } from '@tensorwright/core';
import protobuf from 'protobufjs/minimal.js';
import { onnx } from './generated/onnx.js';

export { onnx };

export type ModelProto = onnx.ModelProto;
export type GraphProto = onnx.GraphProto.$Properties;
export type NodeProto = onnx.NodeProto.$Properties;
export type AttributeProto = onnx.AttributeProto.$Properties;
export type TensorProto = onnx.TensorProto.$Properties;
export type SparseTensorProto = onnx.SparseTensorProto.$Properties;
export type TypeProto = onnx.TypeProto.$Properties;
export type ValueInfoProto = onnx.ValueInfoProto.$Properties;
export type FunctionProto = onnx.FunctionProto.$Properties;

/** What protobufjs makes of 64-bit integers: an object of two 32-bit halves, or a number. */
export type Int64 = number | { readonly low: number; readonly high: number; readonly unsigned: boolean };

/** Exact below 2^53; beyond, the nearest double, which every check of ours then refuses. */
export function toNumber(value: Int64 | null | undefined): number {
  if (typeof value === 'number') return value;
  if (!value) return 0;
  const high = value.unsigned ? value.high >>> 0 : value.high;
  return high * 2 ** 32 + (value.low >>> 0);
}

export function toBigInt(value: Int64): bigint {
  if (typeof value === 'number') return BigInt(value);
  const bits = (BigInt(value.high >>> 0) << 32n) | BigInt(value.low >>> 0);
  return value.unsigned ? bits : BigInt.asIntN(64, bits);
}

export function toInt64(value: number | bigint): Int64 {
  const bits = BigInt.asUintN(64, BigInt(value));
  return { low: Number(BigInt.asIntN(32, bits)), high: Number(BigInt.asIntN(32, bits >> 32n)), unsigned: false };
}

interface Message<T> {
  decode(reader: protobuf.Reader, length?: number, end?: number, depth?: number, target?: T): T;
}

/**
 * Decodes one message. Nesting is bounded: `depth` messages inside one another. With `into`, adds to that message: the
 * pieces of a message merge like the whole.
 * @throws ERR_INVALID_MODEL for bytes that are no such message, ERR_LIMIT_EXCEEDED for deeper nesting
 */
export function decodeMessage<T>(message: Message<T>, bytes: Uint8Array, what: string, depth = 100, into?: T): T {
  try {
    // protobufjs counts upwards to one limit for the whole process; starting lower or higher makes it ours.
    const limit = (protobuf.Reader as unknown as { recursionLimit?: number }).recursionLimit ?? 100;
    return message.decode(protobuf.Reader.create(bytes), undefined, undefined, limit - depth, into);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (reason === 'max depth exceeded') {
      throw new TensorwrightError(
        'ERR_LIMIT_EXCEEDED',
        `${what}: its subgraphs or types nest too deep (option maxDepth)`,
        { option: 'maxDepth' },
        { cause },
      );
    }
    throw new TensorwrightError(
      'ERR_INVALID_MODEL',
      `${what}: the bytes are no valid protobuf message (${reason})`,
      { what },
      { cause },
    );
  }
}

const utf8 = new TextDecoder('utf-8');

export function text(bytes: Uint8Array | string | null | undefined): string {
  if (typeof bytes === 'string') return bytes;
  return bytes ? utf8.decode(bytes) : '';
}
