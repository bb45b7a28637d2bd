/** Extents that broadcast to each other, as numpy has it. */

import {
  type Dim,
  dimBounds,
  extremeOperands,
  maxDims,
  minDims,
  mulDims,
  provablyEqual,
  subDims,
  unboundedExtent,
} from './dim.js';

/** 1 where an extent is 1, else 0. */
export function isOneDim(extent: Dim): Dim {
  const upToTwo = minDims(extent, 2);
  return mulDims(upToTwo, subDims(2, upToTwo));
}

/**
 * The numpy broadcast of two extents, which is right whenever the run-time extents are compatible; the executor checks
 * that they are. Two different unknowns broadcast to their maximum, but to 0 where one of them is 0.
 * @returns undefined when the extents can never be compatible.
 */
export function broadcastDim(a: Dim, b: Dim): Dim | undefined {
  if (provablyEqual(a, b)) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === 'number' && typeof b === 'number') return undefined;
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  if (dimBounds(a).min > 1) return a;
  if (dimBounds(b).min > 1) return b;
  const operands = [a, b].flatMap(broadcastOperands);
  const mayBeEmpty = operands.filter((d) => dimBounds(d).min <= 0);
  return mayBeEmpty.reduce((y, d) => minDims(y, boundOf(d)), operands.reduce(maxDims));
}

/** None of an extent of any size, and 0 of 0. */
function boundOf(extent: Dim): Dim {
  return mulDims(minDims(extent, 1), unboundedExtent);
}

/** What broadcastDim made of extents that may be 0, taken apart, so that the order of broadcasts makes no difference. */
function broadcastOperands(d: Dim): readonly Dim[] {
  const parts = extremeOperands(d, 'min');
  const isMaximum = (p: Dim): boolean => extremeOperands(p, 'max').length > 1;
  const operands = parts.filter(isMaximum).flatMap((p) => extremeOperands(p, 'max'));
  const bounds = parts.filter((p) => !isMaximum(p));
  const isBroadcast =
    bounds.length > 0 &&
    bounds.length === parts.length - 1 &&
    bounds.every((bound) => operands.some((o) => provablyEqual(boundOf(o), bound)));
  return isBroadcast ? operands : [d];
}

export function broadcastDims(a: readonly Dim[], b: readonly Dim[]): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const d = broadcastDim(a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1);
    if (d === undefined) return undefined;
    out.push(d);
  }
  return out;
}
