/** Steps of the product kernels: the launches of a tile's kernel, of what comes before it, and of the sum over splits. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { Workspace } from '../../launch/workspace.js';
import { describeContraction, type DescribeOptions } from './describe.js';
import { sumType } from './dot-problem.js';
import { problemOf } from './group.js';
import { isPatches } from './patches.js';
import type { Problem } from './problem.js';
import { sideBytes } from './prologue.js';
import { imageBytes, printPadding, stemProblem } from './stem.js';
import { simtThreads, type SimtTile, simtTileBytes, type TensorTile, tensorThreads, tensorTileBytes } from './tiles.js';

export interface Splits {
  /** Blocks that share the depth of a tile. */
  readonly splits: number;
}

interface Kernel extends Splits {
  /** Of a tile. */
  readonly rows: number;
  readonly columns: number;
  readonly uses: string;
  readonly call: string;
  readonly threads: number;
  readonly sharedBytes: number;
  /** Whether the splits of a tile are a cluster. Default: no. */
  readonly cluster?: boolean;
  /** Blocks of a multiprocessor to leave registers for. */
  readonly blocks: number;
}

export function emitTensor(
  group: GroupView,
  tile: TensorTile & Splits,
  { stem, cluster }: { readonly stem: boolean; readonly cluster: boolean },
  context: EmitContext,
): Promise<EmittedStep> {
  const problem = stem ? stemProblem(group) : problemOf(group, context);
  const bytes = dtypeInfo(problem.left.dtype).bits / 8;
  const options = { inner: 'depth', multipleBytes: 16, leastCopyBytes: 4, alongRows: bytes === 2 } as const;
  const ring = ringOf(group, tile);
  const list = [tile.rows, tile.columns, tile.depthBytes / bytes, tile.warpsDown, tile.warpsAcross, ring.stages];
  const kernel = {
    ...tile,
    uses: 'gemm',
    call: `gemm_tensor_core<Contraction, ${list.join(', ')}>(a)`,
    threads: tensorThreads(tile),
    sharedBytes: Math.max(ring.bytes, tensorTileBytes(tile, cluster)),
    cluster,
  };
  return emitProduct(group, problem, options, stem, context, kernel);
}

const sharedLine = 128;
/** Of a block, on every device that runs these kernels. */
const mostSharedBytes = 99 * 1024;

/** The ring of stages: as many as the tile wants, where the sides of a prologue leave room for them. */
function ringOf(group: GroupView, tile: TensorTile): { stages: number; bytes: number } {
  const stage = (tile.rows + tile.columns) * tile.depthBytes + sideBytes(group, tile.rows, tile.depthBytes);
  const bytes = Math.ceil(stage / sharedLine) * sharedLine;
  const stages = group.anchorInputs[0] === -1 ? Math.floor(mostSharedBytes / bytes) : tile.stages;
  return { stages: Math.min(tile.stages, stages), bytes: Math.min(tile.stages, stages) * bytes };
}

export function emitSimt(group: GroupView, tile: SimtTile & Splits, context: EmitContext): Promise<EmittedStep> {
  const problem = problemOf(group, context);
  const valueBytes = sumType(problem.left.dtype).endsWith('64') ? 8 : 4;
  const options = { inner: 'own', multipleBytes: 16, leastCopyBytes: 1, alongRows: true } as const;
  const list = [tile.rows, tile.columns, tile.depth, tile.threadRows, tile.threadColumns];
  const threads = simtThreads(tile);
  const kernel = {
    ...tile,
    uses: 'gemm_simt',
    call: `gemm_simt<Contraction, ${list.join(', ')}>(a)`,
    threads,
    sharedBytes: simtTileBytes(tile, valueBytes),
    blocks: tile.threadRows * tile.threadColumns < 64 ? 1 : threads < 256 ? 3 : 2,
  };
  return emitProduct(group, problem, options, false, context, kernel);
}

const addThreads = 256;
/** Of a multiprocessor, and what a thread with room to spare has. */
const registers = 65536;
const mostThreadRegisters = 128;
/** Columns of the kernel that adds splits. */
const mostAddWidth = 4;

function emitProduct(
  group: GroupView,
  problem: Problem,
  options: Omit<DescribeOptions, 'splits'>,
  stem: boolean,
  context: EmitContext,
  kernel: Kernel,
): Promise<EmittedStep> {
  const args = new Arguments();
  const { splits, cluster = false } = kernel;
  const adds = splits > 1 && !cluster;
  const padding = stem && !isPatches(group) ? printPadding(group, context, args) : undefined;
  const workspace = new Workspace();
  if (padding) workspace.take(imageBytes(group));
  const partialOffset = workspace.bytes;
  const described = describeContraction(group, problem, { ...options, splits, cluster, partialOffset }, context, args);
  const { partialBytes } = described;
  // Loads of single elements are many at a time and hold many registers; a prologue takes a few of a crowded thread.
  const crowded = kernel.threads * kernel.blocks * mostThreadRegisters >= registers && group.anchorInputs[0] === -1;
  const blocks = (described.gathers || crowded) && kernel.uses === 'gemm' ? 1 : kernel.blocks;
  const add = `
extern "C" __global__ void __launch_bounds__(${String(addThreads)}) add(const __grid_constant__ Arguments a) {
  add_splits<Contraction, ${String(addThreads)}>(a);
}`;
  const text = `${padding?.text ?? ''}
extern "C" __global__ void __launch_bounds__(${String(kernel.threads)}, ${String(blocks)}) product(const __grid_constant__ Arguments a) {
  ${kernel.call};
}
${adds ? add : ''}`;
  const [batches, rows, columns] = [problem.batch, problem.rows, problem.columns].map(productOf) as [Dim, Dim, Dim];
  const tiles = productOf([batches, ceilDivDims(rows, kernel.rows), ceilDivDims(columns, kernel.columns)]);
  const vectors = productOf([batches, rows, ceilDivDims(columns, Math.min(mostAddWidth, described.width))]);
  return launchStep({
    uses: [kernel.uses],
    holes: described.text,
    text,
    arguments: args,
    launches: [
      ...(padding ? [padding.launch] : []),
      {
        function: 'product',
        grid: [tiles, splits, 1],
        block: [kernel.threads, 1, 1],
        sharedBytes: kernel.sharedBytes,
        ...(cluster && { cluster: [1, splits, 1] as const }),
      },
      ...(adds
        ? [{ function: 'add', grid: [ceilDivDims(vectors, addThreads), 1, 1], block: [addThreads, 1, 1] } as const]
        : []),
    ],
    ...((padding ?? partialBytes) !== undefined && { workspaceBytes: addDims(partialOffset, partialBytes ?? 0) }),
  });
}
