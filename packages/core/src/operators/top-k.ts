/** topK: the k largest or smallest elements along an axis, best first, equal ones by index. */

import { minDims } from '../dim.js';
import { allocateElements, elementsOf, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { axisOf } from './gather.js';
import { comparableElements } from './selection.js';
import { type Movable } from './strided.js';

function inferTopK(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype, dims } = c.tensor(0);
  if (dims === undefined) return [tensorType(dtype, undefined), tensorType('int64', undefined)];
  const axis = axisOf(c, dims.length);
  const extent = dims[axis]!;
  const k = c.fact(1)?.[0];
  if (typeof k === 'number' && typeof extent === 'number' && k > extent)
    c.fail(`k is ${String(k)}, the axis has ${String(extent)} elements`);
  if (k !== undefined) c.agree(k, minDims(k, extent), `k and the elements along axis ${String(axis)}, up to k,`);
  const bound = typeof extent === 'number' ? { max: extent } : {};
  const count = k ?? c.fresh('k', bound);
  const out = dims.map((d, i) => (i === axis ? count : d));
  return [tensorType(dtype, out), tensorType('int64', out)];
}

function evaluateTopK(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const axis = axisOf(c, x.dims.length);
  const extent = x.dims[axis]!;
  const k = c.integers(1)[0] ?? c.fail('k must have one element');
  if (k < 0 || k > extent) c.fail(`k is ${String(k)}, the axis has ${String(extent)} elements`);
  const outer = elementCount(x.dims.slice(0, axis));
  const inner = elementCount(x.dims.slice(axis + 1));
  const values = comparableElements(x);
  const from = elementsOf(x) as Movable;
  const dims = x.dims.map((d, i) => (i === axis ? k : d));
  const out = allocateElements(x.dtype, outer * k * inner);
  const indices = new BigInt64Array(outer * k * inner);
  const sign = c.attributes['largest'] === true ? -1 : 1;
  const order = new Int32Array(extent);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (j: number): number => (o * extent + j) * inner + i;
      for (let j = 0; j < extent; j++) order[j] = j;
      order.sort((a, b) => {
        const u = values[at(a)]!;
        const v = values[at(b)]!;
        if (u < v) return -sign;
        if (u > v) return sign;
        // NaN counts as the largest number.
        const nanU = u !== u;
        if (nanU !== (v !== v)) return nanU ? sign : -sign;
        return a - b;
      });
      for (let j = 0; j < k; j++) {
        const to = (o * k + j) * inner + i;
        (out as Movable)[to] = from[at(order[j]!)];
        indices[to] = BigInt(order[j]!);
      }
    }
  }
  return [tensorOf(x.dtype, out, dims), new Tensor('int64', indices, dims)];
}

export const topK: Operator = registerOperator({
  name: 'topK',
  kind: 'opaque',
  inputs: ['x', 'k'],
  outputs: ['values', 'indices'],
  attributes: { axis: -1, largest: true, sorted: true },
  infer: inferTopK,
  evaluate: evaluateTopK,
});
