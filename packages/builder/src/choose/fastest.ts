/** The fastest candidate of a node: by time where it can be measured, else by the estimates. */

import { type Backend, type Candidate, type Node, TensorwrightError } from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import type { TacticTimer } from './measure.js';
import { shortlist, timedCandidates } from './shortlist.js';

export interface Fastest {
  readonly candidate: Candidate;
  /** Median of the measurement, where there was one. */
  readonly nanoseconds?: number;
}

/** What the backend has for a node, but for libraries that the user leaves out. */
export async function offeredBy(backend: Backend, node: Node, context: PassContext): Promise<readonly Candidate[]> {
  const { tacticSources } = context.options;
  await backend.prepare?.(node, tacticSources);
  return backend
    .candidates(node, tacticSources)
    .filter(({ source }) => source === undefined || tacticSources?.includes(source) !== false);
}

export interface Wish {
  /** A candidate without rivals is timed, too. Default: no. */
  readonly evenAlone?: boolean;
  /** Nanoseconds: what takes as long or longer is not used, and need not be verified. Default: Infinity. */
  readonly below?: number;
}

/**
 * @throws ERR_INTERNAL where there are no candidates
 */
export async function fastest(
  node: Node,
  backend: Backend,
  candidates: readonly Candidate[],
  context: PassContext,
  timer: TacticTimer,
  { evenAlone = false, below = Infinity }: Wish = {},
): Promise<Fastest> {
  const [first] = candidates;
  if (!first)
    throw new TensorwrightError(
      'ERR_INTERNAL',
      `backend '${backend.name}' takes ${node.op} but offers no tactic for it`,
    );
  const ranked = [...candidates].sort((a, b) => a.estimate - b.estimate);
  const limit = timedCandidates[context.options.optimizationLevel ?? 3]!;
  // Nobody but their author knows what a plugin's kernels do.
  const unknown = ranked[0]!.plugin !== undefined;
  if ((ranked.length > 1 || evenAlone || unknown) && limit > 0) {
    const measured = await timer.fastest(node, backend, shortlist(ranked, limit), below);
    if (measured) return measured;
  }
  return { candidate: ranked[0]! };
}

/** Kernels of a device compile while others are timed; on the processor they would disturb each other. */
export function preparedAtOnce(context: PassContext): number {
  return context.backends.some((b) => b.memory !== undefined) ? 8 : 1;
}

export async function forEach<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}
