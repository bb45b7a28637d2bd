/** The memory planner against the lower bound, on lifetimes with a known optimum and on random ones. */

import { NetworkDefinition, type NetworkTensor } from '@tensorwright/core';
import { describe, expect, test } from 'vitest';
import { Builder } from '../src/index.js';
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
  const breathe = (): Promise<void> => Promise.resolve();

  test('a chain needs its two largest neighbours', async () => {
    const chain = [64, 128, 256, 128].map((bytes, i) => ({ bytes, first: i, last: i + 1 }));
    expect((await planMemory(chain, breathe)).bytes).toBe(384);
  });

  test('random lifetimes: no overlap, within 12 % of the lower bound', async () => {
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
      const plan = await planMemory(buffers, breathe);
      expect(overlaps(buffers, plan.offsets)).toBe(false);
      expect(plan.lowerBound).toBe(lowerBoundBytes(buffers));
      expect(plan.bytes).toBeGreaterThanOrEqual(plan.lowerBound);
      expect(plan.bytes).toBeLessThan(plan.lowerBound * 1.12);
    }
  });
});

describe('the report', () => {
  // Every step reads a tensor and writes another one: two of them are alive at once.
  const n = 1024;
  const softmaxes = (net: NetworkDefinition, x: NetworkTensor, count: number): NetworkTensor => {
    let y = x;
    for (let i = 0; i < count; i++) y = net.addSoftMax(y, 0);
    return y;
  };
  const reportOf = async (
    make: (net: NetworkDefinition, x: NetworkTensor) => NetworkTensor,
  ): Promise<{ lowerBoundBytes: number; activationBytes: number }> => {
    const net = new NetworkDefinition('bodies');
    net.markOutput(make(net, net.addInput('x', 'float32', [n])), 'y');
    return (await new Builder().build(net.toNetwork(), { backends: ['cpu'], optimizationLevel: 0 })).header.report;
  };

  test('counts the memory of branches, of which one runs', async () => {
    const { lowerBoundBytes, activationBytes } = await reportOf((net, x) => {
      const condition = net.addInput('c', 'bool', []);
      const [y] = net.addIf(
        condition,
        [x],
        (v) => [softmaxes(net, v, 4)],
        (v) => [softmaxes(net, v, 3)],
      );
      return y!;
    });
    // One more is the result.
    expect(lowerBoundBytes).toBe((2 + 1) * 4 * n);
    expect(activationBytes).toBe((2 * 2 + 1) * 4 * n);
  });

  test('adds what is alive around the body of a loop', async () => {
    const loop = (outside: number): Promise<{ lowerBoundBytes: number; activationBytes: number }> =>
      reportOf((net, x) => {
        const kept = softmaxes(net, x, outside);
        const { carried } = net.addLoop(
          { tripCount: net.addInput('trips', 'int64', []), carried: [x] },
          ({ carried: [v] }) => ({ carried: [softmaxes(net, v!, 4)] }),
        );
        return net.addElementWise(kept, carried[0]!, 'sum');
      });
    const [without, around] = await Promise.all([loop(0), loop(1)]);
    expect(around.lowerBoundBytes - without.lowerBoundBytes).toBe(4 * n);
    expect(without.lowerBoundBytes).toBeGreaterThanOrEqual(2 * 4 * n);
    for (const r of [without, around]) expect(r.activationBytes).toBeGreaterThanOrEqual(r.lowerBoundBytes);
  });
});
