/** dot, conv and convTranspose with the maps that follow them: one mainloop, operands and results as generated text. */

import {
  type Candidate,
  ceilDivDims,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { describeContraction, type DescribeOptions } from './contraction/describe.js';
import { sumType } from './contraction/dot-problem.js';
import { likelyExtents, onTensorCores, operandLayouts, problemOf, refuseContraction } from './contraction/group.js';
import { machineOf } from './contraction/machine.js';
import type { Problem } from './contraction/problem.js';
import {
  estimate,
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
          add(
            'tensor',
            { ...tile, splits },
            estimate({ ...plan, splits }, extents, bytes, tensorSpeed(bytes), machine),
          );
      }
    } else {
      const valueBytes = sumType(problem.left.dtype) === 'u64' || sumType(problem.left.dtype) === 'f64' ? 8 : 4;
      for (const tile of valueBytes === 8 ? wideSimtTiles : simtTiles) {
        const plan = { ...tile, threads: simtThreads(tile), sharedBytes: simtTileBytes(tile, valueBytes) };
        for (const splits of splitChoices(tile.rows, tile.columns, tile.depth * 4, extents, machine))
          add(
            'simt',
            { ...tile, splits },
            estimate({ ...plan, splits }, extents, bytes, simtSpeed(valueBytes), machine),
          );
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

function tensorThreads(t: TensorTile): number {
  return t.warpsDown * t.warpsAcross * 32;
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
