/** How well a model ranks the candidates of problems whose times are known. */

import { type Coefficients, foresee } from '@tensorwright/backend-cuda';
import type { TimedCandidate, TimedProblem } from './times.js';

/** For each length of a list, relative to the best of all candidates: 0 is perfect. */
export type Rank = readonly {
  readonly k: number;
  readonly mean: number;
  readonly worst: number;
  /** Of the sum of all problems' best times. */
  readonly total: number;
}[];

const lengths = [1, 2, 4, 8, 12, 24];

export function rankOf(problems: readonly TimedProblem[], coefficients: Coefficients): Rank {
  // Only kernels of the model: a library's keep an order of their own.
  const ranked = problems
    .map(({ candidates }) => candidates.filter((c) => c.work))
    .filter((list) => list.length > 0)
    .map((list) =>
      list
        .map((c) => ({ c, foreseen: foresee(c.work!, coefficients) }))
        .sort((a, b) => a.foreseen - b.foreseen)
        .map(({ c }) => c),
    );
  const fastest = (list: readonly TimedCandidate[]): number => Math.min(...list.map((c) => c.microseconds));
  const best = ranked.map(fastest);
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  return lengths.map((k) => {
    const found = ranked.map((list) => fastest(list.slice(0, k)));
    const regrets = found.map((t, i) => t / best[i]! - 1);
    return {
      k,
      mean: sum(regrets) / regrets.length,
      worst: Math.max(...regrets),
      total: sum(found) / sum(best) - 1,
    };
  });
}
