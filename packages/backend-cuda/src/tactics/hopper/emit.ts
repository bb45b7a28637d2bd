/** The step of the warpgroup kernel. */

import {
  ceilDivDims,
  constantOf,
  type Dim,
  dtypeInfo,
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
import { machineOf } from '../contraction/machine.js';
import { packConstant } from '../contraction/pack.js';
import type { Operand, Problem } from '../contraction/problem.js';
import { printResult } from '../contraction/result.js';
import { matrixOf, packedMatrix, printMatrix } from './operand.js';
import { permuteColumns } from './packed-columns.js';
import { span, tileSharedBytes, tileThreads, type WarpgroupTile } from './tiles.js';

/** undefined where an operand lies as no tensor map can describe it. */
export function emitWarpgroups(
  group: GroupView,
  tile: WarpgroupTile,
  context: EmitContext,
): Promise<EmittedStep> | undefined {
  const problem = problemOf(group, context);
  const args = new Arguments();
  const isSwapped = tile.swapped === 1;
  const [leftRows, rightRows] = isSwapped ? [tile.columns, tile.rows] : [tile.rows, tile.columns];
  const left = printOperand('Left', problem.left, problem.rows, leftRows, false, problem, group, context, args);
  const permuted = tile.permuted === 1;
  const right = printOperand(
    'Right',
    problem.right,
    problem.columns,
    rightRows,
    permuted,
    problem,
    group,
    context,
    args,
  );
  if (left === undefined || right === undefined) return undefined;
  const accumulator = sumType(problem.left.dtype);
  const view = (input: number): MemoryView => context.view(input)!;
  const result = printResult({ group, problem, view, output: context.outputView(0)!, accumulator }, args);
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const [batches, rows, columns, depth] = [problem.batch, problem.rows, problem.columns, problem.depth].map(
    productOf,
  ) as [Dim, Dim, Dim, Dim];
  const [down, across] = isSwapped ? [columns, rows] : [rows, columns];
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}(const Arguments& a) { return ${args.dim(d)}; }`;
  const instruction = problem.left.dtype === 'float32' ? 'tf32' : cxxType(problem.left.dtype);
  const holes = [
    `TW_USE_WGMMA(${instruction}, ${String(tile.columns)})`,
    left,
    right,
    result.text,
    'struct Contraction {',
    `  using Accumulator = ${accumulator};`,
    `  using Down = ::${isSwapped ? 'Right' : 'Left'};`,
    `  using Across = ::${isSwapped ? 'Left' : 'Right'};`,
    '  using Result = ::Result;',
    `  static constexpr bool swapped = ${String(isSwapped)}, permuted = ${String(permuted)};`,
    `  static constexpr int splits = ${String(tile.splits)}, span = ${String(span)};`,
    extent('batches', batches),
    extent('rows', down),
    extent('columns', across),
    extent('steps', ceilDivDims(depth, span / bytes)),
    '};',
  ].join('\n');
  const list = [tile.rows, tile.columns, tile.together, tile.turns, tile.stages].map(String).join(', ');
  const threads = tileThreads(tile);
  const tiles = productOf([batches, ceilDivDims(down, tile.rows), ceilDivDims(across, tile.columns)]);
  const persistent = tile.splits === 1 && permuted;
  const resident = tile.blocks * machineOf().multiprocessors;
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
        grid: [persistent ? minDims(tiles, resident) : mulDims(tiles, tile.splits), 1, 1],
        block: [threads, 1, 1],
        sharedBytes: tileSharedBytes(tile),
        ...(tile.splits > 1 && { cluster: [tile.splits, 1, 1] as const }),
      },
    ],
  });
}

function printOperand(
  name: 'Left' | 'Right',
  operand: Operand,
  own: readonly Dim[],
  rows: number,
  permuted: boolean,
  problem: Problem,
  group: GroupView,
  context: EmitContext,
  args: Arguments,
): string | undefined {
  if (operand.instead && typeof operand.instead !== 'function') return undefined;
  const bytes = dtypeInfo(operand.dtype).bits / 8;
  const { batch, depth } = problem;
  const common = { batch, own, depth, bytes };
  const loader = { name, type: cxxType(operand.dtype), bytes, rows };
  const tensor = operand.instead?.() ?? constantOf(group.node.inputs[operand.input]);
  const packed = tensor && packConstant(tensor, operand, problem, own, { inner: 'depth', multiple: 16 / bytes });
  if (!packed) {
    if (permuted) return undefined;
    const view = context.view(operand.input)!;
    const matrix = matrixOf({ ...common, axes: operand.axes(view), offset: view.offset });
    const source = { kind: 'input', index: operand.input } as const;
    return matrix && printMatrix(matrix, { ...loader, source, constant: false }, args);
  }
  const matrix = packedMatrix(batch, own, depth, bytes);
  if (!permuted)
    return printMatrix(
      matrix,
      { ...loader, source: { kind: 'constant', tensor: packed.tensor }, constant: true },
      args,
    );
  const to = permuteColumns(packed, matrix, bytes);
  return printMatrix(to.matrix, { ...loader, source: { kind: 'constant', tensor: to.tensor }, constant: true }, args);
}
