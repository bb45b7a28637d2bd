/** Slices of values, and of operands that are broadcast, by the ranges of the axes that are cut. */

import { type Dim, type GraphBuilder, provablyEqual, type Value } from '@tensorwright/core';
import { dimsOf } from '../rules.js';

export interface Range {
  readonly start: Dim;
  readonly size: Dim;
  readonly step: Dim;
}

/** By axis; absent: all of it. */
export type Ranges = ReadonlyMap<number, Range>;

/** Whether an operand is known to have the result's extent along each of these axes of it, or to be repeated there. */
export function isKnownAlong(v: Value, axes: Iterable<number>, result: readonly Dim[]): boolean {
  const dims = dimsOf(v);
  if (!dims) return false;
  return [...axes].every((axis) => {
    const own = dims[axis - result.length + dims.length];
    return own === undefined || own === 1 || provablyEqual(own, result[axis]!);
  });
}

/** Of an operand that is broadcast to `rank` axes, and known along those that are cut. */
export function broadcastSlice(builder: GraphBuilder, v: Value, ranges: Ranges, rank: number): Value {
  const dims = dimsOf(v)!;
  const own = [...ranges].map(([axis, range]) => [axis - rank + dims.length, range] as const);
  const present = own.filter(([axis]) => axis >= 0 && dims[axis] !== 1);
  return present.length === 0 ? v : slice(builder, v, new Map(present));
}

export function slice(builder: GraphBuilder, v: Value, ranges: Ranges): Value {
  const dims = dimsOf(v)!;
  return builder.op('slice', [v], {
    starts: dims.map((_, axis) => ranges.get(axis)?.start ?? 0),
    sizes: dims.map((d, axis) => ranges.get(axis)?.size ?? d),
    steps: dims.map((_, axis) => ranges.get(axis)?.step ?? 1),
  });
}
