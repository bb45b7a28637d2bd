/** A first convolution and the pooling of its result in one step, which never writes that result. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { pooledCandidates, type PooledTile } from './stem/pooled-tiles.js';
import { emitPooledStem } from './stem/pooled-emit.js';
import { type PooledStem, pooledStemOf } from './stem/pooled.js';

export const pooledStem: Tactic = {
  name: 'pooledStem',
  refuses(group: GroupView): string | undefined {
    const problem = pooledStemOf(group);
    if (typeof problem === 'string') return problem;
    return pooledCandidates(problem, group).length === 0 ? 'only tiles that a multiprocessor holds' : undefined;
  },
  candidates: (group: GroupView): readonly CandidateOutline[] =>
    pooledCandidates(pooledStemOf(group) as PooledStem, group),
  emit: (group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> =>
    emitPooledStem(group, pooledStemOf(group) as PooledStem, parameters as unknown as PooledTile, context),
};
