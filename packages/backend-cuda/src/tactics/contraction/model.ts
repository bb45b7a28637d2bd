/**
 * How long a product kernel takes, foreseen from its tiles: one model for all families of kernels, whose numbers
 * (coefficients.ts) are fitted to measured times. Two things bound a product: the multiprocessor that has most to do,
 * and what the L2 cache hands out to all of them together. Small products at usual clocks are bound by the latter.
 */

import type { Coefficients } from './coefficients.js';

/** A launch as the model sees it. */
export interface Work {
  readonly family: Family;
  /** Of the result, over all batches. */
  readonly tiles: number;
  /** Of a tile. */
  readonly rows: number;
  readonly columns: number;
  /** Along a tile's depth, of one split. */
  readonly steps: number;
  /** Bytes of a row of an operand in a step. */
  readonly stepBytes: number;
  readonly splits: number;
  /** Where the sums of splits meet. */
  readonly exchange: 'none' | 'cluster' | 'memory';
  /** Blocks that load an operand together. */
  readonly shares: number;
  /** Stages of a block's ring. */
  readonly stages: number;
  /** Blocks that a multiprocessor holds at once, and teams of a block that take turns. */
  readonly resident: number;
  readonly turns: number;
  /** Warps of a block that store a tile together. */
  readonly warps: number;
  /** Bytes of the operands and of the result, each counted once. */
  readonly bytes: number;
  /** How much copies suffer that are narrower than 16 bytes. */
  readonly slowness: number;
  /** Microseconds of launches that prepare operands. */
  readonly before: number;
  readonly multiprocessors: number;
  /** Those of them that clusters of this size fill. */
  readonly usable: number;
}

export type Family = 'wgmma' | 'mma' | 'simt';

/** All that coefficients count in clocks is at this rate, whatever the device's. */
const clocksPerMicrosecond = 1700;
/** What is larger than this does not stay in the L2 cache from run to run. */
const cachedBytes = 30e6;

/** Microseconds. */
export function foresee(work: Work, of: Coefficients): number {
  const c = of[work.family];
  const { rows, columns, steps, stepBytes, splits, shares, turns, multiprocessors, usable } = work;
  const blocks = work.tiles * splits;
  const math = mathClocks(work) / c.efficiency;
  const loads = ((rows + columns) * stepBytes * work.slowness) / c.loadBytes;
  const busy = steps * norm(math, loads);
  // A ring has one stage less on its way than it has stages.
  const pace = Math.max(c.stepClocks, steps < work.stages ? 0 : of.loadClocks / (work.stages / turns - 1 || 1));
  const store = (rows * columns * c.storeClocks) / (256 * work.warps);
  const exchange = work.exchange === 'cluster' ? of.clusterClocks + (rows * columns * 4) / of.clusterBytes : 0;
  // Teams and blocks that share a multiprocessor hide each other's latency and stores, but not each other's work.
  const wave = (together: number): number =>
    norm(steps * pace, together * busy) + (together > 1 ? store / 2 : store) + exchange;
  const resident = Math.max(1, Math.min(work.resident, Math.ceil(blocks / usable))) * turns;
  const perWave = usable * resident;
  const full = Math.floor(blocks / perWave);
  const rest = blocks - full * perWave;
  const clocks = full * wave(resident) + (rest > 0 ? wave(Math.ceil(rest / usable)) : 0);
  const handedOut = blocks * steps * (rows + columns / shares) * stepBytes;
  const partial = splits > 1 && work.exchange === 'memory' ? 2 * blocks * rows * columns * 4 : 0;
  const cache = (handedOut + partial) / (of.cacheBytes * multiprocessors);
  const memory = work.bytes > cachedBytes ? work.bytes / of.memoryBytes : 0;
  const launch = work.before + c.startMicroseconds + (partial > 0 ? of.launchMicroseconds : 0);
  return launch + norm(norm(clocks, cache) / clocksPerMicrosecond, memory);
}

/** Of a step of a block with nothing but the tensor cores, or the arithmetic units, in the way. */
function mathClocks({ family, rows, columns, stepBytes }: Work): number {
  // Multiply-adds of 16-bit elements a clock: 2048. Other widths do as many bytes.
  const ideal = (rows * columns * stepBytes) / 2 / 2048;
  if (family !== 'wgmma') return ideal;
  // Narrow instructions wait for shared memory: 64 rows and the columns, 32 bytes of depth each, at 128 bytes a clock.
  return Math.max(ideal, ((stepBytes / 32) * (rows / 64) * (64 + columns)) / 4);
}

/** Somewhat more than the larger one: what overlaps never overlaps altogether. */
function norm(a: number, b: number): number {
  return Math.cbrt(a ** 3 + b ** 3);
}
