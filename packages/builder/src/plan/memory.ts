/**
 * Memory planning: offsets in one arena so that no two live buffers overlap. Best-fit placement under four orders
 * (size, size·lifetime, lifetime, breadth), the best kept; below the lower bound nothing can go (arXiv 2001.03288).
 */

export interface Lifetime {
  /** Bytes, already rounded up to the alignment. */
  readonly bytes: number;
  /** First and last step that touch the buffer, inclusive. */
  readonly first: number;
  readonly last: number;
}

export interface MemoryPlan {
  readonly offsets: readonly number[];
  readonly bytes: number;
  /** Largest sum of live bytes at any step. */
  readonly lowerBound: number;
}

export function lowerBoundBytes(buffers: readonly Lifetime[]): number {
  const delta = new Map<number, number>();
  for (const b of buffers) {
    delta.set(b.first, (delta.get(b.first) ?? 0) + b.bytes);
    delta.set(b.last + 1, (delta.get(b.last + 1) ?? 0) - b.bytes);
  }
  let live = 0;
  let peak = 0;
  for (const step of [...delta.keys()].sort((a, b) => a - b)) {
    live += delta.get(step)!;
    peak = Math.max(peak, live);
  }
  return peak;
}

export async function planMemory(buffers: readonly Lifetime[], breathe: () => Promise<void>): Promise<MemoryPlan> {
  const lowerBound = lowerBoundBytes(buffers);
  const life = (b: Lifetime): number => b.last - b.first + 1;
  const breadth = breadths(buffers);
  const keys: ((b: Lifetime, i: number) => number)[] = [
    (b) => b.bytes,
    (b) => b.bytes * life(b),
    (b) => life(b),
    (_, i) => breadth[i]!,
  ];
  let best: { offsets: number[]; bytes: number; order: number[] } | undefined;
  for (const key of keys) {
    const order = buffers
      .map((_, i) => i)
      .sort((a, b) => key(buffers[b]!, b) - key(buffers[a]!, a) || buffers[b]!.bytes - buffers[a]!.bytes || a - b);
    const placed = { ...place(buffers, order), order };
    if (!best || placed.bytes < best.bytes) best = placed;
    if (best.bytes === lowerBound) break;
    await breathe();
  }
  best ??= { offsets: [], bytes: 0, order: [] };
  if (best.bytes > lowerBound) best = await swapSearch(buffers, best, lowerBound, breathe);
  return { offsets: best.offsets, bytes: best.bytes, lowerBound };
}

/** Live bytes at the widest step of each buffer's life. */
function breadths(buffers: readonly Lifetime[]): number[] {
  return buffers.map((a) => {
    let sum = 0;
    for (const b of buffers) if (b.first <= a.last && a.first <= b.last) sum += b.bytes;
    return sum;
  });
}

function place(buffers: readonly Lifetime[], order: readonly number[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(buffers.length).fill(0);
  const placed: number[] = [];
  let total = 0;
  for (const i of order) {
    const b = buffers[i]!;
    const conflicts = placed
      .filter((j) => buffers[j]!.first <= b.last && b.first <= buffers[j]!.last)
      .sort((x, y) => offsets[x]! - offsets[y]!);
    let end = 0;
    let bestOffset = -1;
    let bestGap = Infinity;
    for (const j of conflicts) {
      const gap = offsets[j]! - end;
      if (gap >= b.bytes && gap < bestGap) {
        bestGap = gap;
        bestOffset = end;
      }
      end = Math.max(end, offsets[j]! + buffers[j]!.bytes);
    }
    offsets[i] = bestOffset >= 0 ? bestOffset : end;
    total = Math.max(total, offsets[i] + b.bytes);
    placed.push(i);
  }
  return { offsets, bytes: total };
}

/** Seeded swaps of the placement order. */
async function swapSearch(
  buffers: readonly Lifetime[],
  start: { offsets: number[]; bytes: number; order: number[] },
  lowerBound: number,
  breathe: () => Promise<void>,
): Promise<typeof start> {
  let best = start;
  let seed = 0x9e3779b9;
  const next = (n: number): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % n;
  };
  // Placement is quadratic: fewer tries on larger graphs keep this below a second.
  const tries = Math.min(300, Math.ceil(3e6 / (buffers.length * buffers.length + 1)));
  for (let t = 0; t < tries && best.bytes > lowerBound; t++) {
    const order = [...best.order];
    const a = next(order.length);
    const b = next(order.length);
    [order[a], order[b]] = [order[b]!, order[a]!];
    const placed = { ...place(buffers, order), order };
    if (placed.bytes <= best.bytes) best = placed;
    await breathe();
  }
  return best;
}
