/** `range`: numbers at even distances, whose count may follow from shapes. */

import { addDims, ceilDivDims, type Dim, maxDims, mulDims, subDims } from '../dim.js';
import { isBig, isFloat, isInteger } from '../dtype.js';
import { readNumbers, tensorFromNumbers, tensorOf } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount } from '../tensor.js';
import { tensorType } from '../type.js';

type Failing = Pick<EvaluateContext, 'fail'>;

function rangeLength(c: InferContext): Dim | undefined {
  const [start, limit, delta] = [0, 1, 2].map((i) => c.fact(i)?.[0]);
  if (start !== undefined && limit !== undefined && typeof delta === 'number') {
    if (delta === 0) c.fail('delta must not be 0');
    const count = delta > 0 ? ceilDivDims(subDims(limit, start), delta) : ceilDivDims(subDims(start, limit), -delta);
    return maxDims(0, count);
  }
  const constants = [0, 1, 2].map((i) => c.constant(i));
  if (constants.every((k) => k !== undefined) && constants.every((k) => elementCount(k.dims) === 1)) {
    const [a, b, d] = constants.map((k) => readNumbers(k.tensor)[0]!) as [number, number, number];
    return countOf(c, a, b, d);
  }
  return undefined;
}

function evaluateRange(c: EvaluateContext): ReturnType<typeof tensorOf>[] {
  const start = c.tensor(0);
  if (isBig(start.dtype)) {
    const [a, b, d] = [0, 1, 2].map((i) => (c.tensor(i).data as BigInt64Array)[0]!) as [bigint, bigint, bigint];
    if (d === 0n) c.fail('delta must not be 0');
    const span = d > 0n ? b - a : a - b;
    const size = d > 0n ? d : -d;
    const count = span <= 0n ? 0 : Number((span + size - 1n) / size);
    const values = Array.from({ length: checkedCount(c, count) }, (_, i) => a + d * BigInt(i));
    return [tensorOf(start.dtype, values, [count])];
  }
  const [a, b, d] = [0, 1, 2].map((i) => readNumbers(c.tensor(i))[0]!) as [number, number, number];
  const count = countOf(c, a, b, d);
  return [
    tensorFromNumbers(
      start.dtype,
      Float64Array.from({ length: count }, (_, i) => a + d * i),
      [count],
    ),
  ];
}

function countOf(c: Failing, start: number, limit: number, delta: number): number {
  if (delta === 0) c.fail('delta must not be 0');
  return checkedCount(c, Math.max(0, Math.ceil((limit - start) / delta)));
}

function checkedCount(c: Failing, count: number): number {
  if (!(count < 2 ** 31)) c.fail(`${String(count)} elements are too many`);
  return count;
}

export const range: Operator = registerOperator({
  name: 'range',
  kind: 'opaque',
  inputs: ['start', 'limit', 'delta'],
  infer: (c) => {
    const { dtype } = c.tensor(0);
    if (!isInteger(dtype) && !isFloat(dtype)) c.fail(`${dtype} has no range`);
    for (const i of [1, 2]) if (c.tensor(i).dtype !== dtype) c.fail('start, limit and delta must have the same dtype');
    return [tensorType(dtype, [rangeLength(c) ?? c.fresh('range')])];
  },
  facts: (c) => {
    const [start, delta] = [c.fact(0)?.[0], c.fact(2)?.[0]];
    const length = rangeLength(c);
    if (start === undefined || delta === undefined || typeof length !== 'number') return [undefined];
    return [Array.from({ length }, (_, i) => addDims(start, mulDims(delta, i)))];
  },
  evaluate: evaluateRange,
});
