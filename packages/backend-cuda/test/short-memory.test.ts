/** Memory that is only kept to save time makes room for whoever wants memory of the device, not for allocations alone. */

import { Tensor } from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { DeviceBuffer, deviceMemory, Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';
import { libraryPlan } from './support/library-plan.js';
import { doubler } from './support/trial-programs.js';

vi.setConfig({ testTimeout: 120_000 });

const native = loadNative();
/** Each on a device of its own, where nothing has been made yet. */
const calls = [
  'cudnnCreate',
  'cublasLtCreate',
  'cuModuleLoadData',
  'cuStreamCreate',
  'cuGraphInstantiate',
  'cuGraphUpload',
];
const devices = `devices:${String(calls.length + 1)}`;
play(devices);
afterEach(() => {
  play(devices);
});

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-trace-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const megabyte = 1 << 20;
const image = new Tensor('float32', new Float32Array(256).fill(1), [2, 8, 4, 4]);

describe.skipIf(!hasDevice || !isEmulated)('memory that is short', () => {
  let plan: Uint8Array;
  let expected: Tensor;
  beforeAll(async () => {
    plan = await libraryPlan();
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    expected = (await context.run({ x: image })).y!;
  });

  it.each(calls.map((call, i) => [call, i + 1] as const))('is found for %s', async (call, device) => {
    // A trial keeps its inputs: two of them, of one MB each.
    const elements = megabyte / 4;
    const { description, weights } = await doubler(elements);
    for (const more of [0, 1]) {
      const grown = more === 0 ? { description, weights } : await doubler(elements + more);
      using program = native.createProgram(grown.description, native.openWeights(grown.weights), { device });
      await native.try(program, [[elements + more]], { outputs: true, maxRuns: 0 });
    }
    const kept = deviceMemory(device)!.ownBytes;
    expect(kept).toBeGreaterThan(2 * megabyte);
    play(`${devices},memory:${String(kept + megabyte / 2)},needs:${call}`);
    await using engine = await Runtime.load(plan, { device });
    await using context = engine.createContext();
    // The last of them plays what was recorded.
    for (let run = 0; run < 4; run++) expect((await context.run({ x: image })).y).toEqual(expected);
    expect(deviceMemory(device)!.ownBytes).toBeLessThan(kept);
  });

  it('is looked for once for a graph, and again when some was released', async () => {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    using kept = DeviceBuffer.allocate('float32', [256]);
    // Less than a MB is left, whatever goes.
    play(`${devices},memory:${String(deviceMemory(0)!.ownBytes + megabyte / 2)},needs:cuGraphInstantiate`);
    const runs = async (): Promise<number> => {
      const lines = await traced(join(folder, 'trace'), async () => {
        for (let run = 0; run < 4; run++) expect((await context.run({ x: image })).y).toEqual(expected);
      });
      return lines.filter((line) => line === 'short of memory cuGraphInstantiate').length;
    };
    const first = await runs();
    expect(first).toBeGreaterThan(0);
    expect(await runs()).toBe(0);
    kept.close();
    expect(await runs()).toBe(first);
    expect(await runs()).toBe(0);
    play(devices);
    using released = DeviceBuffer.allocate('float32', [256]);
    released.close();
    await runs();
    expect(context.memory().graphs).toBeGreaterThan(0);
  });
});
