/**
 * What expands an image and filters every channel of it in one kernel that sums what it stores, and the excitation by
 * those sums: the image between the two convolutions is never written, and the one after them not read again.
 */

import { type Candidate, type EmitContext, type EmittedStep, type GroupView, mulDims } from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { exciteMicroseconds } from './excitation/cost.js';
import { pairings } from './excitation/pairings.js';
import { excitationOf } from './excitation/problem.js';
import { emitExcited } from './excitation/step.js';
import { hasResidualCandidates, type Ranked, residualCandidates } from './inverted-residual/candidates.js';
import { printResidual, tilesOf } from './inverted-residual/emit.js';
import { expandedOf } from './inverted-residual/problem.js';
import type { ResidualShape } from './inverted-residual/shape.js';
import { launchMicroseconds, typicalExtent } from './operands.js';
import { taken } from './taken.js';

export const expandedExcitation: Tactic = {
  name: 'expandedExcitation',
  refuses(group: GroupView): string | undefined {
    if (group.parts.length !== 5) return 'no expanded image that excites';
    const problem = expandedOf(group);
    if (typeof problem === 'string') return problem;
    const excitation = excitationOf(group);
    if (typeof excitation === 'string') return excitation;
    const [, filter, mean, , up] = group.parts;
    const [first, second, ...others] = group.own.regions[0]!.outputs;
    const outputs = first === filter!.outputs[0] && second === up!.outputs[0] && others.length === 0;
    if (!outputs || !mean!.own.inputs.includes(first)) return 'only the image and what excites it are results';
    return hasResidualCandidates(problem) ? undefined : 'no tile of the image fits into shared memory';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = taken(group, expandedOf(group));
    const excitation = taken(group, excitationOf(group));
    const image = problem.expand!.group.anchorInputs[0];
    const excite = ({ shape }: Ranked, parts: number): number => {
      const sums = typicalExtent(mulDims(tilesOf(problem, shape), excitation.channels * 4));
      return launchMicroseconds + exciteMicroseconds(excitation, sums, parts);
    };
    return pairings(residualCandidates(problem), excite).map(({ shape: { shape }, parts, estimate }) => ({
      parameters: { ...shape, parts },
      inputs: group.node.inputs.map((_, i) => (i === image ? 'channelsLast' : 'strided')),
      outputs: ['channelsLast', 'channelsLast'],
      stridedOutput: false,
      estimate,
    }));
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, ...shape } = parameters as unknown as ResidualShape & { readonly parts: number };
    const problem = taken(group, expandedOf(group));
    const excitation = taken(group, excitationOf(group));
    const args = new Arguments();
    const scratch = args.workspace(0, 'f32');
    const rows = tilesOf(problem, shape);
    const expanded = printResidual(group, problem, shape, scratch, context, args);
    const before = { uses: 'inverted_residual', ...expanded, sums: scratch, rows };
    return emitExcited(excitation, parts, before, context, args);
  },
};
