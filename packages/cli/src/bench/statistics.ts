/** What trtexec tells of a series of times. */

export interface Statistics {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly median: number;
  /** By percentage: '99' is the time that 99 % of the runs did not exceed. */
  readonly percentiles: Readonly<Record<string, number>>;
}

/** @throws RangeError without times */
export function statistics(times: readonly number[], percentages: readonly number[]): Statistics {
  if (times.length === 0) throw new RangeError('statistics of no times');
  const sorted = [...times].sort((a, b) => a - b);
  return {
    min: sorted[0]!,
    max: sorted[sorted.length - 1]!,
    mean: sorted.reduce((sum, t) => sum + t, 0) / sorted.length,
    median: median(sorted),
    percentiles: Object.fromEntries(percentages.map((p) => [String(p), percentile(sorted, p)])),
  };
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The nearest rank: always a time that was measured. */
function percentile(sorted: readonly number[], percentage: number): number {
  return sorted[Math.max(0, Math.ceil((percentage / 100) * sorted.length) - 1)]!;
}
