/** How attention is cut into tiles: what fits registers and shared memory, and a model of how long it takes. */

import { cyclesPerMicrosecond, launchMicroseconds } from './operands.js';

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
  /** All queries of a head have one mask. */
  readonly commonMask: boolean;
  /** Shared memory of a multiprocessor. */
  readonly sharedBytes: number;
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
  /** Warps that share their rows, each with a part of a block's keys; 1 where blocks share the keys of a tile. */
  readonly keyWarps: number;
}

/** What a shape makes of a launch. */
export interface AttentionBlock {
  readonly threads: number;
  /** Rows of a tile. */
  readonly rows: number;
  readonly sharedBytes: number;
}

type Sizes = Pick<AttentionExtents, 'size' | 'valueSize'>;

export function mmaBlock(
  { warps, tiles, keys, one, keyWarps }: MmaShape,
  { size, valueSize }: Sizes,
  biasKeys: number,
): AttentionBlock {
  const rows = (warps / keyWarps) * tiles * 16;
  const stages = one === 1 ? 1 : 2;
  const operands = 2 * (rows * (Math.max(size, valueSize) + 8) + stages * keys * (size + valueSize + 16));
  // Parts of results take the place of operands.
  const parts = keyWarps === 1 ? 0 : 4 * keyWarps * rows * (valueSize + 6);
  return { threads: warps * 32, rows, sharedBytes: Math.max(operands + 4 * biasKeys, parts) };
}

/** Keys whose mask waits in shared memory, in whole blocks; 0: none does. */
export function biasKeysOf({ commonMask, mostKeys }: AttentionExtents, keys: number): number {
  return commonMask && mostKeys <= mostBiasKeys ? Math.ceil(mostKeys / keys) * keys : 0;
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

/** What a block takes of its multiprocessor's shared memory besides its own. */
const reservedShared = 1024;
/** What every device of compute capability 8.0 and up gives a block. */
const mostShared = 99 * 1024;
/** What no device gives a block more than. */
const mostSharedAnywhere = 227 * 1024;
const mostBiasKeys = 4096;
/** Of the devices that matter most. */
const multiprocessors = 132;
const registersOfMultiprocessor = 65536;
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
  for (const keyWarps of [1, 2, 4, 8])
    for (const rowWarps of [1, 2, 3, 4, 8])
      for (const tiles of [1, 2]) {
        const warps = rowWarps * keyWarps;
        if (warps > (tiles === 1 ? 12 : 8)) continue;
        for (const { keys, one } of keyBlocks(e, keyWarps))
          found.push(...rankMma(e, { splits: 1, tiles, keys, warps, one, keyWarps }));
      }
  return best(found);
}

/** Keys of a block: all of them where they are few, else some numbers that fill warps well. */
function keyBlocks(e: AttentionExtents, keyWarps: number): { readonly keys: number; readonly one: number }[] {
  const unit = 16 * keyWarps;
  const whole = Math.max(unit, Math.ceil(e.mostKeys / unit) * unit);
  const parts = keyWarps === 1 ? [128, 64, 32] : [128 * keyWarps, 64 * keyWarps, 32 * keyWarps];
  return [
    ...(e.mostKeys <= 256 || (keyWarps > 1 && whole <= 128 * keyWarps) ? [{ keys: whole, one: 1 }] : []),
    ...parts.filter((keys) => keys < 2 * e.mostKeys && keys !== whole).map((keys) => ({ keys, one: 0 })),
  ];
}

/** With each number of splits; nothing where the shape does not fit. */
function rankMma(e: AttentionExtents, shape: MmaShape): Ranked<MmaShape>[] {
  const { warps, tiles, keys, one, keyWarps } = shape;
  const biasKeys = biasKeysOf(e, keys);
  const block = mmaBlock(shape, e, biasKeys);
  const own = keys / keyWarps;
  const accumulators = tiles * (e.valueSize / 2 + own / 2);
  const held = tiles * (e.size / 4) + accumulators <= 176;
  // More would not fit beside what else a thread needs.
  if (block.rows >= 2 * Math.max(16, e.rows) || accumulators > mostAccumulators) return [];
  if (block.sharedBytes + reservedShared > e.sharedBytes || block.sharedBytes > mostSharedAnywhere) return [];
  const multiplications = (tiles * (own / 8) * (e.size + e.valueSize)) / 16;
  // Latencies of a warp: products, weights, and the copies that it issues itself.
  const copies = ((keys * (e.size + e.valueSize)) / (8 * 32 * warps)) * 20;
  const latency = multiplications * 16 + tiles * own * 4 + copies + 600;
  const computed = warps * (multiplications * (tiles === 2 ? 4 : 5.5) + tiles * own * 1.5);
  const loaded = (2 * keys * (e.size + e.valueSize)) / loadedPerCycle;
  const perBlock = Math.max(computed, loaded) + 0.3 * Math.min(computed, loaded);
  const merged = keyWarps === 1 ? 0 : 400 + (block.rows * e.valueSize * keyWarps) / (16 * warps);
  const registers = Math.min(255, accumulators + (held ? tiles * (e.size / 4) : 0) + 56);
  return splitCounts(e, keyWarps > 1 ? Infinity : one === 1 ? e.mostKeys : keys).map((splits) => {
    const blocks = Math.ceil(e.keys / keys / splits);
    // What is loaded arrives no faster for one block alone.
    const chain = 2200 + blocks * Math.max(latency, loaded) + merged;
    const work = { chain, busy: blocks * perBlock + merged / 2, registers };
    return { shape: { ...shape, splits }, rows: block.rows, microseconds: microsecondsOf(e, block, splits, work) };
  });
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
      Math.floor(e.sharedBytes / (block.sharedBytes + reservedShared)),
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

/** The best by the model, of each way to divide keys, and of each size of blocks: the model is coarse, and time decides. */
function best<S extends AttentionShape>(found: readonly Ranked<S>[]): Ranked<S>[] {
  const ranked = [...found].sort((a, b) => a.microseconds - b.microseconds);
  const firsts = ranked.filter((r, i) => i === ranked.findIndex((other) => other.rows === r.rows));
  const whole = ranked.filter(({ shape }) => shape['keyWarps'] === 1).slice(0, 2);
  const chosen = new Set([...new Set([...ranked.slice(0, 2), ...whole, ...firsts, ...ranked])].slice(0, offered));
  return ranked.filter((r) => chosen.has(r));
}
