/** What the kernels of deformable products ask of a problem, as C++ types. */

import {
  type Dim,
  type EmitContext,
  type GroupView,
  type MemoryView,
  productOf,
  provablyDivisible,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { cxxType } from '../../print/types.js';
import { index, indexType } from '../../print/views.js';
import { printExtents, printNumbers } from '../contraction/image-members.js';
import { printResult } from '../contraction/result.js';
import { dtypeOf } from '../operands.js';
import { type DeformProblem, powerDividing } from './problem.js';
import { chunkTable, pitchOf } from './weights.js';

export interface PrintedDeform {
  readonly text: string;
  /** Results that are stored at once. */
  readonly width: number;
}

export interface DeformParts {
  /** Blocks that share the steps of a tile. */
  readonly splits: number;
  /** The members of Deform that bring the weights. */
  readonly weights: string;
  /** Where the sums of splits begin in the scratch memory, in bytes. */
  readonly sums: number;
}

/** The types Result and Deform. */
export function printDeform(
  group: GroupView,
  problem: DeformProblem,
  { splits, weights, sums }: DeformParts,
  context: EmitContext,
  args: Arguments,
): PrintedDeform {
  const { geometry: g, result: shape } = problem;
  const [xInput, , offsetInput, , maskInput] = group.anchorInputs;
  const view = (input: number): MemoryView => context.view(input)!;
  const element = cxxType(problem.dtype);
  const result = printResult({ group, problem: shape, view, output: context.outputView(0)!, accumulator: 'f32' }, args);
  const image = view(xInput!);
  const width = provablyDivisible(image.offset, problem.width) ? problem.width : 1;
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}([[maybe_unused]] const Arguments& a) { return ${args.dim(d)}; }`;
  const numbers = {
    ...{ width: powerDividing(width, 8), channels: g.x[1] as number, chunks: problem.chunks[0]!.length },
    ...{ taps: g.kernel[0]! * g.kernel[1]!, taps_x: g.kernel[1]!, pitch: pitchOf(problem), splits },
    ...{ stride_y: g.strides[0]!, stride_x: g.strides[1]!, dilation_y: g.dilations[0]!, dilation_x: g.dilations[1]! },
  };
  const partial = `  TW_DEVICE static f32* partial(const Arguments& a) { return ${splits > 1 ? args.workspace(sums, 'f32') : 'nullptr'}; }`;
  const text = `
struct Arguments;
${result.text}
struct Deform {
  using Element = ${element};
  using Accumulator = f32;
  using Result = ::Result;
${printNumbers(numbers)}
${printExtents(g, args)}
${extent('rows', productOf(shape.rows))}
${extent('columns', problem.columns)}
${extent('batches', problem.groups)}
${partial}
  TW_DEVICE static const ${element}* image(const Arguments& a) { return ${args.input(xInput!, element)}; }
  TW_DEVICE static const i32* table(const Arguments& a) { return ${args.constant(chunkTable(problem), 'i32')}; }
${weights}
${printElement('shift', offsetInput!, group, context, args)}
${maskInput === undefined ? '  TW_DEVICE static f32 scale(const Arguments&, i32, i32, i32, i32) { return 1.0f; }' : printElement('scale', maskInput, group, context, args)}
};`;
  return { text, width: result.width };
}

/** `f32 NAME(a, n, at, y, x)`: an element of an operand. */
export function printElement(
  name: string,
  input: number,
  group: GroupView,
  context: EmitContext,
  args: Arguments,
): string {
  const view = context.view(input)!;
  const type = cxxType(dtypeOf(group.node.inputs[input])!);
  const number = indexType(view);
  const at = index(
    view,
    ['n', 'at', 'y', 'x'].map((c) => `${number}(${c})`),
    args,
  );
  return `  TW_DEVICE static f32 ${name}(const Arguments& a, i32 n, i32 at, i32 y, i32 x) {
    return convert<f32>(${args.input(input, type)}[${at}]);
  }`;
}
