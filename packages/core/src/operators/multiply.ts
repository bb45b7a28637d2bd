/**
 * The matrix product behind dot, conv and attention evaluation: C[m, n] = Σ A[am[m] + ak[k]] · B[bn[n] + bk[k]].
 * Operands are addressed by offset tables, so that transposes, batches and sliding windows need no copies of their
 * own: tiles are packed into dense doubles and multiplied there. Sums are exact doubles, rounded once by the caller.
 */

import { readNumbers } from '../elements.js';
import type { Tensor } from '../tensor.js';

/** Offsets of one index of an operand, in elements. */
export type Offsets = Int32Array;

export type NumberArray =
  Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

const blockK = 256;
const blockN = 256;

export interface Operand {
  readonly data: NumberArray;
  /** Added to every address. */
  readonly base: number;
  /** Offset of each row (A) or column (B). */
  readonly outer: Offsets;
  /** Offset of each contracted index. */
  readonly inner: Offsets;
}

/** Adds A·B to the dense row-major `c`, rows × columns. */
export function multiplyInto(c: Float64Array, a: Operand, b: Operand): void {
  const rows = a.outer.length;
  const columns = b.outer.length;
  const depth = a.inner.length;
  if (rows === 0 || columns === 0 || depth === 0) return;
  const panelB = new Float64Array(Math.min(blockK, depth) * roundUp(Math.min(blockN, columns), 4));
  const panelA = new Float64Array(Math.min(blockK, depth) * 4);
  for (let k0 = 0; k0 < depth; k0 += blockK) {
    const kSize = Math.min(blockK, depth - k0);
    for (let n0 = 0; n0 < columns; n0 += blockN) {
      const nSize = Math.min(blockN, columns - n0);
      for (let n = 0; n < nSize; n += 4) pack(panelB, n * kSize, b, n0 + n, Math.min(4, nSize - n), k0, kSize);
      for (let m = 0; m < rows; m += 4) {
        const height = Math.min(4, rows - m);
        pack(panelA, 0, a, m, height, k0, kSize);
        for (let n = 0; n < nSize; n += 4) {
          const width = Math.min(4, nSize - n);
          const at = m * columns + n0 + n;
          if (height === 1) multiplyRow(c, at, width, panelA, panelB, n * kSize, kSize);
          else multiplyTile(c, at, columns, height, width, panelA, panelB, n * kSize, kSize);
        }
      }
    }
  }
}

function roundUp(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}

/** Four outer indices side by side for every k; absent ones are zero. */
function pack(
  to: Float64Array,
  at: number,
  from: Operand,
  outer: number,
  count: number,
  k0: number,
  kSize: number,
): void {
  const { data, inner } = from;
  if (count < 4) to.fill(0, at, at + 4 * kSize);
  for (let j = 0; j < count; j++) {
    const base = from.base + from.outer[outer + j]!;
    for (let k = 0, p = at + j; k < kSize; k++, p += 4) to[p] = data[base + inner[k0 + k]!]!;
  }
}

function multiplyRow(
  c: Float64Array,
  at: number,
  width: number,
  a: Float64Array,
  b: Float64Array,
  bAt: number,
  depth: number,
): void {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let k = 0, p = bAt; k < depth; k++, p += 4) {
    const x = a[k * 4]!;
    s0 += x * b[p]!;
    s1 += x * b[p + 1]!;
    s2 += x * b[p + 2]!;
    s3 += x * b[p + 3]!;
  }
  c[at] = c[at]! + s0;
  if (width > 1) c[at + 1] = c[at + 1]! + s1;
  if (width > 2) c[at + 2] = c[at + 2]! + s2;
  if (width > 3) c[at + 3] = c[at + 3]! + s3;
}

const tile = new Float64Array(16);

function multiplyTile(
  c: Float64Array,
  at: number,
  columns: number,
  height: number,
  width: number,
  a: Float64Array,
  b: Float64Array,
  bAt: number,
  depth: number,
): void {
  // prettier-ignore
  let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  // prettier-ignore
  let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  for (let k = 0, q = 0, p = bAt; k < depth; k++, q += 4, p += 4) {
    const b0 = b[p]!;
    const b1 = b[p + 1]!;
    const b2 = b[p + 2]!;
    const b3 = b[p + 3]!;
    let x = a[q]!;
    s00 += x * b0;
    s01 += x * b1;
    s02 += x * b2;
    s03 += x * b3;
    x = a[q + 1]!;
    s10 += x * b0;
    s11 += x * b1;
    s12 += x * b2;
    s13 += x * b3;
    x = a[q + 2]!;
    s20 += x * b0;
    s21 += x * b1;
    s22 += x * b2;
    s23 += x * b3;
    x = a[q + 3]!;
    s30 += x * b0;
    s31 += x * b1;
    s32 += x * b2;
    s33 += x * b3;
  }
  tile[0] = s00;
  tile[1] = s01;
  tile[2] = s02;
  tile[3] = s03;
  tile[4] = s10;
  tile[5] = s11;
  tile[6] = s12;
  tile[7] = s13;
  tile[8] = s20;
  tile[9] = s21;
  tile[10] = s22;
  tile[11] = s23;
  tile[12] = s30;
  tile[13] = s31;
  tile[14] = s32;
  tile[15] = s33;
  for (let i = 0; i < height; i++) {
    const row = at + i * columns;
    for (let j = 0; j < width; j++) c[row + j] = c[row + j]! + tile[i * 4 + j]!;
  }
}

/** The same product modulo 2^32: for int32 and uint32 operands, whose products exceed a double's exact range. */
export function multiplyInt32(a: Operand, b: Operand): Int32Array {
  const columns = b.outer.length;
  const c = new Int32Array(a.outer.length * columns);
  a.outer.forEach((aRow, m) => {
    b.outer.forEach((bColumn, n) => {
      let sum = 0;
      for (let k = 0; k < a.inner.length; k++) {
        sum = (sum + Math.imul(a.data[a.base + aRow + a.inner[k]!]!, b.data[b.base + bColumn + b.inner[k]!]!)) | 0;
      }
      c[m * columns + n] = sum;
    });
  });
  return c;
}

/** Whether sums of `depth` products stay exact in double arithmetic. */
export function isExactInDouble(a: NumberArray, b: NumberArray, depth: number): boolean {
  return largest(a) * largest(b) * depth < 2 ** 53;
}

function largest(data: NumberArray): number {
  let most = 0;
  for (let i = 0; i < data.length; i++) most = Math.max(most, Math.abs(data[i]!));
  return most;
}

/** Offsets of all index tuples of `dims` (row-major order) under `strides`. */
export function offsetsOf(dims: readonly number[], strides: readonly number[]): Int32Array {
  let offsets = new Int32Array(1);
  dims.forEach((extent, axis) => {
    const next = new Int32Array(offsets.length * extent);
    const stride = strides[axis]!;
    for (let i = 0, p = 0; i < offsets.length; i++) {
      for (let j = 0; j < extent; j++) next[p++] = offsets[i]! + j * stride;
    }
    offsets = next;
  });
  return offsets;
}

/** The elements as numbers, in place where storage allows; not for 64-bit integers. */
export function numbersOf(tensor: Tensor): NumberArray {
  switch (tensor.dtype) {
    case 'float32':
    case 'float64':
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'bool':
      return tensor.data as NumberArray;
    default:
      return readNumbers(tensor);
  }
}
