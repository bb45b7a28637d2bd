/** Short forms for the canonical nodes that importers make most. */

import { type Dim, type DType, mulDims, provablyEqual, type Value } from '@tensorwright/core';
import type { ImportContext } from './importer.js';

export function reshape(c: ImportContext, v: Value, dims: readonly Dim[]): Value {
  const old = c.type(v).dims;
  if (old?.length === dims.length && old.every((d, i) => provablyEqual(d, dims[i]!))) return v;
  return c.op('reshape', [v], { dims });
}

export function transpose(c: ImportContext, v: Value, perm: readonly number[]): Value {
  return perm.every((p, i) => p === i) ? v : c.op('transpose', [v], { perm });
}

export function expand(c: ImportContext, v: Value, dims: readonly Dim[]): Value {
  const old = c.dimsOf(v);
  if (old.length === dims.length && old.every((d, i) => provablyEqual(d, dims[i]!))) return v;
  return c.op('expand', [v], { dims });
}

export function concat(c: ImportContext, values: readonly Value[], axis: number): Value {
  return values.length === 1 ? values[0]! : c.op('concat', values, { axis });
}

/** `size` elements of one axis from `start` on. */
export function sliceAxis(c: ImportContext, v: Value, axis: number, start: Dim, size: Dim, step: Dim = 1): Value {
  const dims = c.dimsOf(v);
  const at = <T>(value: T, other: (i: number) => T): T[] => dims.map((_, i) => (i === axis ? value : other(i)));
  return c.op('slice', [v], {
    starts: at<Dim>(start, () => 0),
    sizes: at(size, (i) => dims[i]!),
    steps: at<Dim>(step, () => 1),
  });
}

export function cast(c: ImportContext, v: Value, to: DType): Value {
  return c.type(v).dtype === to ? v : c.op('cast', [v], { to });
}

/** v · factor, nothing for a factor of 1. */
export function scale(c: ImportContext, v: Value, factor: number): Value {
  return factor === 1 ? v : c.op('mul', [v, c.scalar(factor, c.type(v).dtype)]);
}

/** A dim as a scalar of the dtype. */
export function dimScalar(c: ImportContext, d: Dim, dtype: DType): Value {
  return typeof d === 'number' ? c.scalar(d, dtype) : cast(c, c.dims(d), dtype);
}

/** The mean over axes. */
export function mean(c: ImportContext, v: Value, axes: readonly number[], keepdims: boolean): Value {
  const count = axes.map((a) => c.dimsOf(v)[a]!).reduce<Dim>((p, d) => mulDims(p, d), 1);
  return c.op('div', [c.op('reduce', [v], { monoid: 'sum', axes, keepdims }), dimScalar(c, count, c.type(v).dtype)]);
}

/** [0, 1 … n − 1] of the dtype, n an integer scalar. */
export function iota(c: ImportContext, n: Value, dtype: DType): Value {
  return cast(c, c.op('range', [c.dims(0), cast(c, n, 'int64'), c.dims(1)]), dtype);
}

/** Element i of an integer vector as a scalar; a known element as a dim. */
export function element(c: ImportContext, v: Value, i: number): Value {
  const known = c.fact(v)?.[i];
  if (known !== undefined) return c.dims(known);
  return c.rank(v) === 0 ? v : c.op('gather', [v, c.dims(i)], { axis: 0 });
}
