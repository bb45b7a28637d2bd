/** Reductions by a monoid over some axes. Everything else that reduces is maps around these. */

import { addDims, type Dim, dimBounds, maxDims, minDims, mulDims } from '../dim.js';
import { type DType, dtypeInfo, isBig, isFloat } from '../dtype.js';
import { allocateElements, readIntegers, readNumbers, tensorFromNumbers, tensorOf } from '../elements.js';
import { broadcastOffsets } from '../evaluate-map.js';
import { type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType, type Type } from '../type.js';
import { integerRange } from './saturate.js';

export type Monoid = 'sum' | 'prod' | 'max' | 'min' | 'any' | 'all';

/** Floats are accumulated in double and rounded once; integers wrap. An empty set gives the neutral element. */
export function reduceTensor(
  x: Tensor,
  monoid: Monoid,
  axes: readonly number[],
  keepdims: boolean,
  to: DType = x.dtype,
): Tensor {
  const reduced = new Set(axes);
  const kept = x.dims.map((d, axis) => (reduced.has(axis) ? 1 : d));
  const dims = keepdims ? kept : x.dims.filter((_, axis) => !reduced.has(axis));
  const count = elementCount(kept);
  const offsets = broadcastOffsets(kept, x.dims);
  offsets?.seek(0);
  if (isBig(x.dtype)) {
    const source = readIntegers(x);
    const out = (allocateElements(x.dtype, count) as BigInt64Array).fill(bigNeutral(monoid, x.dtype));
    const combine = combineBigs(monoid);
    for (let i = 0; i < source.length; i++) {
      const at = offsets ? offsets.next() : i;
      out[at] = combine(out[at]!, source[i]!);
    }
    return tensorOf(x.dtype, out, dims);
  }
  const source = readNumbers(x);
  // An integer accumulator of the output's width wraps by itself.
  const whole = !isFloat(x.dtype);
  const out = (
    whole && monoid !== 'max' && monoid !== 'min' ? new Int32Array(count) : new Float64Array(count)
  ) as Float64Array;
  out.fill(neutral(monoid, x.dtype));
  const combine = combineNumbers(monoid, whole);
  for (let i = 0; i < source.length; i++) {
    const at = offsets ? offsets.next() : i;
    out[at] = combine(out[at]!, source[i]!);
  }
  return tensorFromNumbers(to, out, dims);
}

function neutral(monoid: Monoid, dtype: DType): number {
  switch (monoid) {
    case 'sum':
    case 'any':
      return 0;
    case 'prod':
    case 'all':
      return 1;
    case 'max':
      return isFloat(dtype) ? -Infinity : integerRange(dtype).min;
    case 'min':
      return isFloat(dtype) ? Infinity : integerRange(dtype).max;
  }
}

function bigNeutral(monoid: Monoid, dtype: DType): bigint {
  const signed = dtype === 'int64';
  if (monoid === 'max') return signed ? -(2n ** 63n) : 0n;
  if (monoid === 'min') return signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  return monoid === 'prod' || monoid === 'all' ? 1n : 0n;
}

/** @param whole integers of up to 32 bits, which wrap */
export function combineNumbers(monoid: Monoid, whole: boolean): (a: number, b: number) => number {
  switch (monoid) {
    case 'sum':
      return (a, b) => a + b;
    case 'prod':
      return whole ? Math.imul : (a, b) => a * b;
    case 'max':
      return Math.max;
    case 'min':
      return Math.min;
    case 'any':
      return (a, b) => (a !== 0 || b !== 0 ? 1 : 0);
    case 'all':
      return (a, b) => (a !== 0 && b !== 0 ? 1 : 0);
  }
}

export function combineBigs(monoid: Monoid): (a: bigint, b: bigint) => bigint {
  switch (monoid) {
    case 'sum':
      return (a, b) => a + b;
    case 'prod':
      return (a, b) => a * b;
    case 'max':
      return (a, b) => (a > b ? a : b);
    case 'min':
      return (a, b) => (a < b ? a : b);
    case 'any':
      return (a, b) => a | b;
    case 'all':
      return (a, b) => a & b;
  }
}

function checkDType(c: InferContext): DType {
  const { dtype } = c.tensor(0);
  const monoid = c.attributes['monoid'] as Monoid;
  const { class: kind } = dtypeInfo(dtype);
  const fits =
    monoid === 'any' || monoid === 'all' ? kind === 'bool' : kind === 'float' || kind === 'int' || kind === 'uint';
  if (!fits) c.fail(`'${monoid}' does not reduce ${dtype}`);
  const to = (c.attributes['to'] as DType | undefined) ?? dtype;
  if (to !== dtype && !(isFloat(dtype) && isFloat(to))) c.fail(`the result of ${dtype} cannot be ${to}`);
  return to;
}

/** The axes with negative ones counted from the back, ascending, without repetition. */
export function normalizeAxes(axes: readonly number[], rank: number, fail: (message: string) => never): number[] {
  const normal = axes.map((a) => {
    if (!Number.isInteger(a) || a < -rank || a >= rank)
      fail(`axis ${String(a)} is out of range for rank ${String(rank)}`);
    return a < 0 ? a + rank : a;
  });
  return [...new Set(normal)].sort((a, b) => a - b);
}

function inferReduce(c: InferContext): Type[] {
  const dtype = checkDType(c);
  const dims = c.dims(0);
  const axes = new Set(normalizeAxes(c.attributes['axes'] as readonly number[], dims.length, (m) => c.fail(m)));
  const keepdims = c.attributes['keepdims'] === true;
  return [
    tensorType(
      dtype,
      keepdims ? dims.map((d, axis) => (axes.has(axis) ? 1 : d)) : dims.filter((_, axis) => !axes.has(axis)),
    ),
  ];
}

/** Facts of sums, products and extremes of small integer tensors. */
function reduceFacts(c: InferContext): readonly Dim[] | undefined {
  const elements = c.fact(0);
  const combine = { sum: addDims, prod: mulDims, max: maxDims, min: minDims }[c.attributes['monoid'] as string];
  if (!elements || !combine || elements.length === 0) return undefined;
  const dims = c.dims(0) as readonly number[];
  const axes = new Set(normalizeAxes(c.attributes['axes'] as readonly number[], dims.length, (m) => c.fail(m)));
  const kept = dims.map((d, axis) => (axes.has(axis) ? 1 : d));
  const offsets = broadcastOffsets(kept, dims);
  offsets?.seek(0);
  const out = new Array<Dim | undefined>(elementCount(kept)).fill(undefined);
  elements.forEach((element, i) => {
    const at = offsets ? offsets.next() : i;
    const old = out[at];
    out[at] = old === undefined ? element : combine(old, element);
  });
  return out as Dim[];
}

export const reduceOperators: readonly Operator[] = [
  registerOperator({
    name: 'reduce',
    kind: 'reduce',
    inputs: ['x'],
    /** `to`: a float dtype of the result, which is not rounded to the operand's. Default: the operand's dtype. */
    attributes: { monoid: undefined, axes: undefined, keepdims: true, to: undefined },
    infer: inferReduce,
    facts: (c) => [reduceFacts(c)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const axes = normalizeAxes(c.attributes['axes'] as readonly number[], x.dims.length, (m) => c.fail(m));
      const { monoid, keepdims, to } = c.attributes;
      return [reduceTensor(x, monoid as Monoid, axes, keepdims === true, to as DType | undefined)];
    },
    numerics: { safeIn16Bit: false },
  }),
  /** The axes are only known at run time; no axes at all means every axis, or none with `noopWithEmptyAxes`. */
  registerOperator({
    name: 'reduceDynamic',
    kind: 'opaque',
    inputs: ['x', 'axes'],
    attributes: { monoid: undefined, keepdims: true, noopWithEmptyAxes: false },
    infer: (c) => {
      const dtype = checkDType(c);
      const { dims } = c.tensor(0);
      if (dims === undefined) return [tensorType(dtype, undefined)];
      const largest = dims.map((d) => Math.max(1, dimBounds(d).max));
      if (c.attributes['keepdims'] === true)
        return [
          tensorType(
            dtype,
            largest.map((max, axis) => c.fresh(`reduced${String(axis)}`, { max })),
          ),
        ];
      const count = c.tensor(1).dims?.[0];
      if (typeof count !== 'number' || count > dims.length) return [tensorType(dtype, undefined)];
      const rank = count > 0 ? dims.length - count : c.attributes['noopWithEmptyAxes'] === true ? dims.length : 0;
      const max = Math.max(...largest);
      return [
        tensorType(
          dtype,
          Array.from({ length: rank }, (_, axis) => c.fresh(`reduced${String(axis)}`, { max })),
        ),
      ];
    },
    evaluate: (c) => {
      const x = c.tensor(0);
      const given = normalizeAxes(c.integers(1), x.dims.length, (m) => c.fail(m));
      const axes =
        given.length > 0 || c.attributes['noopWithEmptyAxes'] === true ? given : x.dims.map((_, axis) => axis);
      return [reduceTensor(x, c.attributes['monoid'] as Monoid, axes, c.attributes['keepdims'] === true)];
    },
  }),
];
