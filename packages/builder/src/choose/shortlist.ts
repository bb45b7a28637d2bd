/** Which candidates of a node are worth timing. */

import type { Candidate } from '@tensorwright/core';

/** How many of ours are timed for a node at each optimization level. */
export const timedCandidates: readonly number[] = [0, 2, 4, 12, 24, 64];

/**
 * The first of the list, among them the first few of every tactic: estimates of unlike kernels are hard to compare. Beside
 * them the first few of every library's, which have no estimates but their order: what of ours is timed is the same with
 * libraries and without. In the list's order.
 */
export function shortlist(ranked: readonly Candidate[], limit: number): readonly Candidate[] {
  const each = Math.max(1, Math.floor(limit / 4));
  const seen = new Map<string, number>();
  const isAmongFirst = new Set<Candidate>();
  for (const candidate of ranked) {
    const before = seen.get(candidate.tactic) ?? 0;
    seen.set(candidate.tactic, before + 1);
    if (before < each) isAmongFirst.add(candidate);
  }
  const own = ranked.filter((c) => c.source === undefined);
  const first = own.filter((c) => isAmongFirst.has(c));
  const rest = own.filter((c) => !isAmongFirst.has(c));
  const kept = new Set([...first, ...rest].slice(0, limit));
  return ranked.filter((c) => kept.has(c) || (c.source !== undefined && isAmongFirst.has(c)));
}
