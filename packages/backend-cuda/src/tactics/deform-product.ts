/** deformConv as a product whose left operand is sampled on its way, with the maps that follow it. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { emitDeform } from './deform-product/emit.js';
import { deformProblem, refuseDeform } from './deform-product/problem.js';
import { type DeformTile, deformTiles } from './deform-product/tiles.js';

export const deformProduct: Tactic = {
  name: 'deformProduct',
  refuses: refuseDeform,
  candidates(group: GroupView): readonly CandidateOutline[] {
    const image = group.anchorInputs[0];
    return deformTiles(deformProblem(group)).map(({ estimate, ...parameters }) => ({
      parameters,
      inputs: group.node.inputs.map((_, i) => (i === image ? 'channelsLast' : 'strided')),
      outputs: ['channelsLast'],
      stridedOutput: true,
      estimate,
    }));
  },
  emit: (group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> =>
    emitDeform(group, parameters as unknown as DeformTile, context),
};
