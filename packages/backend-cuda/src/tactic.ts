/** A tactic of this backend: one file in `tactics/`, listed in `tactics/index.ts`. */

import type { Candidate, EmitContext, EmittedStep, GroupView, TacticSource } from '@tensorwright/core';

export interface Tactic {
  readonly name: string;
  /** The library that its steps call; it is not asked where a build leaves that library out. Default: none. */
  readonly source?: TacticSource;
  /** Why it does not take this group; undefined when it does. Reasons of foreign operators begin with 'no' or 'not'. */
  refuses(group: GroupView): string | undefined;
  /** Asks the library what `refuses` and `candidates` of the group are to know; until then it takes none. Default: nothing. */
  prepare?(group: GroupView): Promise<void>;
  candidates(group: GroupView): readonly CandidateOutline[];
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep>;
}

/** A candidate without what the backend fills in. */
export type CandidateOutline = Omit<Candidate, 'producer' | 'tactic' | 'source'> & {
  readonly variant?: string;
  /** Default: this package. */
  readonly producer?: string;
};
