/** The memory planner against the lower bound, on lifetimes with a known optimum and on random ones. */

import { describe, expect, test } from 'vitest';
import { type Lifetime, lowerBoundBytes, planMemory } from '../src/plan/memory.js';

function overlaps(buffers: readonly Lifetime[], offsets: readonly number[]): boolean {
  return buffers.some((a, i) =>
    buffers.some(
      (b, j) =>
        i < j &&
        a.first <= b.last &&
        b.first <= a.last &&
        offsets[i]! < offsets[j]! + b.bytes &&
        offsets[j]! < offsets[i]! + a.bytes,
    ),
  );
}

describe('planMemory', () => {
  test('a chain needs its two largest neighbours', () => {
    const chain = [64, 128, 256, 128].map((bytes, i) => ({ bytes, first: i, last: i + 1 }));
    expect(planMemory(chain).bytes).toBe(384);
  });

  test('random lifetimes: no overlap, within 12 % of the lower bound', () => {
    let s = 7;
    const next = (n: number): number => {
      s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
      return s % n;
    };
    for (let round = 0; round < 10; round++) {
      const buffers = Array.from({ length: 120 }, () => {
        const first = next(100);
        return { bytes: 64 * (1 + next(200)), first, last: first + next(8) };
      });
      const plan = planMemory(buffers);
      expect(overlaps(buffers, plan.offsets)).toBe(false);
      expect(plan.lowerBound).toBe(lowerBoundBytes(buffers));
      expect(plan.bytes).toBeGreaterThanOrEqual(plan.lowerBound);
      expect(plan.bytes).toBeLessThan(plan.lowerBound * 1.12);
    }
  });
});
