/** Which of several candidates is taken, by their times. */

import type { Candidate } from '@tensorwright/core';

/** A candidate within this fraction of the first-listed one does not displace it: simpler wins ties. */
export const noise = 0.02;

export interface Measured {
  readonly candidate: Candidate;
  /** Median; absent where others were dropped and there is no time for this one. Infinity: all were dropped. */
  readonly nanoseconds?: number;
}

/** What a step adds to a network: its time alone, and what it costs its neighbours. NaN without a time. */
export function nanosecondsAmongOthers({ candidate, nanoseconds = NaN }: Measured): number {
  return nanoseconds + 1000 * (candidate.handover ?? 0);
}

/** The same by the model's estimate. */
export function microsecondsForeseen({ estimate, handover = 0 }: Candidate): number {
  return estimate + handover;
}

/** undefined where none has a time. */
export function best(
  candidates: readonly Candidate[],
  timeOf: (candidate: Candidate) => number | undefined,
): Required<Measured> | undefined {
  let found: Required<Measured> | undefined;
  for (const candidate of candidates) {
    const nanoseconds = timeOf(candidate);
    if (nanoseconds === undefined) continue;
    const measured = { candidate, nanoseconds };
    if (!found || nanosecondsAmongOthers(measured) < nanosecondsAmongOthers(found) * (1 - noise)) found = measured;
  }
  return found;
}
