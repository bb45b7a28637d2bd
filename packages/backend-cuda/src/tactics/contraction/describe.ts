/** A contraction as text: the operands' sources, the result, and the type that holds them (gemm/blocks.cuh). */

import {
  ceilDivDims,
  constantOf,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type GroupView,
  type MemoryView,
  mulDims,
  productOf,
} from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { cxxType } from '../../print/types.js';
import { sumType } from './dot-problem.js';
import { packConstant } from './pack.js';
import type { Operand, OperandAxes, Problem } from './problem.js';
import { printPrologue } from './prologue.js';
import { printResult } from './result.js';
import { printSource, type SourceText } from './source.js';

export interface Described {
  readonly text: string;
  readonly accumulator: string;
  /** Bytes of scratch memory for the sums of splits; undefined where there are none. */
  readonly partialBytes: Dim | undefined;
  /** Columns that are stored at once. */
  readonly width: number;
  /** Whether an operand is read element by element, for want of alignment. */
  readonly gathers: boolean;
}

export interface DescribeOptions {
  readonly splits: number;
  /** Whether a tile's splits are a cluster. Default: no. */
  readonly cluster?: boolean;
  /** How constants are laid out: which axis is innermost, and what its extent is rounded up to. */
  readonly inner: 'depth' | 'own';
  readonly multipleBytes: number;
  readonly leastCopyBytes: number;
  readonly alongRows: boolean;
  /** Where in scratch memory the sums of splits begin. Default: 0. */
  readonly partialOffset?: Dim;
}

/** The `Contraction` type of gemm/blocks.cuh, with its operands and its result. */
export function describeContraction(
  group: GroupView,
  problem: Problem,
  options: DescribeOptions,
  context: EmitContext,
  args: Arguments,
): Described {
  const accumulator = sumType(problem.left.dtype);
  const left = printOperand('Left', problem.left, problem.rows, group, problem, options, context, args);
  const right = printOperand('Right', problem.right, problem.columns, group, problem, options, context, args);
  const [batches, rows, columns, depth] = [problem.batch, problem.rows, problem.columns, problem.depth].map(productOf);
  const view = (input: number): MemoryView => context.view(input)!;
  const result = printResult({ group, problem, view, output: context.outputView(0)!, accumulator }, args);
  const pitch = mulDims(ceilDivDims(columns!, 4), 4);
  const accumulatorBytes = accumulator.endsWith('64') ? 8 : 4;
  const split = options.splits > 1 && options.cluster !== true;
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}(const Arguments& a) { return ${args.dim(d)}; }`;
  const text = [
    `struct Arguments;`,
    left.text,
    right.text,
    printPrologue(group, problem, context, args),
    result.text,
    'struct Contraction {',
    `  using Accumulator = ${accumulator};`,
    '  using Left = ::Left;',
    '  using Right = ::Right;',
    '  using Prologue = ::Prologue;',
    '  using Result = ::Result;',
    `  static constexpr int splits = ${String(options.splits)};`,
    `  static constexpr bool cluster = ${String(options.cluster ?? false)};`,
    extent('batches', batches!),
    extent('rows', rows!),
    extent('columns', columns!),
    extent('depth', depth!),
    ...(split
      ? [
          `  TW_DEVICE static ${accumulator}* partial(const Arguments& a) { return ${args.workspace(options.partialOffset ?? 0, accumulator)}; }`,
        ]
      : []),
    '};',
  ].join('\n');
  const partialBytes = split ? productOf([batches!, rows!, pitch, options.splits * accumulatorBytes]) : undefined;
  const gathers = left.width === 1 || right.width === 1;
  return { text, accumulator, partialBytes, width: result.width, gathers };
}

function printOperand(
  name: 'Left' | 'Right',
  operand: Operand,
  own: readonly Dim[],
  group: GroupView,
  problem: Problem,
  options: DescribeOptions,
  context: EmitContext,
  args: Arguments,
): SourceText {
  const type = cxxType(operand.dtype);
  const bytes = dtypeInfo(operand.dtype).bits / 8;
  const { leastCopyBytes, alongRows, inner } = options;
  const { batch, depth } = problem;
  const common = { name, type, bytes, batch, own, depth, leastCopyBytes, alongRows, used: operand.used };
  const print = (pointer: string, offset: Dim, axes: OperandAxes, packed = false): SourceText =>
    printSource({ ...common, pointer, offset, axes, constant: packed, padded: packed }, args);
  const { instead } = operand;
  if (instead && typeof instead !== 'function')
    return print(args.workspace(instead.view.offset, type), 0, operand.axes(instead.view));
  const tensor = instead?.() ?? constantOf(group.node.inputs[operand.input]);
  const order = { inner, multiple: Math.max(1, options.multipleBytes / bytes) };
  const packed = tensor && packConstant(tensor, operand, problem, own, order);
  if (packed) return print(args.constant(packed.tensor, type), 0, packed.axes, true);
  const view = context.view(operand.input)!;
  return print(args.input(operand.input, type), view.offset, operand.axes(view));
}
