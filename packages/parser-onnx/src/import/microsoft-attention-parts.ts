/** What com.microsoft's attention operators have in common. */

import { type Dim, type DType, mulDims, provablyEqual, type Value } from '@tensorwright/core';
import type { ImportContext } from './importer.js';
import { iota, reshape, sliceAxis } from './shorthand.js';

export function known(c: ImportContext, d: Dim | undefined, what: string): number {
  return typeof d === 'number' ? d : c.unsupported(`${what} that is not known`);
}

/** Consecutive parts of the last axis. */
export function splitLast(c: ImportContext, v: Value, sizes: readonly number[]): Value[] {
  let start = 0;
  return sizes.map((size) => sliceAxis(c, v, c.rank(v) - 1, (start += size) - size, size));
}

/** mask_filter_value where `kept` is false, as a bias. */
function filterBias(c: ImportContext, kept: Value, dtype: DType): Value {
  return c.op('where', [kept, c.scalar(0, dtype), c.scalar(c.float('mask_filter_value', -10000), dtype)]);
}

/** [0 … n − 1] along the last of rank dimensions. */
function keyIndices(c: ImportContext, n: Dim, dtype: DType): Value {
  return iota(c, c.dims(n), dtype);
}

/**
 * A padding mask as a bias that broadcasts to [B, H, L, T]: zeros mark padding; or the lengths [B], or the ends
 * and begins [2 · B] of what is no padding.
 */
export function paddingBias(
  c: ImportContext,
  mask: Value | undefined,
  batch: Dim,
  keys: Dim,
  dtype: DType,
): Value | undefined {
  if (!mask) return undefined;
  const dims = c.dimsOf(mask);
  const present = (m: Value): Value => c.op('not', [c.op('equal', [m, c.scalar(0, c.type(m).dtype)])]);
  if (dims.length === 2) return filterBias(c, present(reshape(c, mask, [dims[0]!, 1, 1, dims[1]!])), dtype);
  if (dims.length === 3) return filterBias(c, present(reshape(c, mask, [dims[0]!, 1, dims[1]!, dims[2]!])), dtype);
  if (dims.length !== 1) return c.unsupported(`a mask of rank ${String(dims.length)}`);
  const index = keyIndices(c, keys, c.type(mask).dtype);
  const part = (start: Dim): Value => reshape(c, sliceAxis(c, mask, 0, start, batch), [batch, 1, 1, 1]);
  const inside = c.op('less', [index, part(0)]);
  const beginsToo = provablyEqual(dims[0]!, mulDims(batch, 2));
  return filterBias(c, beginsToo ? c.op('and', [inside, c.op('greaterOrEqual', [index, part(batch)])]) : inside, dtype);
}

export function sumOf(c: ImportContext, a: Value | undefined, b: Value | undefined): Value | undefined {
  return a && b ? c.op('add', [a, b]) : (a ?? b);
}

export function scaleAttribute(c: ImportContext): { scale?: number } {
  const scale = c.float('scale', 0);
  return scale === 0 ? {} : { scale };
}
