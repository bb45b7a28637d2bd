/** The step of the warpgroup kernel. */

import {
  ceilDivDims,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  minDims,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { cxxType } from '../../print/types.js';
import { sumType } from '../contraction/dot-problem.js';
import { problemOf } from '../contraction/group.js';
import { machineOf, usableFor } from '../contraction/machine.js';
import type { Problem } from '../contraction/problem.js';
import { printResult } from '../contraction/result.js';
import type { LoaderOptions } from './depth.js';
import { printImage } from './image.js';
import { type Matrix, printMatrix } from './matrix.js';
import { type NormalizedRows, printNormalization, scaledProblem } from './normalization.js';
import { type MappedOperand, type Operands, operandsOf, packed } from './operands.js';
import { permuteColumns } from './packed-columns.js';
import { printTilePrologue } from './prologue.js';
import { tileSharedBytes, tileThreads, type WarpgroupTile } from './tiles.js';

/**
 * undefined where an operand lies as no tensor map can describe it.
 * @param rows that are normalized on their way. Default: they are multiplied as they are.
 */
export function emitWarpgroups(
  group: GroupView,
  tile: WarpgroupTile,
  context: EmitContext,
  rows?: NormalizedRows,
): Promise<EmittedStep> | undefined {
  const plain = problemOf(group, context);
  const problem = rows ? scaledProblem(rows, plain) : plain;
  const view = (input: number): MemoryView => context.view(input)!;
  const operands = operandsOf(group, problem, view);
  if (operands?.span !== tile.span || (tile.permuted === 1 && !operands.right.constant)) return undefined;
  const { splits, shares } = tile;
  const cluster = splits * shares;
  const args = new Arguments();
  const isSwapped = tile.swapped === 1;
  const permuted = tile.permuted === 1;
  if (shares > 1 && (isSwapped ? operands.left : operands.right).image) return undefined;
  // The operand `Across` is the one that blocks share.
  const down = { rows: tile.rows, multicast: false };
  const across = { rows: tile.columns / shares, multicast: shares > 1 };
  const print = (name: 'Left' | 'Right', mapped: MappedOperand, side: typeof down, order: boolean): string =>
    printOperand(name, mapped, side, order, operands, problem, group, args);
  const left = print('Left', operands.left, isSwapped ? across : down, false);
  const right = print('Right', operands.right, isSwapped ? down : across, permuted);
  const accumulator = sumType(problem.left.dtype);
  const result = printResult({ group, problem, view, output: context.outputView(0)!, accumulator }, args);
  const [batches, ofRows, ofColumns] = [problem.batch, problem.rows, problem.columns].map(productOf) as [Dim, Dim, Dim];
  const [below, beside] = isSwapped ? [ofColumns, ofRows] : [ofRows, ofColumns];
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}(const Arguments& a) { return ${args.dim(d)}; }`;
  const instruction = problem.left.dtype === 'float32' ? 'tf32' : cxxType(problem.left.dtype);
  const holes = [
    `TW_USE_WGMMA(${instruction}, ${String(tile.columns)})`,
    left,
    right,
    printTilePrologue(group, context, args),
    result.text,
    printNormalization(rows, plain, args),
    'struct Contraction {',
    '  using Normalization = ::Normalization;',
    `  using Accumulator = ${accumulator};`,
    `  using Down = ::${isSwapped ? 'Right' : 'Left'};`,
    `  using Across = ::${isSwapped ? 'Left' : 'Right'};`,
    '  using Prologue = ::Prologue;',
    '  using Result = ::Result;',
    `  static constexpr bool swapped = ${String(isSwapped)}, permuted = ${String(permuted)};`,
    // What follows a convolution is mostly another one, whose weights would be in the way of these loads.
    `  static constexpr bool early = ${String(group.anchor!.op === 'dot')};`,
    `  static constexpr int splits = ${String(splits)}, shares = ${String(shares)}, span = ${String(tile.span)};`,
    extent('batches', batches),
    extent('rows', below),
    extent('columns', beside),
    extent('steps', mulDims(operands.depth.slices, operands.depth.taps)),
    '};',
  ].join('\n');
  const list = [tile.rows, tile.columns, tile.together, tile.turns, tile.stages, tile.blocks].map(String).join(', ');
  const threads = tileThreads(tile);
  const groups = productOf([batches, ceilDivDims(below, tile.rows * shares), ceilDivDims(beside, tile.columns)]);
  const persistent = splits === 1 && permuted;
  const resident = Math.max(1, Math.floor((tile.blocks * usableFor(cluster, machineOf().multiprocessors)) / cluster));
  return launchStep({
    uses: ['gemm_wgmma'],
    holes,
    text: `
extern "C" __global__ void __launch_bounds__(${String(threads)}, ${String(tile.blocks)}) product(const __grid_constant__ Arguments a) {
  gemm_wgmma<Contraction, ${list}>(a);
}
`,
    arguments: args,
    launches: [
      {
        function: 'product',
        grid: [mulDims(persistent ? minDims(groups, resident) : groups, cluster), 1, 1],
        block: [threads, 1, 1],
        sharedBytes: tileSharedBytes(tile),
        ...(cluster > 1 && { cluster: [cluster, 1, 1] as const }),
      },
    ],
  });
}

function printOperand(
  name: 'Left' | 'Right',
  { operand, matrix, image, constant }: MappedOperand,
  side: Pick<LoaderOptions, 'rows' | 'multicast'>,
  permuted: boolean,
  { depth, span, bytes }: Operands,
  problem: Problem,
  group: GroupView,
  args: Arguments,
): string {
  const loader = { name, type: cxxType(operand.dtype), bytes, ...side, span, constant };
  const input = { kind: 'input', index: operand.input } as const;
  if (image) return printImage(image, depth, { ...loader, source: input }, args);
  if (!constant) return printMatrix(matrix!, depth, { ...loader, source: input }, args);
  const tensor = packed(group, problem, operand);
  const made = permuted ? permuteColumns(tensor, matrix as Matrix<number>, bytes) : { tensor, matrix: matrix! };
  const source = { kind: 'constant', tensor: made.tensor } as const;
  return printMatrix(made.matrix, depth, { ...loader, source }, args);
}
