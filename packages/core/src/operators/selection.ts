/** nonZero, compress, unique: how many elements come out is decided by the data. */

import { type Dim, dimBounds, productOf } from '../dim.js';
import { allocateElements, elementsOf, readNumbers, tensorOf } from '../elements.js';
import { isNarrowFloat } from '../float-formats.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { axisOf, copyRun } from './gather.js';
import { rowMajorStrides } from './strided.js';

function boundOf(extent: Dim | undefined): { max?: number } {
  if (extent === undefined) return {};
  const { max } = dimBounds(extent);
  return Number.isSafeInteger(max) ? { max } : {};
}

function evaluateNonZero(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const elements = elementsOf(x) as ArrayLike<unknown>;
  const isZero = zeroTest(x);
  const places: number[] = [];
  for (let i = 0; i < elements.length; i++) if (!isZero(elements[i])) places.push(i);
  const dims = x.dims.length === 0 ? [1] : x.dims;
  const strides = rowMajorStrides(dims);
  const out = new BigInt64Array(dims.length * places.length);
  strides.forEach((stride, axis) => {
    places.forEach((at, i) => (out[axis * places.length + i] = BigInt(Math.floor(at / stride) % dims[axis]!)));
  });
  return [new Tensor('int64', out, [dims.length, places.length])];
}

function zeroTest(x: Tensor): (v: unknown) => boolean {
  if (x.dtype === 'string') return (v) => v === '';
  if (isNarrowFloat(x.dtype)) {
    const bits = x.dtype === 'float16' || x.dtype === 'bfloat16' ? 0x7fff : 0x7f;
    return (v) => ((v as number) & bits) === 0;
  }
  return (v) => v === 0 || v === 0n;
}

function evaluateCompress(c: EvaluateContext): Tensor[] {
  const flat = c.attributes['axis'] === undefined;
  const x = c.tensor(0);
  const dims = flat ? [x.size] : x.dims;
  const axis = flat ? 0 : axisOf(c, dims.length);
  const kept: number[] = [];
  c.integers(1).forEach((v, i) => {
    if (v !== 0) kept.push(i);
  });
  if ((kept.at(-1) ?? -1) >= dims[axis]!)
    c.fail(`the condition is longer than the axis of ${String(dims[axis])} elements`);
  return [pickAlongAxis(x, dims, axis, kept)];
}

/** The slices `kept` of x along an axis. */
export function pickAlongAxis(x: Tensor, dims: readonly number[], axis: number, kept: readonly number[]): Tensor {
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const from = elementsOf(x);
  const out = allocateElements(x.dtype, outer * kept.length * inner);
  for (let o = 0, p = 0; o < outer; o++) {
    for (const i of kept) {
      copyRun(from, (o * dims[axis]! + i) * inner, out, p, inner);
      p += inner;
    }
  }
  return tensorOf(
    x.dtype,
    out,
    dims.map((d, i) => (i === axis ? kept.length : d)),
  );
}

/** Elements that compare with < and === as their values do. */
export function comparableElements(x: Tensor): ArrayLike<number | bigint | string> {
  return isNarrowFloat(x.dtype) ? readNumbers(x) : (elementsOf(x) as ArrayLike<number>);
}

function evaluateUnique(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const flat = c.attributes['axis'] === undefined;
  const dims = flat ? [x.size] : x.dims;
  const axis = flat ? 0 : axisOf(c, dims.length);
  const extent = dims[axis]!;
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const values = comparableElements(x);
  const compare = (a: number, b: number): number => {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < inner; k++) {
        const u = values[(o * extent + a) * inner + k]!;
        const v = values[(o * extent + b) * inner + k]!;
        if (u < v) return -1;
        if (u > v) return 1;
        // NaN sorts last; NaN equals NaN.
        const nanU = u !== u;
        if (nanU !== (v !== v)) return nanU ? 1 : -1;
      }
    }
    return 0;
  };
  const order = Array.from({ length: extent }, (_, i) => i).sort((a, b) => compare(a, b) || a - b);
  const groups: number[][] = [];
  for (const i of order) {
    const last = groups.at(-1);
    if (last && compare(last[0]!, i) === 0) last.push(i);
    else groups.push([i]);
  }
  if (c.attributes['sorted'] !== true) groups.sort((a, b) => a[0]! - b[0]!);
  const first = groups.map((g) => g[0]!);
  const inverse = new BigInt64Array(extent);
  groups.forEach((members, g) => {
    for (const i of members) inverse[i] = BigInt(g);
  });
  const integers = (list: readonly number[]): Tensor =>
    new Tensor('int64', BigInt64Array.from(list, BigInt), [list.length]);
  return [
    pickAlongAxis(x, dims, axis, first),
    integers(first),
    new Tensor('int64', inverse, [extent]),
    integers(groups.map((g) => g.length)),
  ];
}

function inferUnique(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype, dims } = c.tensor(0);
  const flat = c.attributes['axis'] === undefined;
  const axis = flat || !dims ? 0 : axisOf(c, dims.length);
  const extent = dims && (flat ? productOf(dims) : dims[axis]!);
  const count = c.fresh('unique', boundOf(extent));
  const y = flat ? [count] : dims?.map((d, i) => (i === axis ? count : d));
  return [
    tensorType(dtype, y),
    tensorType('int64', [count]),
    tensorType('int64', extent === undefined ? undefined : [extent]),
    tensorType('int64', [count]),
  ];
}

function inferCompress(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype, dims } = c.tensor(0);
  if (c.attributes['axis'] === undefined)
    return [tensorType(dtype, [c.fresh('kept', boundOf(dims && productOf(dims)))])];
  if (dims === undefined) return [tensorType(dtype, undefined)];
  const axis = axisOf(c, dims.length);
  const kept = c.fresh('kept', boundOf(dims[axis]));
  return [
    tensorType(
      dtype,
      dims.map((d, i) => (i === axis ? kept : d)),
    ),
  ];
}

export const selectionOperators: readonly Operator[] = [
  registerOperator({
    name: 'nonZero',
    kind: 'opaque',
    inputs: ['x'],
    infer: (c) => {
      const { dims } = c.tensor(0);
      const count = c.fresh('nonZero', boundOf(dims && productOf(dims)));
      return [tensorType('int64', [dims ? Math.max(dims.length, 1) : c.fresh('rank', { min: 1, max: 64 }), count])];
    },
    evaluate: evaluateNonZero,
  }),
  /** axis undefined: the input flattened. */
  registerOperator({
    name: 'compress',
    kind: 'opaque',
    inputs: ['x', 'condition'],
    attributes: { axis: undefined },
    infer: inferCompress,
    evaluate: evaluateCompress,
  }),
  registerOperator({
    name: 'unique',
    kind: 'opaque',
    inputs: ['x'],
    outputs: ['y', 'indices', 'inverseIndices', 'counts'],
    attributes: { axis: undefined, sorted: true },
    infer: inferUnique,
    evaluate: evaluateUnique,
  }),
];
