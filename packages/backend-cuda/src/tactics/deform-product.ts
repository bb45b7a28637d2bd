/** deformConv as a product whose left operand is sampled on its way, with the maps that follow it. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { isHopper } from './contraction/machine.js';
import { emitDeform, emitDeformWarpgroups } from './deform-product/emit.js';
import { deformProblem, refuseDeform } from './deform-product/problem.js';
import { type DeformTile, deformTiles, isHalf, type RankedTile } from './deform-product/tiles.js';
import { type WarpgroupDeformTile, warpgroupTiles } from './deform-product/warpgroups.js';
import { isKnown } from './deform-product/weights.js';

export const deformProduct: Tactic = {
  name: 'deformProduct',
  refuses: refuseDeform,
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = deformProblem(group);
    const image = group.anchorInputs[0];
    const outline = ({
      estimate,
      ...parameters
    }: (DeformTile | WarpgroupDeformTile) & RankedTile): CandidateOutline => ({
      parameters: { ...parameters },
      inputs: group.node.inputs.map((_, i) => (i === image ? 'channelsLast' : 'strided')),
      outputs: ['channelsLast'],
      stridedOutput: true,
      estimate,
    });
    const warpgroups = isHopper() && isHalf(problem) && isKnown(problem) ? warpgroupTiles(problem) : [];
    return [
      ...deformTiles(problem).map((t) => outline(t)),
      ...warpgroups.map((t) => ({ variant: 'warpgroups', ...outline(t) })),
    ];
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    return 'stages' in parameters
      ? emitDeformWarpgroups(group, parameters as unknown as WarpgroupDeformTile, context)
      : emitDeform(group, parameters as unknown as DeformTile, context);
  },
};
