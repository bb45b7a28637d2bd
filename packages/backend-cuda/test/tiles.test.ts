import { describe, expect, it } from 'vitest';
import { usableFor } from '../src/tactics/contraction/machine.js';
import type { Extents, Machine } from '../src/tactics/contraction/tiles.js';
import { tilesFor, tileSharedBytes } from '../src/tactics/hopper/tiles.js';

describe('usableFor', () => {
  it.each([
    [1, 132, 132],
    [2, 132, 132],
    [3, 132, 120],
    [4, 132, 128],
    [6, 132, 96],
    [8, 132, 128],
    [8, 8, 8],
    [4, 2, 4],
  ])('clusters of %i on %i multiprocessors', (cluster, multiprocessors, usable) => {
    expect(usableFor(cluster, multiprocessors)).toBe(usable);
  });
});

const machine: Machine = { multiprocessors: 132, sharedBytes: 228 * 1024, clusters: true, architecture: 'sm_90a' };

describe('tiles of warpgroups', () => {
  const extents: readonly Extents[] = [
    { batch: 1, rows: 1, columns: 24, depth: 64 },
    { batch: 1, rows: 197, columns: 768, depth: 3072 },
    { batch: 12, rows: 384, columns: 384, depth: 64 },
    { batch: 1, rows: 100352, columns: 64, depth: 576 },
  ];

  it.each(extents)('fit the device for %j', (e) => {
    const steps = Math.ceil(e.depth / 64);
    for (const constant of [false, true]) {
      const tiles = tilesFor({ extents: e, steps, span: 128, constant, sharesLeft: true, computes: false, machine });
      expect(tiles.length).toBeGreaterThan(0);
      for (const t of tiles) {
        expect(t.splits * t.shares).toBeLessThanOrEqual(8);
        expect(t.columns % (8 * t.shares)).toBe(0);
        expect(t.blocks * (tileSharedBytes(t) + 1024)).toBeLessThanOrEqual(machine.sharedBytes);
        expect(steps).toBeGreaterThanOrEqual(t.splits);
      }
    }
  });

  it('fill the device with a product of few rows', () => {
    const [, few] = extents;
    const tiles = tilesFor({
      extents: few!,
      steps: 48,
      span: 128,
      constant: true,
      sharesLeft: true,
      computes: false,
      machine,
    });
    const blocks = tiles.map((t) => Math.ceil(197 / t.rows) * Math.ceil(768 / t.columns) * t.splits);
    expect(blocks.some((n) => n >= 120 && n <= 132)).toBe(true);
  });
});
