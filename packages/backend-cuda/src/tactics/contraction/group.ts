/** What the tactics of contractions ask of a group. */

import {
  type Dim,
  dimBounds,
  type DType,
  type EmitContext,
  type GroupView,
  type Layout,
  type TensorType,
} from '@tensorwright/core';
import { refuseScalars } from '../../print/scalars.js';
import type { CandidateOutline } from '../../tactic.js';
import { dtypeOf, refuseOperands, sameExtents } from '../operands.js';
import { convProblem, refuseConv } from './conv-problem.js';
import { dotProblem } from './dot-problem.js';
import type { Problem } from './problem.js';
import { imageInput, refusePrologue } from './prologue.js';
import type { Extents } from './tiles.js';

const contractions = new Set(['dot', 'conv', 'convTranspose']);

/**
 * Why no product kernel takes the group; undefined when they do.
 * @param computes whether the kernel can compute what it reads as its image. Default: no.
 */
export function refuseContraction(group: GroupView, computes = false): string | undefined {
  const { anchor } = group;
  if (!anchor || !contractions.has(anchor.op)) return 'no contraction';
  const reason = refuseOperands(group);
  if (reason !== undefined) return reason;
  if (group.outputs.length !== 1) return 'more than one result';
  if (group.anchorInputs.includes(-1)) {
    const refusal = computes ? refusePrologue(group) : 'a contraction reads no computed operand';
    if (refusal !== undefined) return refusal;
  }
  const dims = (anchor.outputs[0]!.type as TensorType).dims!;
  const outDims = (group.outputs[0]!.type as TensorType).dims!;
  if (!sameExtents(dims, outDims)) return 'the maps after a contraction keep its extents';
  return (anchor.op === 'dot' ? undefined : refuseConv(group)) ?? refuseScalars(group.expressions());
}

export function problemOf(group: GroupView, context?: EmitContext): Problem {
  if (group.anchor!.op !== 'dot') return convProblem(group);
  return dotProblem(group, context && group.anchorInputs.map((i) => context.view(i!)));
}

/** Extents to plan for: symbols are taken at 64 where their bounds allow it. */
export function likelyExtents(problem: Problem): Extents {
  const one = (d: Dim): number => {
    const { min, max } = dimBounds(d);
    return Math.min(max, Math.max(min, 64));
  };
  const size = (dims: readonly Dim[]): number =>
    dims.reduce<number>((p, d) => p * (typeof d === 'number' ? d : one(d)), 1);
  return {
    batch: size(problem.batch),
    rows: size(problem.rows),
    columns: size(problem.columns),
    depth: size(problem.depth),
  };
}

/** Images come and go channels-last; everything else as it lies. */
export function operandLayouts(group: GroupView): Pick<CandidateOutline, 'inputs' | 'outputs' | 'stridedOutput'> {
  const image = group.anchor!.op !== 'dot';
  const x = imageInput(group);
  const output: Layout = image ? 'channelsLast' : 'rows';
  return {
    inputs: group.node.inputs.map((_, i) => (image && i === x ? 'channelsLast' : 'strided')),
    outputs: [output],
    stridedOutput: true,
  };
}

function isHalf(dtype: DType): boolean {
  return dtype === 'float16' || dtype === 'bfloat16';
}

function isByte(dtype: DType): boolean {
  return dtype === 'int8' || dtype === 'uint8';
}

/** Float32 stays float32 unless the node asks for tf32. */
export function onTensorCores(group: GroupView): boolean {
  const [a, b] = group.anchor!.inputs.map((v) => dtypeOf(v));
  if (isHalf(a!)) return true;
  return (isByte(a!) && isByte(b!)) || (a === 'float32' && group.anchor!.attributes['tf32'] === true);
}
