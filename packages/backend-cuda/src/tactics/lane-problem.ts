/** The generated half of kernels over rows and columns: a struct `Problem` with the operands' accessors. */

import {
  anchorArg,
  type Dim,
  type DType,
  dtypeInfo,
  type EmitContext,
  type GroupView,
  type MemoryView,
} from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { printScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import { broadcastStrides, type LaneOperand, type LaneSpace, printLoad, printOffsets } from './lanes.js';
import { dtypeOf } from './operands.js';

/** From strides along the axes of a group's output to strides along the axes of a space. */
export type ToSpace = (strides: readonly Dim[]) => readonly Dim[];

export function inputOperand(
  group: GroupView,
  index: number,
  args: Arguments,
  name: string,
  view: MemoryView,
  strides: readonly Dim[],
): LaneOperand {
  const dtype = dtypeOf(group.node.inputs[index])!;
  return laneOperand(name, dtype, args.input(index, cxxType(dtype)), view, strides);
}

export function outputOperand(
  group: GroupView,
  index: number,
  args: Arguments,
  name: string,
  view: MemoryView,
  strides: readonly Dim[],
): LaneOperand {
  const dtype = dtypeOf(group.outputs[index])!;
  return laneOperand(name, dtype, args.output(index, cxxType(dtype)), view, strides);
}

function laneOperand(
  name: string,
  dtype: DType,
  pointer: string,
  { offset }: MemoryView,
  strides: readonly Dim[],
): LaneOperand {
  return { name, pointer, type: cxxType(dtype), bytes: dtypeInfo(dtype).bits / 8, offset, strides };
}

export interface Epilogue {
  /** Operands it reads besides the anchor's value, to be printed with the problem. */
  readonly operands: readonly LaneOperand[];
  /** Statements for one element. */
  readonly statements: string;
  readonly result: string;
}

/**
 * The group's expression of its output `output` over the anchor's first.
 * @param value C++ of the anchor's value, in its stored type or its domain
 * @param element C++ of an operand's element
 */
export function printEpilogue(
  group: GroupView,
  context: EmitContext,
  args: Arguments,
  toSpace: ToSpace,
  value: string,
  element: (operand: LaneOperand) => string,
  output = 0,
): Epilogue {
  const operands: LaneOperand[] = [];
  const { dims } = context.outputView(output)!;
  const { statements, results } = printScalars([group.expressions()[output]!], (index) => {
    if (index === anchorArg(group)) return value;
    const view = context.view(index)!;
    const operand = inputOperand(group, index, args, `e${String(index)}`, view, toSpace(broadcastStrides(view, dims)));
    operands.push(operand);
    return element(operand);
  });
  return { operands, statements, result: results[0]! };
}

/** `struct Problem`: extents, operands and whatever `members` add. */
export function printProblem(
  space: LaneSpace,
  args: Arguments,
  operands: readonly LaneOperand[],
  members: readonly string[],
): string {
  return `
struct Problem {
  using Index = ${space.index};
  static constexpr int V = ${String(space.width)};
  const Arguments& a;
  TW_DEVICE Index rows() const { return ${args.dim(space.rows)}; }
  TW_DEVICE Index columns() const { return ${args.dim(space.columns)}; }
${operands.map((o) => printOffsets(space, o, args)).join('')}${members.join('')}};
`;
}

/** The loads of operands as vectors, one function each: `name_load`. */
export function printLoads(space: LaneSpace, operands: readonly LaneOperand[]): string[] {
  return operands.map((o) => printLoad(space, o));
}
