/** The operands of a contraction as tensor maps see them. */

import {
  constantOf,
  type Dim,
  dtypeInfo,
  elementCount,
  type GroupView,
  type MemoryView,
  type Tensor,
} from '@tensorwright/core';
import { packConstant } from '../contraction/pack.js';
import type { Operand, Problem } from '../contraction/problem.js';
import { type Depth, depthOf } from './depth.js';
import { type Image, imageOf } from './image.js';
import { type Matrix, matrixOf, packedMatrix } from './matrix.js';
import type { Span } from './tiles.js';

export interface MappedOperand {
  readonly operand: Operand;
  readonly matrix?: Matrix;
  readonly image?: Image;
  /** A constant lies as packedMatrix says. */
  readonly constant: boolean;
}

export interface Operands {
  readonly left: MappedOperand;
  readonly right: MappedOperand;
  readonly depth: Depth;
  readonly span: Span;
  /** Bytes of an element. */
  readonly bytes: number;
}

/** undefined where an operand lies as no tensor map describes it. */
export function operandsOf(
  group: GroupView,
  problem: Problem,
  view: (input: number) => MemoryView,
): Operands | undefined {
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const mapped = (operand: Operand, own: readonly Dim[]): MappedOperand | undefined => {
    const { batch, depth } = problem;
    if (isConstant(group, operand)) {
      if (![batch, own, depth].every((list) => list.every((d) => typeof d === 'number' && d > 0))) return undefined;
      return { operand, constant: true, matrix: packedMatrix(batch, own, depth, bytes) };
    }
    const at = view(operand.input);
    const matrix = matrixOf({ axes: operand.axes(at), offset: at.offset, batch, own, depth, bytes });
    if (matrix) return { operand, constant: false, matrix };
    const image = operand === problem.left ? imageOf(group, at, bytes) : undefined;
    return image && { operand, constant: false, image };
  };
  const left = mapped(problem.left, problem.rows);
  const right = mapped(problem.right, problem.columns);
  if (!left || !right || (left.image && !right.constant)) return undefined;
  const channels = left.image?.channels ?? left.matrix!.depth;
  const taps = left.image ? elementCount(left.image.geometry.kernel) : 1;
  const span = spanOf(channels, bytes);
  return { left, right, depth: depthOf(taps, channels, span, bytes), span, bytes };
}

/** Few channels take a narrow swizzle: what a line has more is loaded, and multiplied, as zeros. */
function spanOf(channels: Dim, bytes: number): Span {
  if (typeof channels !== 'number' || channels * bytes > 64) return 128;
  return channels * bytes > 32 ? 64 : 32;
}

function isConstant(group: GroupView, { input, instead }: Operand): boolean {
  return typeof instead === 'function' || constantOf(group.node.inputs[input]) !== undefined;
}

/** The constant operand, dense as packedMatrix says. */
export function packed(group: GroupView, problem: Problem, operand: Operand): Tensor {
  const own = operand === problem.left ? problem.rows : problem.columns;
  const bytes = dtypeInfo(operand.dtype).bits / 8;
  const tensor =
    typeof operand.instead === 'function' ? operand.instead() : constantOf(group.node.inputs[operand.input])!;
  return packConstant(tensor, operand, problem, own, { inner: 'depth', multiple: 16 / bytes })!.tensor;
}
