/** How attention is cut into tiles: what fits registers and shared memory, and a model of how long it takes. */

import { launchMicroseconds } from './operands.js';

/** Extents that decide, exact where they are known. */
export interface AttentionExtents {
  /** Batch times the heads that get blocks of their own. */
  readonly heads: number;
  /** Rows of each. */
  readonly rows: number;
  readonly keys: number;
  /** The largest number of keys there can be. */
  readonly mostKeys: number;
  /** Padded to 16. */
  readonly size: number;
  readonly valueSize: number;
  readonly causal: boolean;
}

/** A candidate's parameters. */
export interface AttentionShape {
  readonly [parameter: string]: number;
  /** Blocks that share the keys of a tile: 1 to 32. */
  readonly splits: number;
  /** Tiles of 16 rows of a warp; rows of a thread in float32. */
  readonly tiles: number;
  /** Keys of a block. */
  readonly keys: number;
}

export interface MmaShape extends AttentionShape {
  readonly warps: number;
  /** 1: one block holds all keys. */
  readonly one: number;
}

/** What a shape makes of a launch. */
export interface AttentionBlock {
  readonly threads: number;
  /** Rows of a tile. */
  readonly rows: number;
  readonly sharedBytes: number;
}

type Sizes = Pick<AttentionExtents, 'size' | 'valueSize'>;

export function mmaBlock({ warps, tiles, keys, one }: MmaShape, { size, valueSize }: Sizes): AttentionBlock {
  const rows = warps * tiles * 16;
  const stages = one === 1 ? 1 : 2;
  const sharedBytes = 2 * (rows * (Math.max(size, valueSize) + 8) + stages * keys * (size + valueSize + 16));
  return { threads: warps * 32, rows, sharedBytes };
}

export function simtBlock({ tiles, keys }: AttentionShape, { size, valueSize }: Sizes): AttentionBlock {
  const rows = 16 * tiles;
  const sharedBytes = 4 * ((rows + keys) * (size + 4) + keys * (valueSize + 4) + rows * (keys + 4));
  return { threads: 256, rows, sharedBytes };
}

export interface Ranked<S> {
  readonly shape: S;
  readonly rows: number;
  readonly microseconds: number;
}

/** What every device of compute capability 8.0 and up gives a block. */
const mostShared = 99 * 1024;
/** Of a multiprocessor of the devices that matter most. */
const multiprocessors = 132;
const sharedOfMultiprocessor = 227 * 1024;
const registersOfMultiprocessor = 65536;
const cyclesPerMicrosecond = 1700;
/** Bytes from the L2 cache to a multiprocessor. */
const loadedPerCycle = 40;
/** Registers of scores and results that a thread has room for. */
const mostAccumulators = 160;
const mostSplits = 32;
const offered = 8;

/** Cycles of one block alone, of which `busy` occupy the unit that blocks of a multiprocessor share. */
interface Work {
  readonly chain: number;
  readonly busy: number;
  readonly registers: number;
}

export function mmaShapes(e: AttentionExtents): Ranked<MmaShape>[] {
  const found: Ranked<MmaShape>[] = [];
  const single = e.mostKeys <= 256 ? Math.max(16, Math.ceil(e.mostKeys / 16) * 16) : undefined;
  for (const warps of [1, 2, 4, 8]) {
    for (const tiles of [1, 2]) {
      const rows = warps * tiles * 16;
      if (rows >= 2 * Math.max(16, e.rows)) continue;
      for (const keys of new Set([...(single === undefined ? [] : [single]), 128, 64, 32])) {
        const one = keys === single;
        if (!one && keys >= 2 * e.mostKeys) continue;
        const accumulators = tiles * (e.valueSize / 2 + keys / 2);
        const held = tiles * (e.size / 4) + accumulators <= 176;
        // More would not fit beside what else a thread needs.
        if (accumulators > mostAccumulators) continue;
        const shape = { splits: 1, tiles, keys, warps, one: one ? 1 : 0 };
        const block = mmaBlock(shape, e);
        if (block.sharedBytes > mostShared) continue;
        const multiplications = (tiles * (keys / 8) * (e.size + e.valueSize)) / 16;
        // Latencies of a warp: products, weights, and the copies that it issues itself.
        const copies = ((keys * (e.size + e.valueSize)) / (8 * 32 * warps)) * 20;
        const latency = multiplications * 16 + tiles * keys * 4 + copies + 600;
        const computed = warps * (multiplications * (tiles === 2 ? 4 : 5.5) + tiles * keys * 1.5);
        const loaded = (2 * keys * (e.size + e.valueSize)) / loadedPerCycle;
        const perBlock = Math.max(computed, loaded) + 0.3 * Math.min(computed, loaded);
        const registers = Math.min(255, accumulators + (held ? tiles * (e.size / 4) : 0) + 56);
        for (const splits of splitCounts(e, one ? e.mostKeys : keys)) {
          const blocks = Math.ceil(e.keys / keys / splits);
          const work = { chain: 2200 + blocks * latency, busy: blocks * perBlock, registers };
          found.push({ shape: { ...shape, splits }, rows, microseconds: microsecondsOf(e, block, splits, work) });
        }
      }
    }
  }
  return best(found);
}

export function simtShapes(e: AttentionExtents): Ranked<AttentionShape>[] {
  const found: Ranked<AttentionShape>[] = [];
  for (const tiles of [1, 2, 4]) {
    const rows = 16 * tiles;
    if (rows >= 2 * Math.max(16, e.rows)) continue;
    for (const keys of [16, 32, 64]) {
      if (keys >= 2 * Math.max(16, e.mostKeys)) continue;
      const shape = { splits: 1, tiles, keys };
      const block = simtBlock(shape, e);
      if (block.sharedBytes > mostShared) continue;
      const perThread = (tiles * keys * (e.size + e.valueSize)) / 16;
      // Loads from shared memory bound small tiles.
      const efficiency = (tiles * keys) / 16 / ((tiles * keys) / 16 + tiles + keys / 16);
      for (const splits of splitCounts(e, keys)) {
        const blocks = Math.ceil(e.keys / keys / splits);
        const busy = (blocks * perThread * 2) / efficiency;
        const work = { chain: 2200 + blocks * 1200 + busy, busy, registers: 128 };
        found.push({ shape: { ...shape, splits }, rows, microseconds: microsecondsOf(e, block, splits, work) });
      }
    }
  }
  return best(found);
}

/** Splitting pays where blocks are few and keys are many. */
function splitCounts(e: AttentionExtents, keys: number): number[] {
  const counts = [1];
  if (e.rows <= 64)
    for (let s = 2; s <= mostSplits && s * keys <= e.keys && s * e.heads <= 16 * multiprocessors; s *= 2)
      counts.push(s);
  return counts;
}

function microsecondsOf(
  e: AttentionExtents,
  block: AttentionBlock,
  splits: number,
  { chain, busy, registers }: Work,
): number {
  const blocks = Math.max(1, e.heads * Math.ceil(e.rows / block.rows) * splits);
  const resident = Math.max(
    1,
    Math.min(
      Math.floor(sharedOfMultiprocessor / (block.sharedBytes + 1024)),
      Math.floor(registersOfMultiprocessor / (registers * block.threads)),
      Math.floor(2048 / block.threads),
    ),
  );
  // Half of all keys are never looked at where each query sees those before it.
  const share = e.causal && e.rows >= e.keys ? 0.55 : 1;
  const together = Math.min(resident, Math.ceil(blocks / multiprocessors));
  const waves = Math.ceil(blocks / (multiprocessors * resident));
  const cycles = waves * Math.max(chain, together * busy) * share;
  const combine = splits > 1 ? launchMicroseconds + splits * 0.02 : 0;
  return launchMicroseconds + cycles / cyclesPerMicrosecond + combine;
}

/** The best by the model, and the best of each size of blocks: the model is coarse, and time decides. */
function best<S>(found: readonly Ranked<S>[]): Ranked<S>[] {
  const ranked = [...found].sort((a, b) => a.microseconds - b.microseconds);
  const firsts = ranked.filter((r, i) => i === ranked.findIndex((other) => other.rows === r.rows));
  const chosen = new Set([...new Set([...ranked.slice(0, 2), ...firsts, ...ranked])].slice(0, offered));
  return ranked.filter((r) => chosen.has(r));
}
