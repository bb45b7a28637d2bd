/** dot, conv and convTranspose with the maps that follow them: one mainloop, operands and results as generated text. */

import {
  type Candidate,
  constantOf,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type TensorType,
} from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { sumType } from './contraction/dot-problem.js';
import { emitSimt, emitTensor, type Splits } from './contraction/emit.js';
import { likelyExtents, onTensorCores, operandLayouts, problemOf, refuseContraction } from './contraction/group.js';
import { machineOf } from './contraction/machine.js';
import type { Problem } from './contraction/problem.js';
import { isStem, stemProblem } from './contraction/stem.js';
import {
  estimate,
  simtSpeed,
  simtThreads,
  type SimtTile,
  simtTileBytes,
  simtTiles,
  splitChoices,
  tensorSpeed,
  type TensorTile,
  tensorThreads,
  tensorTileBytes,
  tensorTiles,
  wideSimtTiles,
} from './contraction/tiles.js';
import { launchMicroseconds, memoryMicroseconds } from './operands.js';

export const contraction: Tactic = {
  name: 'contraction',
  refuses: refuseContraction,
  candidates(group: GroupView): readonly CandidateOutline[] {
    const found = onTensorCores(group)
      ? [...(isStem(group) ? tensorCandidates(group, true) : []), ...tensorCandidates(group, false)]
      : simtCandidates(group);
    return found.sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const parameters = candidate.parameters as Readonly<Record<string, number>>;
    return 'warpsDown' in parameters
      ? emitTensor(group, parameters as unknown as TensorTile & Splits, flags(parameters), context)
      : emitSimt(group, parameters as unknown as SimtTile & Splits, context);
  },
};

function flags(parameters: Readonly<Record<string, number>>): { stem: boolean; cluster: boolean } {
  return { stem: parameters['stem'] === 1, cluster: parameters['cluster'] === 1 };
}

/** Sizes of clusters that every device with clusters has. */
const clusterSizes = new Set([2, 4, 8]);

function tensorCandidates(group: GroupView, stem: boolean): CandidateOutline[] {
  const problem = stem ? stemProblem(group) : problemOf(group);
  const extents = likelyExtents(problem);
  const machine = machineOf();
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const layouts = operandLayouts(group);
  const inputs = layouts.inputs.map((access, i) => (stem && i === group.anchorInputs[0] ? 'strided' : access));
  const padding = stem ? memoryMicroseconds(2 * extents.batch * extents.rows * stemBytes) : 0;
  const slowness = stem ? 1 : copySlowness(group, problem);
  return tensorTiles.flatMap((tile) => {
    const depth = tile.depthBytes / bytes;
    const plan = { ...tile, depth, threads: tensorThreads(tile), sharedBytes: tensorTileBytes(tile) };
    return splitChoices(tile.rows, tile.columns, depth, extents, machine).map((splits) => {
      const cluster = machine.clusters && clusterSizes.has(splits);
      const microseconds = estimate({ ...plan, splits, cluster }, extents, bytes, tensorSpeed(bytes), machine);
      return {
        variant: stem ? 'stem' : 'tensor',
        parameters: { ...tile, splits, ...(stem && { stem: 1 }), ...(cluster && { cluster: 1 }) },
        ...layouts,
        inputs,
        estimate: padding + launchMicroseconds + slowness * (microseconds - launchMicroseconds),
      };
    });
  });
}

/** Bytes of a padded pixel for each output pixel, at the usual stride of two. */
const stemBytes = 32;

/** How much copies suffer that are narrower than 16 bytes, as far as the shapes tell. */
function copySlowness(group: GroupView, problem: Problem): number {
  const widths = [problem.left, problem.right].map(({ input, dtype }) => {
    const v = group.node.inputs[input]!;
    const { dims } = v.type as TensorType;
    const inner = group.anchor!.op === 'dot' ? dims!.at(-1) : dims![1];
    if (constantOf(v) || typeof inner !== 'number') return 16;
    const bytes = (inner * dtypeInfo(dtype).bits) / 8;
    return [16, 8, 4].find((w) => bytes % w === 0) ?? 1;
  });
  const narrowest = Math.min(...widths);
  return narrowest === 16 ? 1 : narrowest === 8 ? 1.2 : narrowest === 4 ? 1.6 : 3;
}

function simtCandidates(group: GroupView): CandidateOutline[] {
  const problem = problemOf(group);
  const extents = likelyExtents(problem);
  const machine = machineOf();
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const valueBytes = sumType(problem.left.dtype).endsWith('64') ? 8 : 4;
  const tiles = valueBytes === 8 ? wideSimtTiles : simtTiles;
  return tiles.flatMap((tile) => {
    const plan = { ...tile, threads: simtThreads(tile), sharedBytes: simtTileBytes(tile, valueBytes) };
    // Steps are short here: a split is worth it from so many of them.
    return splitChoices(tile.rows, tile.columns, tile.depth * 4, extents, machine).map((splits) => ({
      variant: 'simt',
      parameters: { ...tile, splits },
      ...operandLayouts(group),
      estimate: estimate({ ...plan, splits }, extents, bytes, simtSpeed(valueBytes), machine),
    }));
  });
}
