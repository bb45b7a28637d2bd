/** Models decoded in slices: a graph is a message of many small ones. */

import type { Steps } from '@tensorwright/core';
import { decodeMessage, type ModelProto, onnx } from './decode.js';

const graphField = 7;
/** Bytes of a graph decoded between two yields: a few milliseconds before the decoder is compiled. */
const sliceBytes = 1 << 15;

interface Field {
  readonly number: number;
  readonly begin: number;
  /** Of the payload, for fields that have a length. */
  readonly content: number | undefined;
  readonly end: number;
}

/** `decodeMessage` of a model. @throws as that does */
export function* decodeModel(
  bytes: Uint8Array,
  what: string,
  depth: number,
  slice: number = sliceBytes,
): Steps<ModelProto> {
  const fields = fieldsOf(bytes, 0, bytes.length);
  const graphs = fields?.filter((f) => f.number === graphField);
  const inside = graphs?.[0]?.content;
  // Anything unusual is left to the decoder, which knows how to say what is wrong.
  if (!fields || graphs?.length !== 1 || inside === undefined)
    return decodeMessage(onnx.ModelProto, bytes, what, depth);
  const parts = fieldsOf(bytes, inside, graphs[0]!.end);
  if (!parts) return decodeMessage(onnx.ModelProto, bytes, what, depth);
  const others = fields.filter((f) => f.number !== graphField).map((f) => bytes.subarray(f.begin, f.end));
  const model = decodeMessage(onnx.ModelProto, Buffer.concat(others), what, depth);
  const graph = new onnx.GraphProto();
  for (let i = 0; i < parts.length;) {
    const begin = parts[i]!.begin;
    while (i < parts.length && parts[i]!.end - begin < slice) i++;
    const end = parts[Math.min(i++, parts.length - 1)]!.end;
    decodeMessage(onnx.GraphProto, bytes.subarray(begin, end), what, depth - 1, graph);
    yield;
  }
  return Object.assign(model, { graph });
}

/** The fields of a message, one after the other; undefined where the bytes are none. */
function fieldsOf(bytes: Uint8Array, begin: number, end: number): Field[] | undefined {
  const fields: Field[] = [];
  let at = begin;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70 && at < end; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    return NaN;
  };
  while (at < end) {
    const start = at;
    const tag = varint();
    let content: number | undefined;
    switch (tag % 8) {
      case 0:
        if (Number.isNaN(varint())) return undefined;
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        content = at;
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return undefined;
    }
    if (!(at <= end)) return undefined;
    fields.push({ number: Math.floor(tag / 8), begin: start, content, end: at });
  }
  return fields;
}
