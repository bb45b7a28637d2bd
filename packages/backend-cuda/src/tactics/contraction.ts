/** dot, conv and convTranspose with the maps that follow them: one mainloop, operands and results as generated text. */

import {
  type Candidate,
  ceilDivDims,
  constantOf,
  type Dim,
  dimBounds,
  type DType,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  isInteger,
  type Layout,
  type MemoryView,
  mulDims,
  productOf,
  provablyEqual,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { convProblem, refuseConv } from './contraction/conv-problem.js';
import { dotProblem, sumType } from './contraction/dot-problem.js';
import { machineOf } from './contraction/machine.js';
import { packConstant } from './contraction/pack.js';
import type { Operand, Problem } from './contraction/problem.js';
import { printResult } from './contraction/result.js';
import { printSource } from './contraction/source.js';
import {
  estimate,
  type Extents,
  simtSpeed,
  simtThreads,
  type SimtTile,
  simtTileBytes,
  simtTiles,
  splitChoices,
  tensorSpeed,
  type TensorTile,
  tensorTileBytes,
  tensorTiles,
  wideSimtTiles,
} from './contraction/tiles.js';
import { dtypeOf, refuseOperands } from './operands.js';

export const contraction: Tactic = {
  name: 'contraction',
  refuses: refuseContraction,
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = problemOf(group);
    const extents = likelyExtents(problem);
    const machine = machineOf();
    const bytes = dtypeInfo(problem.left.dtype).bits / 8;
    const found: CandidateOutline[] = [];
    const add = (variant: string, parameters: Record<string, number>, microseconds: number): void => {
      found.push({ variant, parameters, ...operandLayouts(group), estimate: microseconds });
    };
    if (onTensorCores(group)) {
      for (const tile of tensorTiles) {
        const depth = tile.depthBytes / bytes;
        const plan = { ...tile, depth, threads: tensorThreads(tile), sharedBytes: tensorTileBytes(tile) };
        for (const splits of splitChoices(tile.rows, tile.columns, depth, extents, machine))
          add('tensor', { ...tile, splits }, estimate({ ...plan, splits }, extents, bytes, tensorSpeed(bytes), machine));
      }
    } else {
      const valueBytes = sumType(problem.left.dtype) === 'u64' || sumType(problem.left.dtype) === 'f64' ? 8 : 4;
      for (const tile of valueBytes === 8 ? wideSimtTiles : simtTiles) {
        const plan = { ...tile, threads: simtThreads(tile), sharedBytes: simtTileBytes(tile, valueBytes) };
        for (const splits of splitChoices(tile.rows, tile.columns, tile.depth * 4, extents, machine))
          add('simt', { ...tile, splits }, estimate({ ...plan, splits }, extents, bytes, simtSpeed(valueBytes), machine));
      }
    }
    return found.sort((a, b) => a.estimate - b.estimate).slice(0, mostCandidates);
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const parameters = candidate.parameters as Readonly<Record<string, number>>;
    return 'warpsDown' in parameters
      ? emitTensor(group, parameters as unknown as TensorTile & Splits, context)
      : emitSimt(group, parameters as unknown as SimtTile & Splits, context);
  },
};

const mostCandidates = 8;

interface Splits {
  readonly splits: number;
}

const contractions = new Set(['dot', 'conv', 'convTranspose']);

/** Why no product kernel takes the group; undefined when they do. */
export function refuseContraction(group: GroupView): string | undefined {
  const { anchor } = group;
  if (!anchor || !contractions.has(anchor.op)) return 'no contraction';
  const reason = refuseOperands(group);
  if (reason !== undefined) return reason;
  if (group.outputs.length !== 1) return 'more than one result';
  if (group.anchorInputs.includes(-1)) return 'a contraction reads no computed operand';
  const dims = (anchor.outputs[0]!.type as TensorType).dims!;
  const outDims = (group.outputs[0]!.type as TensorType).dims!;
  if (dims.length !== outDims.length || !dims.every((d, i) => provablyEqual(d, outDims[i]!)))
    return 'the maps after a contraction keep its extents';
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
  const size = (dims: readonly Dim[]): number => dims.reduce<number>((p, d) => p * (typeof d === 'number' ? d : one(d)), 1);
  return { batch: size(problem.batch), rows: size(problem.rows), columns: size(problem.columns), depth: size(problem.depth) };
}

/** Images come and go channels-last; everything else as it lies. */
export function operandLayouts(group: GroupView): Pick<CandidateOutline, 'inputs' | 'outputs' | 'stridedOutput'> {
  const image = group.anchor!.op !== 'dot';
  const x = group.anchorInputs[0];
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
function onTensorCores(group: GroupView): boolean {
  const [a, b] = group.anchor!.inputs.map((v) => dtypeOf(v));
  if (isHalf(a!)) return true;
  return (isByte(a!) && isByte(b!)) || (a === 'float32' && group.anchor!.attributes['tf32'] === true);
}

function tensorThreads(t: TensorTile): number {
  return t.warpsDown * t.warpsAcross * 32;
}

export interface Described {
  readonly text: string;
  readonly accumulator: string;
  /** Bytes of scratch memory for the sums of splits; undefined where there are none. */
  readonly workspaceBytes: Dim | undefined;
}

export interface DescribeOptions {
  readonly splits: number;
  /** How constants are laid out: which axis is innermost, and what its extent is rounded up to. */
  readonly inner: 'depth' | 'own';
  readonly multipleBytes: number;
  readonly leastCopyBytes: number;
  readonly alongRows: boolean;
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
  const source = (name: 'Left' | 'Right', operand: Operand, own: readonly Dim[]): string => {
    const type = cxxType(operand.dtype);
    const bytes = dtypeInfo(operand.dtype).bits / 8;
    const common = { name, type, bytes, batch: problem.batch, own, depth: problem.depth };
    const copies = { leastCopyBytes: options.leastCopyBytes, alongRows: options.alongRows };
    const tensor = constantOf(group.node.inputs[operand.input]);
    const packed = tensor && packConstant(tensor, operand, problem, own, {
      inner: options.inner,
      multiple: Math.max(1, options.multipleBytes / bytes),
    });
    if (packed) {
      const pointer = args.constant(packed.tensor, type);
      return printSource({ ...common, ...copies, pointer, offset: 0, axes: packed.axes, constant: true }, args).text;
    }
    const view = context.view(operand.input)!;
    const pointer = args.input(operand.input, type);
    const axes = operand.axes(view);
    return printSource({ ...common, ...copies, pointer, offset: view.offset, axes, constant: false }, args).text;
  };
  const [batches, rows, columns, depth] = [problem.batch, problem.rows, problem.columns, problem.depth].map(productOf);
  const view = (input: number): MemoryView => context.view(input)!;
  const result = printResult({ group, problem, view, output: context.outputView(0)!, accumulator }, args);
  const pitch = mulDims(ceilDivDims(columns!, 4), 4);
  const accumulatorBytes = accumulator.endsWith('64') ? 8 : 4;
  const split = options.splits > 1;
  const extent = (name: string, d: Dim): string =>
    `  TW_DEVICE static i32 ${name}(const Arguments& a) { return ${args.dim(d)}; }`;
  const text = [
    `struct Arguments;`,
    source('Left', problem.left, problem.rows),
    source('Right', problem.right, problem.columns),
    result,
    'struct Contraction {',
    `  using Accumulator = ${accumulator};`,
    '  using Left = ::Left;',
    '  using Right = ::Right;',
    '  using Result = ::Result;',
    `  static constexpr int splits = ${String(options.splits)};`,
    extent('batches', batches!),
    extent('rows', rows!),
    extent('columns', columns!),
    extent('depth', depth!),
    ...(split
      ? [`  TW_DEVICE static ${accumulator}* partial(const Arguments& a) { return ${args.workspace(0, accumulator)}; }`]
      : []),
    '};',
  ].join('\n');
  const workspaceBytes = split
    ? productOf([batches!, rows!, pitch, options.splits * accumulatorBytes])
    : undefined;
  return { text, accumulator, workspaceBytes };
}

function emitTensor(group: GroupView, tile: TensorTile & Splits, context: EmitContext): Promise<EmittedStep> {
  const problem = problemOf(group, context);
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const described = { inner: 'depth', multipleBytes: 16, leastCopyBytes: 4, alongRows: bytes === 2 } as const;
  const list = [tile.rows, tile.columns, tile.depthBytes / bytes, tile.warpsDown, tile.warpsAcross, tile.stages];
  return emitProduct(group, problem, described, context, {
    ...tile,
    uses: 'gemm',
    call: `gemm_tensor_core<Contraction, ${list.join(', ')}>(a)`,
    threads: tensorThreads(tile),
    sharedBytes: tensorTileBytes(tile),
    blocks: tile.blocks,
  });
}

function emitSimt(group: GroupView, tile: SimtTile & Splits, context: EmitContext): Promise<EmittedStep> {
  const problem = problemOf(group, context);
  const valueBytes = sumType(problem.left.dtype).endsWith('64') ? 8 : 4;
  const described = { inner: 'own', multipleBytes: 16, leastCopyBytes: 1, alongRows: true } as const;
  const list = [tile.rows, tile.columns, tile.depth, tile.threadRows, tile.threadColumns];
  const threads = simtThreads(tile);
  return emitProduct(group, problem, described, context, {
    ...tile,
    uses: 'gemm_simt',
    call: `gemm_simt<Contraction, ${list.join(', ')}>(a)`,
    threads,
    sharedBytes: simtTileBytes(tile, valueBytes),
    blocks: tile.threadRows * tile.threadColumns >= 64 ? Math.floor(512 / threads) : 1,
  });
}

interface Kernel extends Splits {
  readonly rows: number;
  readonly columns: number;
  readonly uses: string;
  readonly call: string;
  readonly threads: number;
  readonly sharedBytes: number;
  /** Blocks of a multiprocessor to leave registers for. */
  readonly blocks: number;
}

const addThreads = 256;

function emitProduct(
  group: GroupView,
  problem: Problem,
  options: Omit<DescribeOptions, 'splits'>,
  context: EmitContext,
  kernel: Kernel,
): Promise<EmittedStep> {
  const args = new Arguments();
  const { splits } = kernel;
  const { text: holes, workspaceBytes } = describeContraction(group, problem, { ...options, splits }, context, args);
  const bounds = `${String(kernel.threads)}, ${String(kernel.blocks)}`;
  const add = `
extern "C" __global__ void __launch_bounds__(${String(addThreads)}) add(const __grid_constant__ Arguments a) {
  add_splits<Contraction, ${String(addThreads)}>(a);
}`;
  const text = `
extern "C" __global__ void __launch_bounds__(${bounds}) product(const __grid_constant__ Arguments a) {
  ${kernel.call};
}
${splits > 1 ? add : ''}`;
  const [batches, rows, columns] = [problem.batch, problem.rows, problem.columns].map(productOf) as [Dim, Dim, Dim];
  const tiles = productOf([batches, ceilDivDims(rows, kernel.rows), ceilDivDims(columns, kernel.columns)]);
  return launchStep({
    uses: [kernel.uses],
    holes,
    text,
    arguments: args,
    launches: [
      { function: 'product', grid: [tiles, splits, 1], block: [kernel.threads, 1, 1], sharedBytes: kernel.sharedBytes },
      ...(splits > 1
        ? [
            {
              function: 'add',
              // A thread takes at least one column: this many blocks reach whatever the width of a vector.
              grid: [ceilDivDims(productOf([batches, rows, columns]), addThreads), 1, 1] as const,
              block: [addThreads, 1, 1] as const,
            },
          ]
        : []),
    ],
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  });
}

/** Whether values of the type are summed exactly, by wrapping. */
export function sumsWrap(dtype: DType): boolean {
  return isInteger(dtype);
}
