/** Tiles of the warpgroup kernel, as work for the model. */

import { mostOfCluster, usableFor } from '../contraction/machine.js';
import type { Work } from '../contraction/model.js';
import { bytesOf, type Extents, type Machine } from '../contraction/tiles.js';

/** In the kernel's words: rows are those of wgmma, which are the result's columns where operands are swapped. */
export interface WarpgroupTile {
  readonly rows: number;
  readonly columns: number;
  /** Warpgroups that share a tile. */
  readonly together: number;
  /** Teams of such warpgroups that work by turns: 1 or 2. */
  readonly turns: number;
  readonly stages: number;
  /** Blocks of a cluster that share a tile's depth. */
  readonly splits: number;
  /** Blocks of a cluster that load the operand of wgmma's columns together: 1 for none. Times splits at most 8. */
  readonly shares: number;
  /** Blocks that a multiprocessor should hold: bounds registers and shared memory. */
  readonly blocks: number;
  /** 1: the constant operand takes wgmma's rows. */
  readonly swapped: number;
  readonly span: Span;
  /** 1: columns are packed in the order in which a thread's sums are neighbours. */
  readonly permuted: number;
}

/** What a block may use at most, and what the device keeps of a multiprocessor's memory for each block. */
const mostSharedBytes = 227 * 1024;
const reservedBytes = 1024;
const mostStages = 12;
const barrierBytes = 16;
/** Of the barriers by which two teams take turns. */
const orderBytes = (t: Pick<WarpgroupTile, 'turns'>): number => (t.turns > 1 ? 16 : 0);

/** Bytes of depth of a stage: a line of the swizzle. */
export type Span = 32 | 64 | 128;

export function tileThreads(t: WarpgroupTile): number {
  const consumers = 4 * t.together * t.turns;
  // Where registers change hands, the loading warp is one of a whole warpgroup.
  return 32 * (consumers + (consumers === 8 && t.blocks === 1 && !meetsInShared(t) ? 4 : 1));
}

/** Registers that a multiplying thread has besides its sums: those of WarpgroupProduct (native/cuda/kernels/gemm/wgmma.cuh). */
function spareRegisters(t: WarpgroupTile): number {
  const warps = tileThreads(t) / 32;
  const sums = ((t.rows / t.together / 64) * t.columns) / 2;
  const moved = t.shares > 1 ? 224 : 232;
  const quarter = Math.ceil((warps * t.blocks) / 4);
  const share = Math.min(255, Math.floor(512 / quarter / 8) * 8);
  return (warps === 12 ? moved : share) - sums;
}

/** That computing an operand takes. */
const computingRegisters = 40;

/** Whether sums go to the result by way of shared memory. */
function meetsInShared(t: WarpgroupTile): boolean {
  return t.splits > 1 || t.permuted === 0;
}

function sumBytes({ rows, columns, swapped }: WarpgroupTile): number {
  return 4 * (swapped === 1 ? columns * (rows + 4) : rows * (columns + 8));
}

export function tileSharedBytes(t: WarpgroupTile): number {
  const ring = t.stages * (t.rows + t.columns) * t.span;
  // Barriers lie behind what the ring and the sums take turns in.
  return Math.max(ring, meetsInShared(t) ? sumBytes(t) : 0) + t.stages * barrierBytes + orderBytes(t);
}

/** [rows, columns, together, turns, blocks] */
const shapes: readonly (readonly [number, number, number, number, number])[] = [
  [256, 128, 2, 1, 1],
  [256, 96, 2, 1, 1],
  [128, 256, 2, 1, 1],
  [128, 224, 2, 1, 1],
  [128, 192, 2, 1, 1],
  [128, 160, 2, 1, 1],
  [128, 128, 1, 2, 1],
  [128, 128, 2, 1, 2],
  [128, 96, 2, 1, 2],
  [256, 64, 2, 1, 1],
  [128, 64, 1, 2, 2],
  [128, 64, 2, 1, 2],
  [128, 32, 2, 1, 3],
  [64, 256, 1, 2, 1],
  [64, 256, 1, 1, 1],
  [64, 192, 1, 2, 1],
  [64, 192, 1, 1, 2],
  [64, 128, 1, 2, 1],
  [64, 128, 1, 1, 2],
  [64, 96, 1, 1, 2],
  [64, 64, 1, 1, 3],
  [64, 32, 1, 1, 4],
];

/** Widths of tiles whose rows are the constant's: the other operand is narrow. */
const swappedWidths = [8, 16, 24, 32, 48, 64, 96, 128];
/** Blocks that registers suffice for. */
const swappedBlocks = (columns: number): number => (columns > 64 ? 2 : 3);
const swappedLimit = 128;

const splitCounts = [1, 2, 3, 4, 6, 8];
const shareCounts = [1, 2, 4];

function withStages(t: Omit<WarpgroupTile, 'stages'>, steps: number): WarpgroupTile | undefined {
  const room = Math.min(mostSharedBytes, Math.floor((mostSharedBytes + reservedBytes) / t.blocks) - reservedBytes);
  const fits = Math.floor((room - orderBytes(t)) / ((t.rows + t.columns) * t.span + barrierBytes));
  const stages = Math.min(mostStages, fits, Math.max(2, steps));
  const tile = { ...t, stages };
  return stages >= 2 && tileSharedBytes(tile) <= room ? tile : undefined;
}

export interface TileOptions {
  readonly extents: Extents;
  /** Of the whole depth. */
  readonly steps: number;
  readonly span: Span;
  /**
   * Whether the right operand is constant: only then are its columns in the order that registers are stored in, and only
   * then is it worth while to swap.
   */
  readonly constant: boolean;
  /** Whether blocks may load the left operand together, where it takes wgmma's columns. */
  readonly sharesLeft: boolean;
  /** Whether the left operand is computed in shared memory: then it takes wgmma's rows. */
  readonly computes: boolean;
  readonly machine: Machine;
}

/** Tiles worth a look. */
export function tilesFor({
  extents,
  steps,
  span,
  constant,
  sharesLeft,
  computes,
  machine,
}: TileOptions): WarpgroupTile[] {
  const { multiprocessors } = machine;
  const found: WarpgroupTile[] = [];
  const add = (
    t: Pick<WarpgroupTile, 'rows' | 'columns' | 'together' | 'turns' | 'blocks' | 'swapped'>,
    down: number,
    across: number,
  ): void => {
    const below = Math.ceil(down / t.rows);
    const tiles = below * Math.ceil(across / t.columns) * extents.batch;
    const permuted = constant && t.swapped === 0 ? 1 : 0;
    for (const splits of splitCounts) {
      // More blocks than are there at once would only wait; and few steps are over before the ring is full.
      if (splits > 1 && (t.turns > 1 || tiles * splits > 2 * multiprocessors || steps < 2 * splits)) continue;
      for (const shares of shareCounts) {
        if (shares > 1 && !mayShare(t, shares, below, splits, t.swapped === 0 || sharesLeft)) continue;
        const rounds = splits === 1 ? Math.ceil(tiles / (t.blocks * multiprocessors)) : 1;
        const own = Math.ceil(steps / splits) * rounds;
        const tile = withStages({ ...t, splits, shares, permuted, span }, own);
        if (tile && computes && spareRegisters(tile) < computingRegisters) continue;
        if (tile) found.push(tile);
        // A block that has a multiprocessor to itself may have all of its memory.
        if (t.blocks === 1 || tiles * splits > multiprocessors) continue;
        const alone = withStages({ ...t, blocks: 1, splits, shares, permuted, span }, own);
        if (alone && alone.stages > (tile?.stages ?? 0)) found.push(alone);
      }
    }
  };
  for (const [rows, columns, together, turns, blocks] of shapes)
    if ((constant || turns === 1) && columns <= Math.max(32, 32 * Math.ceil(extents.columns / 32)))
      add({ rows, columns, together, turns, blocks, swapped: 0 }, extents.rows, extents.columns);
  if (constant && !computes && extents.rows <= swappedLimit) {
    const columns = swappedWidths.find((w) => w >= extents.rows)!;
    for (const [rows, together] of [
      [64, 1],
      [128, 2],
    ] as const)
      add(
        { rows, columns, together, turns: 1, blocks: swappedBlocks(columns), swapped: 1 },
        extents.columns,
        extents.rows,
      );
  }
  return found;
}

/** Whether so many tiles below each other may load an operand together, without more than a quarter of them in vain. */
function mayShare(
  { columns }: Pick<WarpgroupTile, 'columns'>,
  shares: number,
  below: number,
  splits: number,
  mapped: boolean,
): boolean {
  const rounded = Math.ceil(below / shares) * shares;
  return mapped && splits * shares <= mostOfCluster && columns % (8 * shares) === 0 && rounded <= 1.25 * below;
}

interface WorkOptions extends Pick<TileOptions, 'extents' | 'steps' | 'computes' | 'machine'> {
  readonly elementBytes: number;
  /** How often an image is read. */
  readonly taps: number;
}

/** How much longer a tile takes to come where it is read, computed and written again. */
const computedSlowness = 1.25;

export function tileWork(
  t: WarpgroupTile,
  { extents, steps, elementBytes, taps, computes, machine }: WorkOptions,
): Work {
  const { multiprocessors } = machine;
  const [down, across] = t.swapped === 1 ? [extents.columns, extents.rows] : [extents.rows, extents.columns];
  const below = Math.ceil(Math.ceil(down / t.rows) / t.shares) * t.shares;
  return {
    family: 'wgmma',
    tiles: below * Math.ceil(across / t.columns) * extents.batch,
    rows: t.rows,
    columns: t.columns,
    steps: Math.ceil(steps / t.splits),
    stepBytes: t.span,
    splits: t.splits,
    exchange: t.splits > 1 ? 'cluster' : 'none',
    shares: t.shares,
    stages: t.stages,
    resident: t.blocks,
    turns: t.turns,
    warps: 4 * t.together,
    bytes: bytesOf(extents, elementBytes, taps),
    slowness: computes ? computedSlowness : 1,
    before: 0,
    multiprocessors,
    usable: usableFor(t.splits * t.shares, multiprocessors),
  };
}
