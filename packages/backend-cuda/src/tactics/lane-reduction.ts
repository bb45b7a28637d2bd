/** One kernel for everything that makes one result of each row: reduce.cuh with an operation. */

import { ceilDivDims, type Dim, type EmitContext, type EmittedStep, type GroupView, mulDims } from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { type Launch, launchStep } from '../launch/launch-step.js';
import { inputOperand, outputOperand, printEpilogue, printProblem } from './lane-problem.js';
import { clamp, enoughBlocks, outerShape, powerOfTwo, splitsFor } from './lane-shape.js';
import { laneSpace, type LaneSpace, printLoad } from './lanes.js';
import { typicalExtent } from './operands.js';

export interface Reduction {
  readonly axes: readonly number[];
  readonly keepdims: boolean;
  /** C++ type of the operation. */
  readonly operation: string;
  /** At least the size of its accumulator. */
  readonly accumulatorBytes: number;
  /** C++ of the result from the accumulator `acc`, in the anchor's stored type or its domain. */
  readonly value: string;
  readonly uses: readonly string[];
}

const block = 256;

interface Shape {
  /** C++ of the kernel's body. */
  readonly call: string;
  readonly block: number;
  readonly rowsPerBlock: number;
  readonly splits: number;
  /** Columns of a split are a multiple of this. */
  readonly step: number;
}

export function emitReduction(group: GroupView, context: EmitContext, reduction: Reduction): Promise<EmittedStep> {
  const args = new Arguments();
  const x = context.view(group.anchorInputs[0]!)!;
  const y = context.outputView(0)!;
  const isColumn = (axis: number): boolean => reduction.axes.includes(axis);
  // Where each axis of x is in the output.
  let kept = 0;
  const place = x.dims.map((_, axis) => (isColumn(axis) ? -1 : reduction.keepdims ? axis : kept++));
  const toSpace = (strides: readonly Dim[]): readonly Dim[] => place.map((at) => (at < 0 ? 0 : strides[at]!));

  const main = inputOperand(group, group.anchorInputs[0]!, args, 'x', x, x.strides);
  const out = outputOperand(group, 0, args, 'y', y, toSpace(y.strides));
  const epilogue = printEpilogue(
    group,
    context,
    args,
    toSpace,
    reduction.value,
    (o) => `${o.pointer}[${o.name}_row(row)]`,
  );
  const operands = [main, out, ...epilogue.operands];
  const space = laneSpace(x.dims, isColumn, main, operands);
  const shape = space.along === 'columns' ? innerShape(space) : outerReduction(space, reduction.accumulatorBytes);
  const chunk = mulDims(ceilDivDims(ceilDivDims(space.columns, shape.step), shape.splits), shape.step);
  const members = [
    `  using X = ${main.type};\n`,
    `  TW_DEVICE Index splits() const { return ${String(shape.splits)}; }\n`,
    `  TW_DEVICE Index chunk() const { return ${args.dim(chunk)}; }\n`,
    printPartial(shape.splits, args),
    printLoad(space, main, 'load'),
    '  template <typename Acc>\n  TW_DEVICE void finish(Index row, const Acc& acc) const {\n',
    `    ${epilogue.statements}\n`,
    `    ${out.pointer}[y_row(row)] = convert<${out.type}>(${epilogue.result});\n  }\n`,
  ];
  const text = `${printProblem(space, args, operands, members)}
extern "C" __global__ void __launch_bounds__(${String(shape.block)}) reduce(const __grid_constant__ Arguments a) {
  ${shape.call.replace('OPERATION', reduction.operation)}(Problem{a});
}
${shape.splits > 1 ? secondKernel(reduction.operation) : ''}`;
  const launches: Launch[] = [
    {
      function: 'reduce',
      grid: [ceilDivDims(space.rows, shape.rowsPerBlock), shape.splits, 1],
      block: [shape.block, 1, 1],
    },
  ];
  if (shape.splits > 1)
    launches.push({ function: 'reduce_second', grid: [ceilDivDims(space.rows, secondRows), 1, 1], block: [128, 1, 1] });
  return launchStep({
    uses: reduction.uses,
    text,
    arguments: args,
    launches,
    ...(shape.splits > 1 && { workspaceBytes: mulDims(space.rows, shape.splits * reduction.accumulatorBytes) }),
  });
}

const secondRows = 4;

function secondKernel(operation: string): string {
  return `
extern "C" __global__ void __launch_bounds__(128) reduce_second(const __grid_constant__ Arguments a) {
  reduce_parts<${operation}, 128>(Problem{a});
}
`;
}

function printPartial(splits: number, args: Arguments): string {
  const pointer = splits > 1 ? `reinterpret_cast<Acc*>(${args.workspace(0, 'u8')})` : 'nullptr';
  return `  template <typename Acc>\n  TW_DEVICE Acc* partial() const { return ${pointer}; }\n`;
}

/** Threads side by side on a row: as few as keep the device busy, a whole block where rows are few. */
function innerShape(space: LaneSpace): Shape {
  const rows = Math.max(1, typicalExtent(space.rows));
  const packs = Math.ceil(typicalExtent(space.columns) / space.width);
  let threads = clamp(powerOfTwo(Math.ceil(packs / 4)), 1, 32);
  const busy = enoughBlocks * block;
  if (rows * threads < busy) threads = clamp(powerOfTwo(Math.min(packs, busy / rows)), 1, 32);
  if (rows * threads < busy && packs >= block / 2) threads = block;
  const step = threads * space.width;
  // Small blocks spread few rows over all multiprocessors.
  const size = threads > 32 ? threads : clamp(powerOfTwo((rows * threads) / enoughBlocks), 64, block);
  const blocks = Math.ceil((rows * threads) / size);
  const splits = splitsFor(blocks, Math.ceil(packs / (threads * 4)));
  return {
    call: `reduce_inner<OPERATION, ${String(size)}, ${String(threads)}>`,
    block: size,
    rowsPerBlock: size / threads,
    splits,
    step,
  };
}

function outerReduction(space: LaneSpace, accumulatorBytes: number): Shape {
  const { tx, ty, rowsOfBlock } = outerShape(space, accumulatorBytes);
  const blocks = Math.ceil(Math.max(1, typicalExtent(space.rows)) / rowsOfBlock);
  return {
    call: `reduce_outer<OPERATION, ${String(tx)}, ${String(ty)}>`,
    block: tx * ty,
    rowsPerBlock: rowsOfBlock,
    splits: splitsFor(blocks, typicalExtent(space.columns) / (ty * 8)),
    step: ty,
  };
}
