/** Tiles of the product kernels that every device runs, as work for the model. */

import { usableFor } from './machine.js';
import type { Work } from './model.js';

/** A tile of the tensor-core kernel. */
export interface TensorTile {
  readonly rows: number;
  readonly columns: number;
  /** Bytes of depth of a stage. */
  readonly depthBytes: number;
  readonly warpsDown: number;
  readonly warpsAcross: number;
  readonly stages: number;
  /** Blocks that a multiprocessor should hold: bounds the registers. */
  readonly blocks: number;
}

function tensorTile(
  [rows, columns]: readonly [number, number],
  depthBytes: number,
  [warpsDown, warpsAcross]: readonly [number, number],
  stages: number,
  blocks: number,
): TensorTile {
  return { rows, columns, depthBytes, warpsDown, warpsAcross, stages, blocks };
}

/** Widths that are no powers of two are for constants: only copies along the depth fill such tiles. */
export const tensorTiles: readonly TensorTile[] = [
  tensorTile([256, 128], 64, [4, 2], 4, 1),
  tensorTile([128, 256], 64, [2, 4], 4, 1),
  tensorTile([128, 128], 64, [2, 4], 4, 2),
  tensorTile([128, 128], 64, [2, 2], 4, 2),
  tensorTile([128, 96], 64, [2, 2], 4, 2),
  tensorTile([128, 64], 128, [2, 2], 3, 2),
  tensorTile([64, 128], 128, [2, 2], 3, 2),
  tensorTile([64, 64], 128, [2, 2], 4, 3),
  tensorTile([64, 96], 128, [2, 2], 3, 3),
  tensorTile([128, 32], 128, [4, 1], 3, 3),
  tensorTile([64, 32], 128, [2, 2], 4, 4),
  tensorTile([32, 128], 128, [1, 4], 4, 2),
  tensorTile([32, 64], 128, [2, 2], 4, 4),
  tensorTile([32, 32], 128, [2, 2], 4, 4),
  tensorTile([16, 64], 128, [1, 4], 4, 4),
  tensorTile([16, 32], 128, [1, 2], 4, 4),
];

export function tensorThreads(t: TensorTile): number {
  return t.warpsDown * t.warpsAcross * 32;
}

/** Shared memory of a block; in clusters a whole tile of sums lies there. */
export function tensorTileBytes(t: TensorTile, cluster = false): number {
  const ring = t.stages * (t.rows + t.columns) * t.depthBytes;
  const scratch = t.warpsDown * t.warpsAcross * 16 * (t.columns / t.warpsAcross + 8) * 4;
  return Math.max(ring, scratch, cluster ? t.rows * (t.columns + 8) * 4 : 0);
}

/** A tile of the kernel in ordinary arithmetic. */
export interface SimtTile {
  readonly rows: number;
  readonly columns: number;
  /** Elements of depth of a stage. */
  readonly depth: number;
  readonly threadRows: number;
  readonly threadColumns: number;
}

function simtTile(rows: number, columns: number, depth: number, threadRows: number, threadColumns: number): SimtTile {
  return { rows, columns, depth, threadRows, threadColumns };
}

export const simtTiles: readonly SimtTile[] = [
  simtTile(128, 128, 8, 8, 8),
  simtTile(128, 64, 8, 8, 8),
  simtTile(64, 128, 8, 8, 8),
  simtTile(64, 64, 16, 8, 4),
  simtTile(128, 32, 16, 8, 4),
  simtTile(32, 64, 16, 4, 4),
  simtTile(64, 32, 16, 4, 4),
  simtTile(32, 32, 16, 4, 2),
];

/** For elements of 8 bytes. */
export const wideSimtTiles: readonly SimtTile[] = [simtTile(64, 64, 8, 4, 4), simtTile(32, 32, 8, 2, 2)];

export function simtThreads(t: SimtTile): number {
  return (t.rows / t.threadRows) * (t.columns / t.threadColumns);
}

export function simtTileBytes(t: SimtTile, valueBytes: number): number {
  const pad = 16 / valueBytes;
  return 2 * t.depth * (t.rows + pad + t.columns + pad) * valueBytes;
}

export interface Extents {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

export interface Machine {
  readonly multiprocessors: number;
  /** Shared memory that a multiprocessor's blocks have together. */
  readonly sharedBytes: number;
  /** Whether blocks can be clusters. */
  readonly clusters: boolean;
  /** As compilers name it: 'sm_90a'. */
  readonly architecture: string;
}

/** Bytes of operands and result, each counted once. @param taps how often an image is read */
export function bytesOf({ batch, rows, columns, depth }: Extents, elementBytes: number, taps = 1): number {
  return batch * elementBytes * ((rows * depth) / taps + columns * depth + rows * columns);
}

interface Circumstances {
  readonly extents: Extents;
  readonly elementBytes: number;
  readonly machine: Machine;
  /** How often an image is read. Default: 1. */
  readonly taps?: number;
  /** Work.slowness and Work.before. */
  readonly slowness?: number;
  readonly before?: number;
}

/** @param cluster whether splits are added without leaving the chip */
export function tensorWork(tile: TensorTile, splits: number, cluster: boolean, c: Circumstances): Work {
  const threads = tensorThreads(tile);
  return {
    ...workOf(tile, tile.depthBytes, splits, cluster, threads, tensorTileBytes(tile, cluster), tile.stages, c),
    family: 'mma',
    exchange: splits === 1 ? 'none' : cluster ? 'cluster' : 'memory',
  };
}

export function simtWork(tile: SimtTile, splits: number, valueBytes: number, c: Circumstances): Work {
  return {
    ...workOf(
      tile,
      tile.depth * c.elementBytes,
      splits,
      false,
      simtThreads(tile),
      simtTileBytes(tile, valueBytes),
      simtStages,
      c,
    ),
    family: 'simt',
    exchange: splits === 1 ? 'none' : 'memory',
  };
}

const simtStages = 2;
/** Threads of a multiprocessor that such kernels leave registers for. */
const mostThreads = 1024;
const mostResident = 4;
/** Shared memory that the device keeps of a multiprocessor's for each block. */
const reservedBytes = 1024;

function workOf(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  stepBytes: number,
  splits: number,
  cluster: boolean,
  threads: number,
  sharedBytes: number,
  stages: number,
  { extents, elementBytes, machine, taps = 1, slowness = 1, before = 0 }: Circumstances,
): Omit<Work, 'family' | 'exchange'> {
  const tiles = Math.ceil(extents.rows / rows) * Math.ceil(extents.columns / columns) * extents.batch;
  const bySharedMemory = Math.floor(machine.sharedBytes / (sharedBytes + reservedBytes));
  return {
    tiles,
    rows,
    columns,
    steps: Math.ceil(Math.ceil((extents.depth * elementBytes) / stepBytes) / splits),
    stepBytes,
    splits,
    shares: 1,
    stages,
    resident: Math.max(1, Math.min(bySharedMemory, Math.floor(mostThreads / threads), mostResident)),
    turns: 1,
    warps: threads / 32,
    bytes: bytesOf(extents, elementBytes, taps),
    slowness,
    before,
    multiprocessors: machine.multiprocessors,
    usable: usableFor(cluster ? splits : 1, machine.multiprocessors),
  };
}

/** Splits of the depth worth a try: so many that blocks fill the machine, each with at least `least` steps. */
export function splitChoices(
  rows: number,
  columns: number,
  stepDepth: number,
  extents: Extents,
  machine: Machine,
  least = 3,
): number[] {
  const tiles = Math.ceil(extents.rows / rows) * Math.ceil(extents.columns / columns) * extents.batch;
  const steps = Math.ceil(extents.depth / stepDepth);
  return [1, 2, 3, 4, 6, 8, 12, 16].filter(
    (s) => s === 1 || (tiles * s <= 2 * machine.multiprocessors && steps >= least * s),
  );
}
