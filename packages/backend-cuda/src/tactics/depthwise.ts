/** conv with one filter to a channel, on channels-last images. */

import { type Candidate, constantOf, type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { geometryOf } from './contraction/conv-problem.js';
import { refuseContraction } from './contraction/group.js';
import { channelWidth } from './depthwise/result.js';
import { emitRows, rowCandidates } from './depthwise/rows.js';
import { emitTiles } from './depthwise/tensor.js';
import { refuseTiles, tileCandidates, type TileShape } from './depthwise/tiles.js';

export const depthwise: Tactic = {
  name: 'depthwise',
  refuses(group: GroupView): string | undefined {
    const reason = refuseContraction(group);
    if (reason !== undefined) return reason;
    if (group.anchor!.op !== 'conv') return 'not a convolution';
    const { x, w, group: groups, kernel } = geometryOf(group);
    if (groups !== x[1] || w[0] !== x[1] || kernel.length > 3) return 'not one filter to a channel';
    return constantOf(group.node.inputs[group.anchorInputs[1]!]) ? undefined : 'not a convolution with known weights';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const tiles = refuseTiles(group) === undefined ? tileCandidates(group) : [];
    return [...tiles, ...rowCandidates(group)].sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    if ('run' in parameters) return emitRows(group, parameters['run'] as number, context);
    // Slots of larger tensors may lie where vectors of eight channels do not begin.
    if (channelWidth(group, geometryOf(group), context) < 8) return emitRows(group, 4, context);
    return emitTiles(group, parameters as unknown as TileShape, context);
  },
};
