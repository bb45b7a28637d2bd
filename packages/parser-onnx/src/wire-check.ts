/** Counts nodes and typed elements on the wire, before a byte of them becomes an object: a small file must not decode into a huge one. */

import { TensorwrightError } from '@tensorwright/core';

interface Shape {
  /** Messages inside, by field number. */
  readonly fields: Readonly<Record<number, () => Shape>>;
  /** Fields of plain elements: how much memory one takes once decoded, in units of 8 bytes. */
  readonly elements: Readonly<Record<number, number>>;
}

/** protobufjs makes an object of every 64-bit integer and of every byte string. */
const integer64 = 4;
const byteString = 16;

const tensor: Shape = {
  fields: {},
  elements: { 1: integer64, 4: 1, 5: 1, 6: byteString, 7: integer64, 10: 1, 11: integer64 },
};
const sparse: Shape = { fields: { 1: () => tensor, 2: () => tensor }, elements: { 3: integer64 } };
const leaf: Shape = { fields: {}, elements: {} };
const graph: Shape = {
  fields: { 1: () => node, 5: () => tensor, 11: () => leaf, 12: () => leaf, 13: () => leaf, 15: () => sparse },
  elements: {},
};
const node: Shape = { fields: { 5: () => attribute }, elements: { 1: 1, 2: 1 } };
const attribute: Shape = {
  fields: { 5: () => tensor, 6: () => graph, 10: () => tensor, 11: () => graph, 22: () => sparse, 23: () => sparse },
  elements: { 7: 1, 8: integer64, 9: byteString },
};
const fn: Shape = { fields: { 7: () => node, 11: () => attribute, 12: () => leaf }, elements: { 4: 1, 5: 1, 6: 1 } };
const model: Shape = { fields: { 7: () => graph, 8: () => leaf, 14: () => leaf, 25: () => fn }, elements: {} };

/** Small messages (attributes, value infos, constants) that go with each node in ordinary models. */
const messagesPerNode = 32;

export interface WireLimits {
  readonly maxNodes: number;
  readonly maxTypedElements: number;
}

/** @throws ERR_LIMIT_EXCEEDED for more nodes or elements than allowed, or far more small messages than the nodes explain */
export function checkWireSize(bytes: Uint8Array, limits: WireLimits, what: string): void {
  let nodes = 0;
  let messages = 0;
  let units = 0;
  let at = 0;
  const stack: { shape: Shape; end: number }[] = [{ shape: model, end: bytes.length }];
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70 && at < bytes.length; shift += 7) {
      const b = bytes[at++]!;
      if (shift < 49) value += (b & 127) * 2 ** shift;
      if (b < 128) return value;
    }
    return NaN;
  };
  /** Elements of a packed field: floats by their width, integers by the bytes that end one. */
  const packed = (shape: Shape, field: number, length: number): number => {
    if (shape === tensor && field === 6) return 1;
    if (shape === tensor && (field === 4 || field === 10)) return length / (field === 4 ? 4 : 8);
    if (shape === attribute && field === 7) return length / 4;
    if (shape !== tensor && shape !== sparse && !(shape === attribute && field === 8)) return 1;
    let count = 0;
    for (let i = at; i < at + length; i++) if (bytes[i]! < 128) count++;
    return count;
  };
  const check = (): void => {
    const exceeded = (option: keyof WireLimits, thing: string): TensorwrightError =>
      new TensorwrightError(
        'ERR_LIMIT_EXCEEDED',
        `${what}: the model has more than ${limits[option]} ${thing} (option ${option})`,
        {
          option,
          limit: limits[option],
        },
      );
    if (nodes > limits.maxNodes || messages > limits.maxNodes * messagesPerNode) throw exceeded('maxNodes', 'nodes');
    if (units > limits.maxTypedElements) throw exceeded('maxTypedElements', 'elements outside of raw data');
  };
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    if (at >= top.end) {
      stack.pop();
      continue;
    }
    const tag = varint();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    const weight = top.shape.elements[field] ?? 0;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    if (wire !== 2) {
      if (wire !== 0 && wire !== 1 && wire !== 5) return;
      units += weight;
    } else {
      const length = varint();
      // Malformed lengths are left for the decoder to report.
      if (!(at + length <= top.end)) return;
      const inner = top.shape.fields[field]?.();
      if (inner === undefined) {
        if (weight > 0) units += weight * packed(top.shape, field, length);
        at += length;
      } else {
        if (inner === node) nodes++;
        if (inner !== graph) messages++;
        stack.push({ shape: inner, end: at + length });
      }
    }
    check();
  }
}
