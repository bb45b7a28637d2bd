/**
 * Checks a chosen tactic's result on random inputs: against somebody who computes the same in another way, and where the
 * two disagree, or there is nobody, against a judge. Whoever stands alone is wrong.
 */

import type { Candidate, Tensor } from '@tensorwright/core';
import { type Closeness, disagreement } from './agree.js';
import type { Fault } from './timing-cache.js';

export type Outputs = readonly (Tensor | undefined)[];

/** Somebody who computes a problem's outputs. */
export interface Witness {
  /** What messages call it. */
  readonly name: string;
  /** What is dropped where it is wrong. Default: nothing. */
  readonly candidate?: Candidate;
  /** undefined where it cannot be run. */
  compute(): Promise<Outputs | undefined>;
}

export interface Verdict {
  /** Nobody has contradicted the tactic for good. */
  readonly accepted: boolean;
  /** Candidates that are wrong. */
  readonly faults: ReadonlyMap<Candidate, Fault>;
  /** What is worth a line in the log, though nothing follows from it. */
  readonly note?: string;
}

/** @param own the tactic's result, which is checked */
export async function verify(
  own: Witness & { readonly candidate: Candidate },
  rival: Witness | undefined,
  judge: Witness | undefined,
  closeness: Closeness,
): Promise<Verdict> {
  const differs = (a: Outputs, b: Outputs): string | undefined => {
    for (const [i, x] of a.entries()) {
      const y = b[i];
      const reason = x && y && disagreement(x, y, closeness);
      if (reason) return a.length > 1 ? `output ${String(i)}: ${reason}` : reason;
    }
    return undefined;
  };
  const accepted = (note?: string): Verdict => ({
    accepted: true,
    faults: new Map(),
    ...(note !== undefined && { note }),
  });
  const dropped = (reason: string): Verdict => ({ accepted: false, faults: new Map([[own.candidate, wrong(reason)]]) });

  const ours = await own.compute();
  if (!ours) return { accepted: false, faults: new Map() };
  const theirs = await rival?.compute();
  const apart = theirs && differs(ours, theirs);
  if (theirs && apart === undefined) return accepted();
  const judged = await judge?.compute();
  if (!judged) return apart === undefined ? accepted() : dropped(`unlike ${rival!.name}, ${apart}`);
  const wrongly = differs(ours, judged);
  if (wrongly === undefined) {
    if (apart === undefined) return accepted();
    if (!rival!.candidate)
      return accepted(`${own.name} agrees with ${judge!.name}, but not with ${rival!.name}: ${apart}`);
    const fault = wrong(`unlike ${own.name} and ${judge!.name}, ${apart}`);
    return { accepted: true, faults: new Map([[rival!.candidate, fault]]) };
  }
  if (theirs && differs(theirs, judged) !== undefined)
    return accepted(`no two of ${own.name}, ${rival!.name} and ${judge!.name} agree: ${wrongly}`);
  return dropped(`unlike ${judge!.name}${theirs ? ` and ${rival!.name}` : ''}, ${wrongly}`);
}

function wrong(reason: string): Fault {
  return { code: 'ERR_VALUE', reason };
}
