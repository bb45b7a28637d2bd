/** scatterElements, scatterND, tensorScatter: a copy of data with elements replaced or combined at given places. */

import type { Dim } from '../dim.js';
import { isBig, isInteger } from '../dtype.js';
import { allocateElements, elementsOf, readNumbers, tensorFromNumbers, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';
import { axisOf, copyRun, elementPositions, slicePositions } from './gather.js';
import { combineBigs, combineNumbers } from './reduce.js';
import { rowMajorStrides } from './strided.js';

export const reductions = ['none', 'add', 'mul', 'max', 'min'] as const;
export type Reduction = (typeof reductions)[number];

const monoids = { add: 'sum', mul: 'prod', max: 'max', min: 'min' } as const;

function inferScatter(c: InferContext): Type[] {
  const { dtype, dims } = c.tensor(0);
  if (c.tensor(2).dtype !== dtype) c.fail('data and updates must have the same dtype');
  if (!reductions.includes(c.attributes['reduction'] as Reduction))
    c.fail(`reduction must be one of ${reductions.join(', ')}`);
  return [tensorType(dtype, dims)];
}

function agreeUpdates(c: InferContext, expected: readonly Dim[] | undefined): void {
  const updates = c.tensor(2).dims;
  if (!expected || updates?.length !== expected.length) return;
  expected.forEach((d, i) => c.agree(d, updates[i]!, `extents of axis ${String(i)} of the updates and their places`));
}

/** Puts runs of `length` updates at `starts`. Where places repeat, the updates apply in order. */
function scatterRuns(c: EvaluateContext, starts: Int32Array, length: number): Tensor {
  const data = c.tensor(0);
  const updates = c.tensor(2);
  const reduction = c.attributes['reduction'] as Reduction;
  if (updates.size !== starts.length * length)
    c.fail(`indices name ${String(starts.length * length)} elements, updates have ${String(updates.size)}`);
  if (reduction === 'none') {
    const out = copyOf(data);
    const from = elementsOf(updates);
    starts.forEach((at, i) => {
      copyRun(from, i * length, out, at, length);
    });
    return tensorOf(data.dtype, out, data.dims);
  }
  if (isBig(data.dtype)) {
    const out = copyOf(data) as BigInt64Array;
    combine(out, updates.data as BigInt64Array, starts, length, combineBigs(monoids[reduction]));
    return tensorOf(data.dtype, out, data.dims);
  }
  const out = Float64Array.from(readNumbers(data));
  combine(out, readNumbers(updates), starts, length, combineNumbers(monoids[reduction], isInteger(data.dtype)));
  return tensorFromNumbers(data.dtype, out, data.dims);
}

function copyOf(tensor: Tensor): ReturnType<typeof allocateElements> {
  const out = allocateElements(tensor.dtype, tensor.size);
  copyRun(elementsOf(tensor), 0, out, 0, tensor.size);
  return out;
}

function combine<T>(
  out: { [i: number]: T },
  updates: ArrayLike<T>,
  starts: Int32Array,
  length: number,
  reduce: (a: T, b: T) => T,
): void {
  starts.forEach((at, i) => {
    for (let k = 0; k < length; k++) out[at + k] = reduce(out[at + k]!, updates[i * length + k]!);
  });
}

function evaluateTensorScatter(c: EvaluateContext): Tensor[] {
  const cache = c.tensor(0);
  const update = c.tensor(1);
  const { dims } = cache;
  const axis = axisOf(c, dims.length);
  const capacity = dims[axis]!;
  const count = update.dims[axis]!;
  const begins = c.has(2) ? c.integers(2) : new Array<number>(dims[0]!).fill(0);
  const circular = c.attributes['mode'] === 'circular';
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const perBatch = rowMajorStrides(dims.slice(0, axis))[0]!;
  const from = elementsOf(update);
  const out = copyOf(cache);
  for (let o = 0; o < outer; o++) {
    const begin = begins[Math.floor(o / perBatch)]!;
    for (let s = 0; s < count; s++) {
      const at = circular ? (begin + s) % capacity : begin + s;
      if (at < 0 || at >= capacity)
        c.fail(`write index ${String(begin)} with ${String(count)} positions exceeds the cache of ${String(capacity)}`);
      copyRun(from, (o * count + s) * inner, out, (o * capacity + at) * inner, inner);
    }
  }
  return [tensorOf(cache.dtype, out, dims)];
}

export const scatterOperators: readonly Operator[] = [
  registerOperator({
    name: 'scatterElements',
    kind: 'opaque',
    inputs: ['data', 'indices', 'updates'],
    attributes: { axis: 0, reduction: 'none' },
    infer: (c) => {
      if (c.tensor(0).dims) axisOf(c, c.dims(0).length);
      agreeUpdates(c, c.tensor(1).dims);
      return inferScatter(c);
    },
    evaluate: (c) => {
      const { dims } = c.tensor(0);
      return [
        scatterRuns(
          c,
          elementPositions(dims, c.integers(1), c.tensor(1).dims, axisOf(c, dims.length), (m) => c.fail(m)),
          1,
        ),
      ];
    },
  }),
  registerOperator({
    name: 'scatterND',
    kind: 'opaque',
    inputs: ['data', 'indices', 'updates'],
    attributes: { reduction: 'none' },
    infer: (c) => {
      const { dims } = c.tensor(0);
      const indices = c.tensor(1).dims;
      const depth = indices?.at(-1);
      if (dims && indices && typeof depth === 'number')
        agreeUpdates(c, [...indices.slice(0, -1), ...dims.slice(depth)]);
      return inferScatter(c);
    },
    evaluate: (c) => {
      const { starts, length } = slicePositions(c, c.tensor(0).dims, c.tensor(1), c.integers(1), 0);
      return [scatterRuns(c, starts, length)];
    },
  }),
  /** A cache with new positions written along `axis`, from writeIndices[batch] on. */
  registerOperator({
    name: 'tensorScatter',
    kind: 'opaque',
    inputs: ['pastCache', 'update', 'writeIndices?'],
    attributes: { axis: -2, mode: 'linear' },
    infer: (c) => {
      const { dtype, dims } = c.tensor(0);
      if (dims && axisOf(c, dims.length) === 0) c.fail('axis must not be the batch axis');
      return [tensorType(dtype, dims)];
    },
    evaluate: evaluateTensorScatter,
  }),
];
