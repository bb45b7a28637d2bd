/** What ONNX's lists of sizes, axes, pads and bounds mean for a tensor, wherever their numbers are known. */

import { type Dim, exactQuotient, floorDivDims, productOf } from '../dim.js';

/**
 * ONNX's Reshape target (0: keep, -1: the rest) as dims.
 * @returns a sentence when the target fits no input of these dims
 */
export function resolveReshape(
  from: readonly Dim[] | undefined,
  target: readonly Dim[],
  allowzero: boolean,
): Dim[] | string {
  const text = `[${target.map(String).join(', ')}]`;
  const dims: Dim[] = [];
  let rest = -1;
  for (const [i, d] of target.entries()) {
    if (d === -1) {
      if (rest >= 0) return `target ${text} has more than one -1`;
      rest = i;
      dims.push(1);
    } else if (d === 0 && !allowzero) {
      const kept = from?.[i];
      if (kept === undefined) return `target ${text} keeps axis ${String(i)}, which the input does not have`;
      dims.push(kept);
    } else if (typeof d === 'number' && d < 0) {
      return `target ${text} has the negative extent ${String(d)}`;
    } else {
      dims.push(d);
    }
  }
  if (rest >= 0) {
    if (from === undefined) return `target ${text} has a -1, and the rank of the input is unknown`;
    const total = productOf(from);
    const others = productOf(dims);
    if (others === 0) {
      if (total !== 0) return `target ${text} leaves -1 undetermined`;
      dims[rest] = 0;
      return dims;
    }
    const exact = exactQuotient(total, others);
    if (exact === undefined && typeof total === 'number' && typeof others === 'number')
      return `${String(total)} elements do not divide into ${text}`;
    dims[rest] = exact ?? floorDivDims(total, others);
  }
  return dims;
}

/** Normalised, distinct axes from a fact or a run-time vector; all leading ones when absent. */
export function axesOf(axes: readonly number[] | undefined, count: number, rank: number): number[] | string {
  const all = (axes ?? Array.from({ length: count }, (_, i) => i)).map((a) => (a < 0 ? a + rank : a));
  if (all.length !== count) return `${String(all.length)} axes for ${String(count)} entries`;
  if (all.some((a) => a < 0 || a >= rank || !Number.isInteger(a)))
    return `axes [${all.join(', ')}] are out of range for rank ${String(rank)}`;
  if (new Set(all).size !== all.length) return `axes [${all.join(', ')}] repeat`;
  return all;
}

/** Low and high pads of every axis, from ONNX's list of both for some axes: all leading ones when absent. */
export function padsOf<T extends Dim>(
  pads: readonly T[],
  axes: readonly number[] | undefined,
  rank: number,
): { readonly low: (T | 0)[]; readonly high: (T | 0)[] } | string {
  const count = pads.length / 2;
  const chosen = axesOf(axes, count, rank);
  if (typeof chosen === 'string') return chosen;
  const both = [0, count].map((first) => {
    const own = new Array<T | 0>(rank).fill(0);
    chosen.forEach((axis, k) => (own[axis] = pads[first + k]!));
    return own;
  });
  return { low: both[0]!, high: both[1]! };
}

/** Start, size and step of numpy's x[start:end:step] on an axis of `extent`. */
export function sliceBounds(start: number, end: number, step: number, extent: number): { start: number; size: number } {
  const from = start < 0 ? start + extent : start;
  const to = end < 0 ? end + extent : end;
  if (step > 0) {
    const a = Math.min(Math.max(from, 0), extent);
    const b = Math.min(Math.max(to, 0), extent);
    return { start: a, size: Math.max(0, Math.ceil((b - a) / step)) };
  }
  const a = Math.min(Math.max(from, -1), extent - 1);
  const b = Math.min(Math.max(to, -1), extent - 1);
  return { start: a, size: Math.max(0, Math.ceil((a - b) / -step)) };
}
