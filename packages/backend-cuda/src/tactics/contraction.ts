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
import { machineOf, mostOfCluster } from './contraction/machine.js';
import { isPatches } from './contraction/patches.js';
import type { Problem } from './contraction/problem.js';
import { isStem, stemProblem } from './contraction/stem.js';
import {
  type SimtTile,
  simtTiles,
  simtWork,
  splitChoices,
  type TensorTile,
  tensorTiles,
  tensorWork,
  wideSimtTiles,
} from './contraction/tiles.js';
import { type WorkedCandidate, worked } from './contraction/worked.js';
import { memoryMicroseconds } from './operands.js';

export const contraction: Tactic = {
  name: 'contraction',
  refuses: (group: GroupView) => refuseContraction(group, true),
  candidates(group: GroupView): readonly CandidateOutline[] {
    return productCandidates(group).sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const parameters = candidate.parameters as Readonly<Record<string, number>>;
    return 'warpsDown' in parameters
      ? emitTensor(group, parameters as unknown as TensorTile & Splits, flags(parameters), context)
      : emitSimt(group, parameters as unknown as SimtTile & Splits, context);
  },
};

/** All of them, and what the model sees of each. */
export function productCandidates(group: GroupView): WorkedCandidate[] {
  if (!onTensorCores(group)) return simtCandidates(group);
  const onTiles = [...(isStem(group) ? tensorCandidates(group, true) : []), ...tensorCandidates(group, false)];
  // What tf32 wins may be less than what copies of single elements lose.
  return problemOf(group).left.dtype === 'float32' ? [...onTiles, ...simtCandidates(group)] : onTiles;
}

function flags(parameters: Readonly<Record<string, number>>): { stem: boolean; cluster: boolean } {
  return { stem: parameters['stem'] === 1, cluster: parameters['cluster'] === 1 };
}

function tensorCandidates(group: GroupView, stem: boolean): WorkedCandidate[] {
  const problem = stem ? stemProblem(group) : problemOf(group);
  const extents = likelyExtents(problem);
  const machine = machineOf();
  const elementBytes = dtypeInfo(problem.left.dtype).bits / 8;
  const layouts = operandLayouts(group);
  const inputs = layouts.inputs.map((access, i) => (stem && i === group.anchorInputs[0] ? 'strided' : access));
  const before = stem && !isPatches(group) ? memoryMicroseconds(2 * extents.batch * extents.rows * stemBytes) : 0;
  const slowness = stem ? 1 : copySlowness(group, problem);
  const circumstances = { extents, elementBytes, machine, taps: tapsOf(group, problem), slowness, before };
  const isConstant = constantOf(group.node.inputs[problem.right.input]) !== undefined;
  return tensorTiles
    .filter((t) => isConstant || Number.isInteger(Math.log2(t.columns)))
    .flatMap((tile) =>
      splitChoices(tile.rows, tile.columns, tile.depthBytes / elementBytes, extents, machine).map((splits) => {
        const cluster = machine.clusters && splits > 1 && splits <= mostOfCluster;
        return worked(tensorWork(tile, splits, cluster, circumstances), {
          variant: stem ? 'stem' : 'tensor',
          parameters: { ...tile, splits, ...(stem && { stem: 1 }), ...(cluster && { cluster: 1 }) },
          ...layouts,
          inputs,
        });
      }),
    );
}

/** How often a convolution reads its image: the depth but for its channels. */
function tapsOf(group: GroupView, { depth }: Problem): number {
  const extents = group.anchor!.op === 'dot' ? [] : depth.slice(0, -1);
  return extents.reduce<number>((p, d) => p * (typeof d === 'number' ? d : 1), 1);
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

function simtCandidates(group: GroupView): WorkedCandidate[] {
  const problem = problemOf(group);
  const extents = likelyExtents(problem);
  const machine = machineOf();
  const elementBytes = dtypeInfo(problem.left.dtype).bits / 8;
  const valueBytes = sumType(problem.left.dtype).endsWith('64') ? 8 : 4;
  const tiles = valueBytes === 8 ? wideSimtTiles : simtTiles;
  const circumstances = { extents, elementBytes, machine, taps: tapsOf(group, problem) };
  return tiles.flatMap((tile) =>
    // Steps are short here: a split is worth it from so many of them.
    splitChoices(tile.rows, tile.columns, tile.depth * 4, extents, machine, 4).map((splits) =>
      worked(simtWork(tile, splits, valueBytes, circumstances), {
        variant: 'simt',
        parameters: { ...tile, splits },
        ...operandLayouts(group),
      }),
    ),
  );
}
