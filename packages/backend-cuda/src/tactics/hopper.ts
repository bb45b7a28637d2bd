/** dot and conv on Hopper's warpgroup instructions, their operands loaded through tensor maps. */

import {
  type Candidate,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  type TensorType,
} from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { contraction } from './contraction.js';
import { likelyExtents, onTensorCores, operandLayouts, problemOf, refuseContraction } from './contraction/group.js';
import { isHopper, machineOf } from './contraction/machine.js';
import { prologueOf } from './contraction/prologue.js';
import { type WorkedCandidate, worked } from './contraction/worked.js';
import { denseView } from './dense-view.js';
import { emitWarpgroups } from './hopper/emit.js';
import { stepsOf } from './hopper/depth.js';
import { operandsOf } from './hopper/operands.js';
import { tilesFor, tileWork, type WarpgroupTile } from './hopper/tiles.js';

export const hopper: Tactic = {
  name: 'hopper',
  refuses(group: GroupView): string | undefined {
    if (!isHopper()) return 'not a device with warpgroup instructions';
    return refuseContraction(group, true) ?? refuseWarpgroups(group);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    // Of the same blocks in other arrangements only the best.
    const best = new Map<string, WorkedCandidate>();
    for (const c of warpgroupCandidates(group).sort((a, b) => a.estimate - b.estimate)) {
      const { rows, columns, splits, shares, swapped } = c.parameters as unknown as WarpgroupTile;
      const key = [rows, columns, splits, shares, swapped].join(' ');
      if (!best.has(key)) best.set(key, c);
    }
    return [...best.values()].slice(0, mostCandidates);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const step = emitWarpgroups(group, candidate.parameters as unknown as WarpgroupTile, context);
    if (step) return step;
    // The operands lie other than expected: at an offset, say.
    const [other] = contraction.candidates(group);
    return contraction.emit(group, { ...candidate, ...other }, context);
  },
};

/** There are hundreds: as many as anybody may want to time. */
const mostCandidates = 24;

/** All of them, and what the model sees of each. */
export function warpgroupCandidates(group: GroupView): WorkedCandidate[] {
  const problem = problemOf(group);
  const extents = likelyExtents(problem);
  const machine = machineOf();
  const { depth, span, bytes, left, right } = operandsOf(group, problem, usualViews(group))!;
  const steps = stepsOf(depth);
  const sharesLeft = left.image === undefined;
  const computes = prologueOf(group) !== undefined;
  return tilesFor({ extents, steps, span, constant: right.constant, sharesLeft, computes, machine }).map((tile) =>
    worked(tileWork(tile, { extents, steps, elementBytes: bytes, taps: depth.taps, computes, machine }), {
      parameters: { ...tile },
      ...operandLayouts(group),
    }),
  );
}

/** What the instructions multiply; float32 as tf32, where the node asks for it. */
const multiplied = new Set(['float16', 'bfloat16', 'float32', 'int8', 'uint8']);

/** Why these instructions do not multiply the operands, judged by how they usually lie. */
export function refuseWarpgroups(group: GroupView): string | undefined {
  if (!onTensorCores(group)) return 'not on tensor cores';
  const problem = problemOf(group);
  const { left, right } = problem;
  if (left.dtype !== right.dtype || !multiplied.has(left.dtype)) return 'not operands of one type';
  return operandsOf(group, problem, usualViews(group)) ? undefined : 'not as tensor maps describe it';
}

function usualViews(group: GroupView): (input: number) => MemoryView {
  return (input) => denseView((group.node.inputs[input]!.type as TensorType).dims!, group.anchor!.op !== 'dot');
}
