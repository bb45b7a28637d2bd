/** How blocks and threads are laid over rows and columns. */

import { dimBounds } from '@tensorwright/core';
import type { LaneSpace } from './lanes.js';
import { typicalExtent } from './operands.js';

/** Blocks that fill a large device. */
export const enoughBlocks = 132;
/** Threads that hide its memory's latency. */
export const enoughThreads: number = enoughBlocks * 1024;

/** The least power of two that is not below n. */
export function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

export function clamp(n: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, n));
}

export interface RegisterShape {
  readonly block: number;
  /** Threads of a row: a power of two up to 32, or the block. */
  readonly threads: number;
  /** Vectors of a thread. */
  readonly vectors: number;
}

/** Rows held in registers; undefined where they are too long, or where nothing bounds them. */
export function registerShape(space: LaneSpace, elementsOfThread: number): RegisterShape | undefined {
  const packs = Math.max(1, Math.ceil(dimBounds(space.columns).max / space.width));
  const most = Math.max(1, Math.floor(elementsOfThread / space.width));
  if (packs > 1024 * most) return undefined;
  const rows = Math.max(1, typicalExtent(space.rows));
  let threads = clamp(powerOfTwo(packs), 1, 32);
  const vectors = (): number => Math.ceil(packs / threads);
  while (vectors() > most || (vectors() > 1 && threads < 1024 && rows * threads < enoughThreads)) threads *= 2;
  // Tiny rows: fewer threads with a few vectors each, once all threads together are many.
  while (threads > 1 && threads <= 32 && vectors() * 2 <= Math.min(most, 4) && rows * threads > 2 * enoughThreads)
    threads /= 2;
  const count = vectors();
  if (threads > 32) {
    threads = Math.ceil(Math.ceil(packs / count) / 32) * 32;
    return { block: threads, threads, vectors: count };
  }
  return { block: clamp(powerOfTwo((rows * threads) / enoughBlocks), 32, 128), threads, vectors: count };
}

export interface OuterShape {
  /** Threads along the rows and along the columns. */
  readonly tx: number;
  readonly ty: number;
  readonly rowsOfBlock: number;
}

/** Blocks of at most 256 threads whose shared memory takes `stateBytes` for each thread and element of its vector. */
export function outerShape(space: LaneSpace, stateBytes: number): OuterShape {
  const rows = Math.max(1, typicalExtent(space.rows));
  let tx = clamp(powerOfTwo(rows / space.width), 1, 32);
  const most = (48 * 1024) / (stateBytes * space.width);
  const room = Math.min(256 / tx, 2 ** Math.floor(Math.log2(most / tx)));
  const ty = clamp(powerOfTwo(typicalExtent(space.columns) / 4), 1, room);
  tx = Math.max(tx, 32 / ty);
  return { tx, ty, rowsOfBlock: tx * space.width };
}

/** Parts of a row, for `blocks` blocks that do not fill the device. */
export function splitsFor(blocks: number, useful: number): number {
  if (blocks >= enoughBlocks / 2) return 1;
  return clamp(Math.min(Math.floor((2 * enoughBlocks) / blocks), Math.floor(useful)), 1, 256);
}
