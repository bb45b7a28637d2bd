/** gather, gatherElements, gatherND: elements picked by indices that are data. */

import type { Dim } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';
import { type Movable, rowMajorStrides } from './strided.js';

/** A normalised axis attribute. */
export function axisOf(
  c: { attributes: InferContext['attributes']; fail(message: string): never },
  rank: number,
  name = 'axis',
): number {
  const axis = c.attributes[name] as number;
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank)
    c.fail(`${name} ${String(axis)} lies outside rank ${String(rank)}`);
  return normal;
}

/** Copies `count` consecutive elements. */
export function copyRun(from: Movable, at: number, to: Movable, toAt: number, count: number): void {
  if (count >= 16 && ArrayBuffer.isView(from) && ArrayBuffer.isView(to)) {
    (to as unknown as Uint8Array).set((from as unknown as Uint8Array).subarray(at, at + count), toAt);
  } else {
    for (let k = 0; k < count; k++) to[toAt + k] = from[at + k];
  }
}

/** An index counted from the end when negative, checked against the extent. */
export function wrapIndex(index: number, extent: number, fail: (message: string) => never): number {
  const at = index < 0 ? index + extent : index;
  if (at < 0 || at >= extent) fail(`index ${String(index)} lies outside an axis of ${String(extent)} elements`);
  return at;
}

function gatherInto(
  from: Movable,
  dims: readonly number[],
  indices: readonly number[],
  axis: number,
  to: Movable,
  fail: (message: string) => never,
): void {
  const outer = elementCount(dims.slice(0, axis));
  const extent = dims[axis]!;
  const inner = elementCount(dims.slice(axis + 1));
  const at = indices.map((i) => wrapIndex(i, extent, fail));
  for (let o = 0, p = 0; o < outer; o++) {
    for (const i of at) {
      copyRun(from, (o * extent + i) * inner, to, p, inner);
      p += inner;
    }
  }
}

function numbers(dims: readonly Dim[] | undefined): number[] | undefined {
  return dims?.every((d) => typeof d === 'number') === true ? (dims as number[]) : undefined;
}

const gather = registerOperator({
  name: 'gather',
  kind: 'opaque',
  inputs: ['data', 'indices'],
  attributes: { axis: 0 },
  infer: (c) => {
    const { dtype, dims } = c.tensor(0);
    const indices = c.tensor(1).dims;
    if (dims === undefined || indices === undefined) return [tensorType(dtype, undefined)];
    const axis = axisOf(c, dims.length);
    return [tensorType(dtype, [...dims.slice(0, axis), ...indices, ...dims.slice(axis + 1)])];
  },
  facts: (c) => {
    const data = c.fact(0);
    const indices = numbers(c.fact(1));
    const dims = numbers(c.tensor(0).dims);
    if (!data || !indices || !dims) return [undefined];
    const out: Dim[] = [];
    gatherInto(data, dims, indices, axisOf(c, dims.length), out, (m) => c.fail(m));
    return [out];
  },
  evaluate: (c) => {
    const data = c.tensor(0);
    const axis = axisOf(c, data.dims.length);
    const dims = [...data.dims.slice(0, axis), ...c.tensor(1).dims, ...data.dims.slice(axis + 1)];
    const out = allocateElements(data.dtype, elementCount(dims));
    gatherInto(elementsOf(data), data.dims, c.integers(1), axis, out, (m) => c.fail(m));
    return [tensorOf(data.dtype, out, dims)];
  },
});

/** The flat positions in data that the elements of `indices` name: all coordinates their own, that of `axis` the index. */
export function elementPositions(
  dims: readonly number[],
  indices: readonly number[],
  indexDims: readonly number[],
  axis: number,
  fail: (message: string) => never,
): Int32Array {
  const strides = rowMajorStrides(dims);
  const indexStrides = rowMajorStrides(indexDims);
  const out = new Int32Array(indices.length);
  for (let i = 0; i < out.length; i++) {
    let at = 0;
    for (let a = 0; a < dims.length; a++) {
      const coordinate =
        a === axis ? wrapIndex(indices[i]!, dims[a]!, fail) : Math.floor(i / indexStrides[a]!) % indexDims[a]!;
      at += coordinate * strides[a]!;
    }
    out[i] = at;
  }
  return out;
}

function checkElementIndices(c: InferContext): readonly Dim[] | undefined {
  const data = c.tensor(0).dims;
  const indices = c.tensor(1).dims;
  if (data && indices && data.length !== indices.length) c.fail('data and indices must have the same rank');
  if (data) axisOf(c, data.length);
  return indices;
}

const gatherElements = registerOperator({
  name: 'gatherElements',
  kind: 'opaque',
  inputs: ['data', 'indices'],
  attributes: { axis: 0 },
  infer: (c) => [tensorType(c.tensor(0).dtype, checkElementIndices(c))],
  evaluate: (c) => {
    const data = c.tensor(0);
    const dims = c.tensor(1).dims;
    const from = elementsOf(data) as Movable;
    const out = allocateElements(data.dtype, elementCount(dims));
    const positions = elementPositions(data.dims, c.integers(1), dims, axisOf(c, data.dims.length), (m) => c.fail(m));
    positions.forEach((at, i) => ((out as Movable)[i] = from[at]));
    return [tensorOf(data.dtype, out, dims)];
  },
});

/** Where the slices that index tuples name begin in data, and how long they are. */
export function slicePositions(
  c: EvaluateContext,
  dims: readonly number[],
  indices: Tensor,
  tuples: readonly number[],
  batchDims: number,
): { starts: Int32Array; length: number } {
  const depth = indices.dims.at(-1) ?? c.fail('indices must have rank 1 or more');
  if (batchDims + depth > dims.length) c.fail(`index tuples of ${String(depth)} elements exceed the rank of data`);
  const strides = rowMajorStrides(dims);
  const count = elementCount(indices.dims.slice(0, -1));
  const batches = elementCount(indices.dims.slice(0, batchDims));
  const perBatch = batches === 0 ? 0 : count / batches;
  const batchSize = elementCount(dims.slice(batchDims));
  const starts = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    let at = batchDims === 0 ? 0 : Math.floor(i / perBatch) * batchSize;
    for (let k = 0; k < depth; k++) {
      const axis = batchDims + k;
      at += wrapIndex(tuples[i * depth + k]!, dims[axis]!, (m) => c.fail(m)) * strides[axis]!;
    }
    starts[i] = at;
  }
  return { starts, length: elementCount(dims.slice(batchDims + depth)) };
}

const gatherND = registerOperator({
  name: 'gatherND',
  kind: 'opaque',
  inputs: ['data', 'indices'],
  attributes: { batchDims: 0 },
  infer: (c): Type[] => {
    const { dtype, dims } = c.tensor(0);
    const indices = c.tensor(1).dims;
    const depth = indices?.at(-1);
    if (dims === undefined || indices === undefined || typeof depth !== 'number') return [tensorType(dtype, undefined)];
    const batchDims = c.attributes['batchDims'] as number;
    if (batchDims + depth > dims.length) c.fail(`index tuples of ${String(depth)} elements exceed the rank of data`);
    return [tensorType(dtype, [...indices.slice(0, -1), ...dims.slice(batchDims + depth)])];
  },
  facts: (c) => {
    const data = c.fact(0);
    const tuples = numbers(c.fact(1));
    const dims = numbers(c.tensor(0).dims);
    const indexDims = numbers(c.tensor(1).dims);
    if (!data || !tuples || !dims || indexDims?.at(-1) !== dims.length || c.attributes['batchDims'] !== 0)
      return [undefined];
    const strides = rowMajorStrides(dims);
    const count = elementCount(indexDims.slice(0, -1));
    return [
      Array.from({ length: count }, (_, i) => {
        const at = dims.reduce(
          (sum, d, k) => sum + wrapIndex(tuples[i * dims.length + k]!, d, (m) => c.fail(m)) * strides[k]!,
          0,
        );
        return data[at]!;
      }),
    ];
  },
  evaluate: (c) => {
    const data = c.tensor(0);
    const indices = c.tensor(1);
    const batchDims = c.attributes['batchDims'] as number;
    const { starts, length } = slicePositions(c, data.dims, indices, c.integers(1), batchDims);
    const dims = [...indices.dims.slice(0, -1), ...data.dims.slice(batchDims + indices.dims.at(-1)!)];
    const from = elementsOf(data);
    const out = allocateElements(data.dtype, elementCount(dims));
    starts.forEach((at, i) => {
      copyRun(from, at, out, i * length, length);
    });
    return [tensorOf(data.dtype, out, dims)];
  },
});

export const gatherOperators: readonly Operator[] = [gather, gatherElements, gatherND];
