/** Which candidates of a node are worth timing. */

import type { Candidate } from '@tensorwright/core';

/** How many of a node are timed at each optimization level. */
export const timedCandidates: readonly number[] = [0, 2, 4, 12, 24, 64];

/**
 * The first of the list, among them the first few of every tactic: estimates of unlike kernels are hard to compare, and a
 * library's kernels have none but their order. In the list's order.
 */
export function shortlist(ranked: readonly Candidate[], limit: number): readonly Candidate[] {
  const each = Math.max(1, Math.floor(limit / 4));
  const seen = new Map<string, number>();
  const isAmongFirst = ranked.map(({ tactic }) => {
    const before = seen.get(tactic) ?? 0;
    seen.set(tactic, before + 1);
    return before < each;
  });
  const first = ranked.filter((_, i) => isAmongFirst[i]);
  const rest = ranked.filter((_, i) => !isAmongFirst[i]);
  const kept = new Set([...first, ...rest].slice(0, limit));
  return ranked.filter((c) => kept.has(c));
}
