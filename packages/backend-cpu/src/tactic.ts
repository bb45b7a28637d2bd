/** A tactic of this backend: one file in `tactics/`, listed in `tactics/index.ts`. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';

export interface Tactic {
  readonly name: string;
  /** Why it does not take this group; undefined when it does. */
  refuses(group: GroupView): string | undefined;
  candidates(group: GroupView): readonly CandidateOutline[];
  emit(group: GroupView, candidate: Candidate, context: EmitContext): EmittedStep | Promise<EmittedStep>;
}

/** A candidate without what the backend fills in. */
export type CandidateOutline = Omit<Candidate, 'producer' | 'tactic'> & {
  readonly variant?: string;
  /** Default: this package. */
  readonly producer?: string;
};
