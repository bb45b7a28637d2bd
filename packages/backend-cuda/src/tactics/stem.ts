/** Convolutions of images of few channels on tensor cores, straight from the image, in whatever order and type it lies. */

import type { Candidate, EmitContext, EmittedStep, GroupView } from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { emitStem } from './stem/emit.js';
import { refuseStem } from './stem/image.js';
import { stemCandidates, type StemTile } from './stem/tiles.js';

export const stem: Tactic = {
  name: 'stem',
  refuses: refuseStem,
  candidates: (group: GroupView): readonly CandidateOutline[] => stemCandidates(group),
  emit: (group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> =>
    emitStem(group, parameters as unknown as StemTile, context),
};
