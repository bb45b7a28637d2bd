/** Reductions, ArgMax and ArgMin, CumSum and CumProd. */

import { type DType, isFloat, isInteger, type Monoid, productOf, type Value } from '@tensorwright/core';
import { asScalar, castTo } from './elementwise.js';
import type { ImportContext, ImporterTable, ImportFunction } from './importer.js';
import { reshaped } from './shape.js';

/** The axes to reduce: known now, or a tensor only the run knows. */
type Axes = { readonly known: readonly number[] } | { readonly value: Value; readonly noopWithEmptyAxes: boolean };

/** An attribute at first; an input since opset 13 for ReduceSum and 18 for the others. */
function axesOf(c: ImportContext, x: Value): Axes {
  const noopWithEmptyAxes = c.int('noop_with_empty_axes', 0) !== 0;
  const input = c.optional(1);
  const given = c.ints('axes') ?? (input ? c.fact(input) : []);
  if (!given?.every((a) => typeof a === 'number')) return { value: input!, noopWithEmptyAxes };
  if (given.length > 0) {
    const rank = c.rank(x);
    return { known: [...new Set(given.map((a) => c.axis(a, rank)))].sort((a, b) => a - b) };
  }
  return { known: noopWithEmptyAxes ? [] : c.dimsOf(x).map((_, axis) => axis) };
}

function reduced(c: ImportContext, x: Value, monoid: Monoid, axes: Axes, keepdims: boolean): Value {
  if ('value' in axes)
    return c.op('reduceDynamic', [x, castTo(c, axes.value, 'int64')], {
      monoid,
      keepdims,
      noopWithEmptyAxes: axes.noopWithEmptyAxes,
    });
  return axes.known.length === 0 ? x : c.op('reduce', [x], { monoid, axes: axes.known, keepdims });
}

/** How many elements make one element of the result, in the dtype. */
function countOf(c: ImportContext, x: Value, result: Value, axes: Axes, dtype: DType): Value {
  if ('value' in axes) return castTo(c, c.op('div', [c.op('size', [x]), c.op('size', [result])]), dtype);
  const dims = c.dimsOf(x);
  const count = productOf(axes.known.map((axis) => dims[axis]!));
  return typeof count === 'number' ? c.scalar(count, dtype) : castTo(c, c.dims(count), dtype);
}

interface Reduction {
  readonly x: Value;
  readonly axes: Axes;
  readonly keepdims: boolean;
}

type Body = (c: ImportContext, r: Reduction) => Value;

const plain =
  (monoid: Monoid): Body =>
  (c, { x, axes, keepdims }) =>
    reduced(c, x, monoid, axes, keepdims);

/** Max and min of bool are any and all. */
const extreme =
  (monoid: 'max' | 'min'): Body =>
  (c, r) =>
    plain(c.type(r.x).dtype === 'bool' ? (monoid === 'max' ? 'any' : 'all') : monoid)(c, r);

const square = (c: ImportContext, x: Value): Value => c.op('mul', [x, x]);

const mean: Body = (c, r) => {
  const sum = plain('sum')(c, r);
  return c.op('div', [sum, countOf(c, r.x, sum, r.axes, c.type(sum).dtype)]);
};

/** log Σ e^(x - m) + m with m the maximum; an infinite maximum is not taken off. */
const logSumExp: Body = (c, { x, axes, keepdims }) => {
  const highest = reduced(c, x, 'max', axes, true);
  const shift = c.op('where', [c.op('isInf', [highest]), c.scalar(0, c.type(x).dtype), highest]);
  const sum = reduced(c, c.op('exp', [c.op('sub', [x, shift])]), 'sum', axes, keepdims);
  // The shift has extent 1 along the axes: reducing it again only drops them.
  const dropped = keepdims ? shift : reduced(c, shift, 'max', axes, false);
  return c.op('add', [c.op('log', [sum]), dropped]);
};

/** Several steps: narrow floats go through float32, so that no step in between rounds or overflows. */
const inSteps =
  (body: Body, throughFloat = false): Body =>
  (c, r) => {
    const { dtype } = c.type(r.x);
    const wide: DType =
      isInteger(dtype) && throughFloat ? 'float64' : isFloat(dtype) && dtype !== 'float64' ? 'float32' : dtype;
    return castTo(c, body(c, { ...r, x: castTo(c, r.x, wide) }), dtype);
  };

const reduction =
  (body: Body): ImportFunction =>
  (c) => {
    const x = c.input(0);
    return body(c, { x, axes: axesOf(c, x), keepdims: c.int('keepdims', 1) !== 0 });
  };

const on =
  (f: (c: ImportContext, x: Value) => Value, body: Body): Body =>
  (c, r) =>
    body(c, { ...r, x: f(c, r.x) });

function argExtreme(op: string): ImportFunction {
  return (c) => {
    const x = c.input(0);
    return c.op(op, [x], {
      axis: c.axis(c.int('axis', 0), c.rank(x)),
      keepdims: c.int('keepdims', 1) !== 0,
      selectLastIndex: c.int('select_last_index', 0) !== 0,
    });
  };
}

function cumulative(op: string): ImportFunction {
  return (c) => {
    const [x, given] = [c.input(0), c.input(1)];
    const attributes = { exclusive: c.int('exclusive', 0) !== 0, reverse: c.int('reverse', 0) !== 0 };
    const axis = c.fact(given)?.[0];
    if (typeof axis === 'number') return c.op(op, [x], { ...attributes, axis: c.axis(axis, c.rank(x)) });
    return c.op(op, [x, asScalar(c, given)], attributes);
  };
}

export const reduceImporters: ImporterTable = {
  ReduceSum: reduction(plain('sum')),
  ReduceProd: reduction(plain('prod')),
  ReduceMax: reduction(extreme('max')),
  ReduceMin: reduction(extreme('min')),
  ReduceMean: reduction(inSteps(mean)),
  ReduceL1: reduction(inSteps(on((c, x) => c.op('abs', [x]), plain('sum')))),
  ReduceL2: reduction(inSteps((c, r) => c.op('sqrt', [on(square, plain('sum'))(c, r)]), true)),
  ReduceSumSquare: reduction(inSteps(on(square, plain('sum')))),
  ReduceLogSum: reduction(inSteps((c, r) => c.op('log', [plain('sum')(c, r)]), true)),
  ReduceLogSumExp: reduction(inSteps(logSumExp, true)),
  ArgMax: argExtreme('argMax'),
  ArgMin: argExtreme('argMin'),
  CumSum: cumulative('cumSum'),
  CumProd: cumulative('cumProd'),
};

/** The mean over known axes, kept with extent 1. */
export function meanOver(c: ImportContext, x: Value, axes: readonly number[]): Value {
  return mean(c, { x, axes: { known: axes }, keepdims: true });
}

/** x with its reduced axes dropped. */
export function dropAxes(c: ImportContext, x: Value, axes: readonly number[]): Value {
  const gone = new Set(axes);
  return reshaped(
    c,
    x,
    c.dimsOf(x).filter((_, axis) => !gone.has(axis)),
  );
}
