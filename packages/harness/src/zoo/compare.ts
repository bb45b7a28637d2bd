/** How far an output is from the peer's: the root-mean-square error over the peer's standard deviation. */

import { readNumbers, type Tensor } from '@tensorwright/core';

/** Infinity where extents differ or a NaN is on one side only. */
export function normalisedError(got: Tensor, want: Tensor): number {
  if (got.dims.join() !== want.dims.join()) return Infinity;
  const numbers = (t: Tensor): ArrayLike<number> =>
    t.dtype === 'int64' || t.dtype === 'uint64'
      ? Array.from(t.data as BigInt64Array, Number)
      : t.dtype === 'float32'
        ? (t.data as Float32Array)
        : readNumbers(t);
  const g = numbers(got);
  const w = numbers(want);
  const n = w.length;
  if (n === 0) return 0;
  let sum = 0;
  let squares = 0;
  let error = 0;
  for (let i = 0; i < n; i++) {
    const a = g[i]!;
    const b = w[i]!;
    if (Number.isNaN(a) && Number.isNaN(b)) continue;
    if (a === b) {
      if (Number.isFinite(b)) {
        sum += b;
        squares += b * b;
      }
      continue;
    }
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity;
    sum += b;
    squares += b * b;
    error += (a - b) ** 2;
  }
  const mean = sum / n;
  const deviation = Math.sqrt(Math.max(0, squares / n - mean * mean));
  const rms = Math.sqrt(error / n);
  // A constant output has no deviation to compare with: its own size then.
  return rms === 0 ? 0 : rms / (deviation > 1e-12 ? deviation : Math.max(1e-12, Math.abs(mean)));
}
