/** dot and conv on Hopper's warpgroup instructions, their operands loaded through tensor maps. */

import {
  type Candidate,
  constantOf,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  mulDims,
  type TensorType,
} from '@tensorwright/core';
import { native } from '../native.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { contraction } from './contraction.js';
import { likelyExtents, onTensorCores, operandLayouts, problemOf, refuseContraction } from './contraction/group.js';
import { machineOf } from './contraction/machine.js';
import type { Operand, Problem } from './contraction/problem.js';
import { emitWarpgroups } from './hopper/emit.js';
import { matrixOf } from './hopper/operand.js';
import { estimateTile, span, tilesFor, type WarpgroupTile } from './hopper/tiles.js';

export const hopper: Tactic = {
  name: 'hopper',
  refuses(group: GroupView): string | undefined {
    if (!isHopper()) return 'not a device with warpgroup instructions';
    return refuseContraction(group) ?? refuseOperands(group);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = problemOf(group);
    const extents = likelyExtents(problem);
    const machine = machineOf();
    const bytes = dtypeInfo(problem.left.dtype).bits / 8;
    const steps = Math.ceil(extents.depth / (span / bytes));
    const constant = constantOf(group.node.inputs[problem.right.input]) !== undefined;
    return tilesFor(extents, steps, constant, machine)
      .map((tile) => ({
        parameters: { ...tile },
        ...operandLayouts(group),
        estimate: estimateTile(tile, extents, steps, bytes, machine),
      }))
      .sort((a, b) => a.estimate - b.estimate)
      .slice(0, mostCandidates);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const step = emitWarpgroups(group, candidate.parameters as unknown as WarpgroupTile, context);
    if (step) return step;
    // The operands lie other than expected: at an offset, say.
    const [other] = contraction.candidates(group);
    return contraction.emit(group, { ...candidate, ...other }, context);
  },
};

const mostCandidates = 6;

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

const wholeTypes = new Set(['float16', 'bfloat16']);

/** Judges by how the operands usually lie. */
function refuseOperands(group: GroupView): string | undefined {
  if (!onTensorCores(group)) return 'not on tensor cores';
  const problem = problemOf(group);
  if (![problem.left, problem.right].every((o) => wholeTypes.has(o.dtype))) return 'not of 16 bits';
  const fits =
    hasMap(problem.left, problem.rows, problem, group) && hasMap(problem.right, problem.columns, problem, group);
  return fits ? undefined : 'not as tensor maps describe it';
}

function hasMap(operand: Operand, own: readonly Dim[], problem: Problem, group: GroupView): boolean {
  const value = group.node.inputs[operand.input]!;
  if (constantOf(value)) return [...own, ...problem.depth, ...problem.batch].every((d) => typeof d === 'number');
  const view = usualView((value.type as TensorType).dims!, group.anchor!.op !== 'dot');
  const bytes = dtypeInfo(operand.dtype).bits / 8;
  const { batch, depth } = problem;
  return matrixOf({ axes: operand.axes(view), offset: 0, batch, own, depth, bytes }) !== undefined;
}

function usualView(dims: readonly Dim[], channelsLast: boolean): MemoryView {
  const axes = dims.map((_, i) => i);
  const order = channelsLast && dims.length >= 3 ? [0, ...axes.slice(2), 1] : axes;
  const strides: Dim[] = [];
  let stride: Dim = 1;
  for (const axis of [...order].reverse()) {
    strides[axis] = stride;
    stride = mulDims(stride, dims[axis]!);
  }
  return { offset: 0, dims, strides };
}
