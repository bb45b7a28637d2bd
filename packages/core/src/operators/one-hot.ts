/** oneHot and reverseSequence. */

import { allocateElements, elementsOf, readNumbers, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { copyRun } from './gather.js';
import { type Movable } from './strided.js';

/** The axis among the output's rank + 1. */
function insertedAxis(c: InferContext | EvaluateContext, rank: number): number {
  const axis = c.attributes['axis'] as number;
  const normal = axis < 0 ? axis + rank + 1 : axis;
  if (normal < 0 || normal > rank) c.fail(`axis ${String(axis)} lies outside rank ${String(rank + 1)}`);
  return normal;
}

function inferOneHot(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype } = c.tensor(2);
  const { dims } = c.tensor(0);
  if (dims === undefined) return [tensorType(dtype, undefined)];
  const constant = c.constant(1);
  const depth =
    c.fact(1)?.[0] ?? (constant ? Math.trunc(readNumbers(constant.tensor)[0]!) : undefined) ?? c.fresh('depth');
  return [tensorType(dtype, dims.toSpliced(insertedAxis(c, dims.length), 0, depth))];
}

function evaluateOneHot(c: EvaluateContext): Tensor[] {
  const indices = readNumbers(c.tensor(0));
  const { dims } = c.tensor(0);
  const depth = Math.trunc(readNumbers(c.tensor(1))[0]!);
  const values = c.tensor(2);
  const [off, on] = Array.from(elementsOf(values) as ArrayLike<unknown>);
  const axis = insertedAxis(c, dims.length);
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis));
  const out = allocateElements(values.dtype, outer * depth * inner) as Movable;
  for (let i = 0; i < outer * depth * inner; i++) out[i] = off;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const index = Math.trunc(indices[o * inner + i]!);
      const hot = index < 0 ? index + depth : index;
      if (hot >= 0 && hot < depth) out[(o * depth + hot) * inner + i] = on;
    }
  }
  return [tensorOf(values.dtype, out as Float32Array, dims.toSpliced(axis, 0, depth))];
}

function evaluateReverseSequence(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const lengths = c.integers(1);
  const batchAxis = c.attributes['batchAxis'] as number;
  const [d0, d1] = x.dims as [number, number];
  const inner = elementCount(x.dims.slice(2));
  const from = elementsOf(x);
  const out = allocateElements(x.dtype, x.size);
  for (let i = 0; i < d0; i++) {
    for (let j = 0; j < d1; j++) {
      const [batch, time] = batchAxis === 0 ? [i, j] : [j, i];
      const length = lengths[batch]!;
      if (length < 0 || length > (batchAxis === 0 ? d1 : d0))
        c.fail(`sequence length ${String(length)} exceeds the time axis`);
      const source = time < length ? length - 1 - time : time;
      const at = batchAxis === 0 ? batch * d1 + source : source * d1 + batch;
      copyRun(from, at * inner, out, (i * d1 + j) * inner, inner);
    }
  }
  return [tensorOf(x.dtype, out, x.dims)];
}

export const oneHotOperators: readonly Operator[] = [
  registerOperator({
    name: 'oneHot',
    kind: 'opaque',
    inputs: ['indices', 'depth', 'values'],
    attributes: { axis: -1 },
    infer: inferOneHot,
    evaluate: evaluateOneHot,
  }),
  registerOperator({
    name: 'reverseSequence',
    kind: 'opaque',
    inputs: ['x', 'sequenceLengths'],
    attributes: { batchAxis: 1, timeAxis: 0 },
    infer: (c) => {
      const { dtype, dims } = c.tensor(0);
      if (dims && dims.length < 2) c.fail('x must have rank 2 or more');
      const axes = [c.attributes['batchAxis'], c.attributes['timeAxis']];
      if (!axes.includes(0) || !axes.includes(1)) c.fail('batchAxis and timeAxis must be 0 and 1 or 1 and 0');
      return [tensorType(dtype, dims)];
    },
    evaluate: evaluateReverseSequence,
  }),
];
