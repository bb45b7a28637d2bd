/** A first convolution and the pooling of its result in one step, which never writes that result. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { hasPooledCandidates, pooledCandidates, type PooledTile } from './stem/pooled-tiles.js';
import { emitPooledStem } from './stem/pooled-emit.js';
import { pooledStemOf } from './stem/pooled.js';
import { taken } from './taken.js';

export const pooledStem: Tactic = {
  name: 'pooledStem',
  refuses(group: GroupView): string | undefined {
    const problem = pooledStemOf(group);
    if (typeof problem === 'string') return problem;
    return hasPooledCandidates(problem) ? undefined : 'only tiles that a multiprocessor holds';
  },
  candidates: (group: GroupView): readonly CandidateOutline[] =>
    pooledCandidates(taken(group, pooledStemOf(group)), group),
  emit: (group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> =>
    emitPooledStem(group, taken(group, pooledStemOf(group)), parameters as unknown as PooledTile, context),
};
