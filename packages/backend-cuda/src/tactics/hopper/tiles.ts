/** Tiles of the warpgroup kernel, and a model of how long they take. */

import type { Extents, Machine } from '../contraction/tiles.js';

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
const mostStages = 8;
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

/** Whether sums go to the result by way of shared memory. */
function meetsInShared(t: WarpgroupTile): boolean {
  return t.splits > 1 || t.permuted === 0;
}

function sumBytes({ rows, columns, swapped }: WarpgroupTile): number {
  return 4 * (swapped === 1 ? columns * (rows + 4) : rows * (columns + 8));
}

export function tileSharedBytes(t: WarpgroupTile): number {
  const ring = t.stages * ((t.rows + t.columns) * t.span + barrierBytes) + orderBytes(t);
  return meetsInShared(t) ? Math.max(ring, sumBytes(t)) : ring;
}

/** [rows, columns, together, turns, blocks] */
const shapes: readonly (readonly [number, number, number, number, number])[] = [
  [256, 128, 2, 1, 1],
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
  [64, 256, 1, 2, 1],
  [64, 192, 1, 2, 1],
  [64, 128, 1, 2, 1],
  [64, 128, 1, 1, 2],
  [64, 96, 1, 1, 2],
  [64, 64, 1, 1, 3],
  [64, 32, 1, 1, 4],
];

/** Widths of tiles whose rows are the constant's: the other operand is narrow. */
const swappedWidths = [8, 16, 24, 32, 48, 64];
const swappedBlocks = 3;
const swappedLimit = 64;

function withStages(t: Omit<WarpgroupTile, 'stages'>, steps: number): WarpgroupTile | undefined {
  const room = Math.min(mostSharedBytes, Math.floor((mostSharedBytes + reservedBytes) / t.blocks) - reservedBytes);
  const fits = Math.floor((room - orderBytes(t)) / ((t.rows + t.columns) * t.span + barrierBytes));
  const stages = Math.min(mostStages, fits, Math.max(2, steps));
  const tile = { ...t, stages };
  return stages >= 2 && tileSharedBytes(tile) <= room ? tile : undefined;
}

/**
 * Tiles worth a look. @param steps of the whole depth
 * @param constant whether the right operand is one: only then are its columns in the order that registers are stored in,
 *   and only then is it worth while to swap
 */
export function tilesFor(
  extents: Extents,
  steps: number,
  span: Span,
  constant: boolean,
  machine: Machine,
): WarpgroupTile[] {
  const found: WarpgroupTile[] = [];
  const add = (
    t: Omit<WarpgroupTile, 'stages' | 'splits' | 'permuted' | 'span'>,
    down: number,
    across: number,
  ): void => {
    const tiles = Math.ceil(down / t.rows) * Math.ceil(across / t.columns) * extents.batch;
    const rounds = Math.ceil(tiles / (t.blocks * machine.multiprocessors));
    for (const splits of [1, 2, 4, 8]) {
      if (splits > 1 && (t.turns > 1 || tiles * splits > 1.1 * machine.multiprocessors || steps < 2 * splits)) continue;
      const permuted = constant && t.swapped === 0 ? 1 : 0;
      const tile = withStages({ ...t, splits, permuted, span }, Math.ceil(steps / splits) * rounds);
      if (tile) found.push(tile);
    }
  };
  for (const [rows, columns, together, turns, blocks] of shapes)
    if ((constant || turns === 1) && columns <= Math.max(32, 32 * Math.ceil(extents.columns / 32)))
      add({ rows, columns, together, turns, blocks, swapped: 0 }, extents.rows, extents.columns);
  if (constant && extents.rows <= swappedLimit) {
    const columns = swappedWidths.find((w) => w >= extents.rows)!;
    for (const [rows, together] of [
      [64, 1],
      [128, 2],
    ] as const)
      add({ rows, columns, together, turns: 1, blocks: swappedBlocks, swapped: 1 }, extents.columns, extents.rows);
  }
  return found;
}

const clocksPerMicrosecond = 1700;
/** Multiply-adds of 16-bit elements a clock. */
const peakRate = 2048 * 0.88;
const l2BytesPerClock = 44;
const memoryBytesPerMicrosecond = 3.9e6;
/** Clocks from one step to the next of a warpgroup that nothing else delays, and from the first load to the first sum. */
const stepLatency = 150;
const firstLatency = 1200;
const startMicroseconds = 1.1;
/** Clocks in which a warp's scheduler stores 32 × 8 sums, and the exchange of a cluster's sums. */
const storeClocks = 90;
const exchangeClocks = 1500;

/** Microseconds of a launch. @param taps how often an image is read */
export function estimateTile(
  t: WarpgroupTile,
  extents: Extents,
  steps: number,
  elementBytes: number,
  taps: number,
  machine: Machine,
): number {
  const [down, across] = t.swapped === 1 ? [extents.columns, extents.rows] : [extents.rows, extents.columns];
  const tiles = Math.ceil(down / t.rows) * Math.ceil(across / t.columns) * extents.batch * t.splits;
  const ownSteps = Math.ceil(steps / t.splits);
  // Narrow instructions wait for shared memory: 64 rows and the columns, 32 bytes of depth each, at 128 bytes a clock.
  const instruction = Math.max(t.columns / 2, (64 + t.columns) / 4);
  const math = ((t.span / 32) * (t.rows / 64) * instruction) / 0.88;
  const traffic = ((t.rows + t.columns) * t.span) / l2BytesPerClock;
  const perTile = t.rows * t.columns;
  const store = (perTile / 256 / (4 * t.together)) * storeClocks + (t.splits > 1 ? exchangeClocks : 0);
  const resident = Math.min(t.blocks, Math.ceil(tiles / machine.multiprocessors)) * t.turns;
  // Teams and blocks that share a multiprocessor hide each other's latency and stores, but not each other's work.
  const wave = (together: number): number =>
    Math.max(
      ownSteps * stepLatency + store,
      together * ownSteps * Math.max(math, traffic) + (together > 1 ? store / 2 : store),
    );
  const perWave = machine.multiprocessors * resident;
  const full = Math.floor(tiles / perWave);
  const rest = tiles - full * perWave;
  const clocks =
    firstLatency + full * wave(resident) + (rest > 0 ? wave(Math.ceil(rest / machine.multiprocessors)) : 0);
  const { batch, rows, columns, depth } = extents;
  const elements = batch * ((rows * depth) / taps + columns * depth + rows * columns);
  const memory = (elements * elementBytes) / memoryBytesPerMicrosecond;
  const compute = (batch * rows * columns * depth * elementBytes) / 2 / (peakRate * machine.multiprocessors);
  const busy = Math.max(clocks, compute) / clocksPerMicrosecond;
  // Neither hides the other altogether.
  return startMicroseconds + Math.max(busy, memory) + Math.min(busy, memory) / 10;
}
