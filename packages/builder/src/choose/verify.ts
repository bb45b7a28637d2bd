/**
 * Checks a chosen tactic's result on random inputs: against the fastest candidate of another family, and where the two
 * disagree, or there is none, against the processor's kernels. Whoever stands alone is wrong.
 */

import {
  type Backend,
  type Candidate,
  loadBackend,
  type Node,
  type Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { closenessOf, disagreement } from './agree.js';
import type { Fault } from './timing-cache.js';

/** What a candidate computes; undefined where it cannot be run. */
export type Compute = (backend: Backend, candidate: Candidate) => Promise<readonly (Tensor | undefined)[] | undefined>;

export interface Verdict {
  /** Nobody has contradicted the candidate for good. */
  readonly accepted: boolean;
  /** Candidates that are wrong. */
  readonly faults: ReadonlyMap<Candidate, Fault>;
  /** What is worth a line in the log, though nothing follows from it. */
  readonly note?: string;
}

/** @param rivals other candidates that run, fastest first */
export async function verify(
  node: Node,
  backend: Backend,
  candidate: Candidate,
  rivals: readonly Candidate[],
  tf32: boolean,
  compute: Compute,
): Promise<Verdict> {
  const closeness = closenessOf(node, tf32);
  const differs = (a: Outputs, b: Outputs): string | undefined => {
    for (const [i, x] of a.entries()) {
      const y = b[i];
      const reason = x && y && disagreement(x, y, closeness);
      if (reason) return a.length > 1 ? `output ${String(i)}: ${reason}` : reason;
    }
    return undefined;
  };
  const accepted = (faults = new Map<Candidate, Fault>()): Verdict => ({ accepted: true, faults });
  const dropped = (reason: string): Verdict => ({ accepted: false, faults: new Map([[candidate, wrong(reason)]]) });

  const own = await compute(backend, candidate);
  if (!own) return { accepted: false, faults: new Map() };
  const rival = rivals.find((r) => familyOf(r) !== familyOf(candidate));
  const theirs = rival && (await compute(backend, rival));
  const apart = theirs && differs(own, theirs);
  if (theirs && apart === undefined) return accepted();
  const judged = await onProcessor(node, compute);
  if (!judged) return apart === undefined ? accepted() : dropped(`unlike ${rival!.tactic}, ${apart}`);
  const wrongly = differs(own, judged);
  if (wrongly === undefined)
    return accepted(
      theirs ? new Map([[rival, wrong(`unlike ${candidate.tactic} and the processor, ${apart!}`)]]) : undefined,
    );
  if (theirs && differs(theirs, judged) !== undefined)
    return {
      accepted: true,
      faults: new Map(),
      note: `no two of ${candidate.tactic}, ${rival.tactic} and the processor agree: ${wrongly}`,
    };
  return dropped(`unlike the processor${theirs ? ` and ${rival.tactic}` : ''}, ${wrongly}`);
}

type Outputs = readonly (Tensor | undefined)[];

function wrong(reason: string): Fault {
  return { code: 'ERR_VALUE', reason };
}

/** 'cuda.hopper' of 'cuda.hopper.stream' */
function familyOf({ tactic }: Candidate): string {
  return tactic.split('.').slice(0, 2).join('.');
}

async function onProcessor(node: Node, compute: Compute): Promise<Outputs | undefined> {
  let cpu: Backend;
  try {
    cpu = await loadBackend('cpu');
  } catch (error) {
    if (TensorwrightError.is(error)) return undefined;
    throw error;
  }
  if (!cpu.device() || cpu.refuses(node) !== undefined) return undefined;
  const [first, ...others] = cpu.candidates(node);
  if (!first) return undefined;
  return compute(
    cpu,
    others.reduce((best, c) => (c.estimate < best.estimate ? c : best), first),
  );
}
