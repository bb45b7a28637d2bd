/**
 * The block of mobile networks in one kernel: 1×1 convolution to many channels, a convolution of every channel, 1×1
 * convolution to few, and what is added to them. The image of many channels never leaves a multiprocessor.
 */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { hasResidualCandidates, residualCandidates } from './inverted-residual/candidates.js';
import { emitResidual } from './inverted-residual/emit.js';
import { residualOf } from './inverted-residual/problem.js';
import type { ResidualShape } from './inverted-residual/shape.js';
import { taken } from './taken.js';

export const invertedResidual: Tactic = {
  name: 'invertedResidual',
  refuses(group: GroupView): string | undefined {
    const problem = residualOf(group);
    if (typeof problem === 'string') return problem;
    return hasResidualCandidates(problem) ? undefined : 'no tile of the block fits into shared memory';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = taken(group, residualOf(group));
    const image = (problem.expand ?? problem.filter).group.anchorInputs[0];
    return residualCandidates(problem).map(({ shape, estimate }) => ({
      parameters: { ...shape },
      inputs: group.node.inputs.map((_, i) => (i === image ? 'channelsLast' : 'strided')),
      outputs: ['channelsLast'],
      stridedOutput: true,
      estimate,
    }));
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    const problem = taken(group, residualOf(group));
    return emitResidual(group, problem, parameters as unknown as ResidualShape, context);
  },
};
