/** Steps behind extents that the values decide: recorded where the same extents come again, and not where they do not. */

import { Builder } from '@tensorwright/builder';
import { readNumbers, type Tensor } from '@tensorwright/core';
import { type Engine, type ExecutionContext, Runtime } from '@tensorwright/runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { lateNetwork, lateSample as sample, most as elements } from './support/late-network.js';

vi.setConfig({ testTimeout: 120_000 });

let onDevice: Engine;
let reference: Engine;

async function engineOn(backends: readonly string[]): Promise<Engine> {
  const plan = await new Builder().build(lateNetwork(), { backends, optimizationLevel: 0 });
  return Runtime.load(await plan.toBytes());
}

/** Runs a sample, compares, and tells what the device was given to do for it. */
async function tryOut(context: ExecutionContext, x: Tensor): Promise<{ launches: number; graphs: number }> {
  const before = context.deviceWork()!;
  const found = await context.run({ x });
  const after = context.deviceWork()!;
  await using other = reference.createContext();
  for (const [name, want] of Object.entries(await other.run({ x }))) {
    expect(found[name]!.dims).toEqual(want.dims);
    const values = readNumbers(found[name]!);
    readNumbers(want).forEach((w, i) => {
      expect(Math.abs(values[i]! - w)).toBeLessThanOrEqual(1e-5);
    });
  }
  return {
    launches: after.launches - before.launches,
    graphs: after.graphLaunches - before.graphLaunches,
  };
}

describe.skipIf(!hasDevice)('steps behind extents that the values decide', () => {
  beforeAll(async () => {
    onDevice = await engineOn(['cuda', 'cpu']);
    reference = await engineOn(['reference']);
  });
  afterEach(() => {
    play('');
  });
  afterAll(async () => {
    await onDevice.close();
    await reference.close();
  });

  it('are one graph from the second time on that the same extents come', async () => {
    await using context = onDevice.createContext();
    const first = await tryOut(context, sample(20, 1));
    expect(first.graphs).toBe(0);
    expect(first.launches).toBeGreaterThan(5);
    for (let seed = 2; seed < 6; seed++)
      expect(await tryOut(context, sample(20, seed))).toEqual({ launches: 0, graphs: 2 });
    // Others come, and the first again: those that are known stay so.
    expect((await tryOut(context, sample(31, 1))).launches).toBeGreaterThan(2);
    for (const [positive, seed] of [
      [20, 7],
      [31, 2],
      [20, 8],
      [31, 3],
    ] as const)
      expect(await tryOut(context, sample(positive, seed))).toEqual({ launches: 0, graphs: 2 });
    expect(context.memory().graphs).toBe(3);
  });

  it('are no graph while their extents always differ', async () => {
    await using context = onDevice.createContext();
    for (let positive = 3; positive < 40; positive++) {
      const { launches } = await tryOut(context, sample(positive, positive));
      expect(launches).toBeGreaterThan(2);
    }
    // What comes before the extents are known is one from the second run on.
    expect(context.memory().graphs).toBe(1);
  });

  it('are no graph any more where those that were recorded do not come again', async () => {
    await using context = onDevice.createContext();
    for (let positive = 3; positive < 30; positive++)
      for (const seed of [1, 2]) await tryOut(context, sample(positive, seed));
    expect(context.memory().graphs).toBe(1 + 4);
  });

  it('find nothing, and all, and memory that has grown', async () => {
    await using context = onDevice.createContext();
    for (const seed of [1, 2, 3])
      for (const positive of [0, 1, elements, 40, 0, elements]) await tryOut(context, sample(positive, seed));
    expect(await tryOut(context, sample(elements, 9))).toEqual({ launches: 0, graphs: 2 });
  });

  it.each([{ graphs: false }, { poison: true }, { debug: true }])('run one by one with %o', async (options) => {
    await using context = onDevice.createContext(options);
    for (let seed = 1; seed < 5; seed++) expect((await tryOut(context, sample(20, seed))).graphs).toBe(0);
    expect(context.memory().graphs).toBe(0);
  });

  it('run one by one while they are measured', async () => {
    await using context = onDevice.createContext();
    for (let seed = 1; seed < 4; seed++) await tryOut(context, sample(20, seed));
    context.setProfiling(true);
    expect((await tryOut(context, sample(20, 4))).graphs).toBe(0);
    expect(context.profile().every((l) => l.calls === 1)).toBe(true);
    context.setProfiling(false);
    expect(await tryOut(context, sample(20, 5))).toEqual({ launches: 0, graphs: 2 });
  });

  it.skipIf(!isEmulated)('are the same where the device works late', async () => {
    play('late:1');
    await using context = onDevice.createContext();
    for (let seed = 1; seed < 4; seed++)
      for (const positive of [12, 30, elements]) await tryOut(context, sample(positive, seed));
    expect(await tryOut(context, sample(12, 8))).toEqual({ launches: 0, graphs: 2 });
  });
});
