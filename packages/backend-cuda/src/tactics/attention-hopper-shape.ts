/** How attention by warpgroups is cut into tiles: what fits registers and shared memory, and how long it may take. */

import { type AttentionExtents, biasKeysOf, type Ranked } from './attention-shape.js';
import { cyclesPerMicrosecond, launchMicroseconds } from './operands.js';

/** A candidate's parameters. */
export interface HopperShape {
  readonly [parameter: string]: number;
  /** Warpgroups of a tile, with 64 rows each: 1 to 3. */
  readonly groups: number;
  /** Keys of a block: a multiple of 16, at most 256. */
  readonly keys: number;
  /** Blocks of keys that shared memory holds. */
  readonly stages: number;
  /** 1: stages are filled again and again, by a warp of its own; 0: there is a stage for every block. */
  readonly ring: number;
  /** 1: the loading warp's warpgroup gives its registers to the others. */
  readonly moves: number;
  /** Thread blocks that a multiprocessor is to hold: bounds registers. */
  readonly blocks: number;
}

export interface HopperBlock {
  readonly threads: number;
  readonly rows: number;
  readonly sharedBytes: number;
  /** Keys whose mask has room. */
  readonly biasKeys: number;
}

const mostShared = 227 * 1024;
const sharedOfMultiprocessor = 228 * 1024;
const reservedShared = 1024;
const mostThreads = 2048;

export function hopperBlock({ groups, keys, stages, ring, moves }: HopperShape, e: AttentionExtents): HopperBlock {
  const rows = 64 * groups;
  const threads = 128 * groups + (moves === 1 ? 128 : ring === 1 ? 32 : 0);
  const { size, valueSize } = e;
  const biasKeys = biasKeysOf(e, keys);
  const barriers = 1 + (ring === 1 ? 4 : 2) * stages;
  const operands =
    roundUp(2 * rows * size, 1024) + stages * (roundUp(2 * keys * size, 1024) + roundUp(2 * keys * valueSize, 1024));
  return { threads, rows, sharedBytes: operands + 4 * biasKeys + 8 * barriers, biasKeys };
}

/** Registers of a thread, as ptxas takes them; found by compiling. Weights of one block take the place of its scores. */
function registersOf(keys: number, e: AttentionExtents, one: boolean, more: number): number {
  const wide = Math.max(e.size, e.valueSize) > 128 ? 16 : 0;
  const own = one ? keys / 2 + more / 2 : (keys * 3) / 4 + more;
  return Math.ceil(own + e.valueSize / 2 + 28 + wide);
}

/** Registers of a consumer's thread: a quarter of the multiprocessor holds every fourth warp. */
function mostRegisters(groups: number, ring: number, moves: number, blocks: number): number {
  if (moves === 1) return groups === 3 ? 160 : 232;
  const warps = Math.ceil(((4 * groups + ring) * blocks) / 4);
  return Math.min(255, Math.floor(512 / warps / 8) * 8);
}

const multiprocessors = 132;
/** Bytes from the L2 cache to a multiprocessor. */
const loadedPerCycle = 45;
const offered = 5;

/** Blocks of keys to try: every even division of few keys, and what rings do well with. */
function divisions(e: AttentionExtents): { readonly keys: number; readonly stages: number; readonly ring: number }[] {
  const whole = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((stages) => {
    const keys = roundUp(Math.ceil(e.mostKeys / stages), 16);
    // Fewer blocks hold as many keys.
    const least = Math.ceil(e.mostKeys / keys) === stages;
    return least && keys <= 208 && (keys >= 64 || stages === 1) ? [{ keys, stages, ring: 0 }] : [];
  });
  const rings = [64, 80, 96, 112, 128, 144, 160, 176].flatMap((keys) =>
    e.mostKeys > 3 * keys ? [2, 3].map((stages) => ({ keys, stages, ring: 1 })) : [],
  );
  return [...whole, ...rings];
}

export function hopperShapes(e: AttentionExtents, registers: number): Ranked<HopperShape>[] {
  const found: Ranked<HopperShape>[] = [];
  for (const groups of [1, 2, 3]) {
    if (groups > 1 && 64 * (groups - 1) >= e.rows) continue;
    for (const { keys, stages, ring } of divisions(e)) {
      const need = registersOf(keys, e, ring === 0 && stages === 1, registers);
      for (const moves of ring === 1 && groups > 1 ? [0, 1] : [0]) {
        const shape = { groups, keys, stages, ring, moves, blocks: 1 };
        const block = hopperBlock(shape, e);
        if (block.sharedBytes > mostShared) continue;
        let blocks = 0;
        while (
          (blocks + 1) * (block.sharedBytes + reservedShared) <= sharedOfMultiprocessor &&
          (blocks + 1) * block.threads <= mostThreads &&
          mostRegisters(groups, ring, moves, blocks + 1) >= need &&
          (moves === 0 || blocks === 0)
        )
          blocks++;
        if (blocks === 0) continue;
        const microseconds = microsecondsOf(e, shape, blocks);
        found.push({ shape: { ...shape, blocks }, rows: block.rows, microseconds });
      }
    }
  }
  return best(found);
}

function microsecondsOf(e: AttentionExtents, { groups, keys }: HopperShape, resident: number): number {
  const rounds = Math.ceil(e.keys / keys);
  const padded = rounds * keys;
  const share = e.causal && e.rows >= e.keys ? 0.6 : 1;
  // Cycles of a tile on each unit that the tiles of a multiprocessor share.
  const multiplied = (groups * padded * (e.size + e.valueSize)) / 32;
  const exponentials = groups * 4 * padded;
  const issued = groups * 3 * padded;
  const loaded = (2 * padded * (e.size + e.valueSize) + 128 * groups * e.size) / loadedPerCycle;
  const units = [multiplied, exponentials, issued, loaded];
  const most = Math.max(...units);
  // Between blocks a warpgroup waits, packs weights and rescales.
  const busy = most + 0.3 * (units.reduce((sum, u) => sum + u, 0) - most) + 60 * groups * rounds;
  // What one tile takes alone: its loads, its products and weights one after the other, its stores.
  const chain = 2200 + padded * (7.5 + (e.size + e.valueSize) / 32) + 200 * rounds;
  const tiles = e.heads * Math.ceil(e.rows / (64 * groups));
  const each = Math.ceil(tiles / multiprocessors);
  const cycles = Math.max(1500 + each * busy, Math.ceil(each / resident) * chain) * share;
  return launchMicroseconds + cycles / cyclesPerMicrosecond;
}

/** The best of each number of warpgroups and keys; the model is coarse, and time decides. */
function best(found: readonly Ranked<HopperShape>[]): Ranked<HopperShape>[] {
  const ranked = [...found].sort((a, b) => a.microseconds - b.microseconds);
  const first = (key: (r: Ranked<HopperShape>) => string): Ranked<HopperShape>[] =>
    ranked.filter((r, i) => i === ranked.findIndex((other) => key(other) === key(r)));
  const byGroups = first((r) => String(r.shape.groups));
  const byBlock = first((r) => `${String(r.shape.groups)} ${String(r.shape.keys)}`);
  const chosen = new Set([...new Set([...byGroups, ...byBlock])].slice(0, offered));
  return ranked.filter((r) => chosen.has(r));
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
