/** Data-dependent extents split what is recorded, and nothing else: the launches before and behind stay graphs. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, planPreamble, planPreambleBytes, readNumbers, Tensor } from '@tensorwright/core';
import { deviceMemory, type ExecutionContext, Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';

vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-counted-'));
afterEach(() => {
  play('');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const few = 50;
const large = 20_000;
/** Numbers of which every `step`-th is 1, and the others are 0. */
const every = (step: number): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: few }, (_, i) => Number(i % step === 0)),
    [few],
  );

/** places = where 2 x is not 0, sums = places + places, tripled = 3 (2 x). */
async function makePlan(elements = few): Promise<Uint8Array> {
  const n = new NetworkDefinition('counted');
  const x = n.addInput('x', 'float32', [elements]);
  const doubled = n.addElementWise(x, x, 'sum');
  const places = n.addNonZero(doubled);
  n.markOutput(n.addElementWise(places, places, 'sum'), 'sums');
  const three = n.addConstant(new Tensor('float32', [3], [1]));
  n.markOutput(n.addElementWise(n.addSoftMax(doubled, 0), three, 'prod'), 'tripled');
  const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda'], optimizationLevel: 0 });
  return plan.toBytes();
}

async function withContext(work: (context: ExecutionContext) => Promise<void>): Promise<void> {
  await using engine = await Runtime.load(await makePlan());
  await using context = engine.createContext();
  await work(context);
}

describe.skipIf(!hasDevice)('extents that the values decide', () => {
  it('are found anew in every run', async () => {
    await withContext(async (context) => {
      for (const step of [7, 1, 50, 7, 3, 7]) {
        const { sums, tripled } = await context.run({ x: every(step) });
        const expected = Array.from({ length: Math.ceil(few / step) }, (_, i) => 2 * i * step);
        expect(sums!.dims).toEqual([1, expected.length]);
        expect([...readNumbers(sums!)]).toEqual(expected);
        const total = readNumbers(tripled!).reduce((a, b) => a + b, 0);
        expect(total).toBeCloseTo(3, 5);
      }
      const { sums } = await context.run({ x: new Tensor('float32', new Float32Array(few), [few]) });
      expect(sums!.dims).toEqual([1, 0]);
    });
  });

  it.skipIf(!isEmulated)('leave the steps around them recorded', async () => {
    await withContext(async (context) => {
      for (let run = 0; run < 4; run++) await context.run({ x: every(5) });
      const lines = await traced(join(folder, 'trace'), () => context.run({ x: every(5) }));
      const kinds = lines.map((l) => l.split(' ')[0]);
      // One graph up to the count, one of what does not depend on it.
      expect(kinds.filter((k) => k === 'graph')).toHaveLength(2);
    });
  });

  it.skipIf(!isEmulated)('do not have steps recorded that have not run, where the run before has failed', async () => {
    await using engine = await Runtime.load(await makePlan(large));
    const x = new Tensor('float32', new Float32Array(large).fill(1), [large]);
    await using other = engine.createContext();
    const empty = deviceMemory()!.ownBytes;
    await other.run({ x });
    const all = deviceMemory()!.ownBytes;
    await using context = engine.createContext();
    play(`memory:${String(all + (all - empty) - 8)}`);
    await expect(context.run({ x })).rejects.toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
    play('');
    const graphs = async (): Promise<number> => {
      const lines = await traced(join(folder, 'trace'), () => context.run({ x }));
      return lines.filter((l) => l.startsWith('graph')).length;
    };
    expect(await graphs()).toBe(0);
    await context.run({ x });
    expect(await graphs()).toBe(2);
  });

  it.skipIf(!isEmulated)('have no room to spare where there is none', async () => {
    await using engine = await Runtime.load(await makePlan(large));
    await using context = engine.createContext();
    const firstOf = (ones: number): Tensor => new Tensor('float32', new Float32Array(large).fill(1, 0, ones), [large]);
    await context.run({ x: firstOf(large / 2) });
    // Places and sums: both grow by so much. Half as large again would be 2.5 times that.
    const growth = large / 10;
    play(`memory:${String(deviceMemory()!.ownBytes + 2.2 * 8 * growth)}`);
    const { sums } = await context.run({ x: firstOf(large / 2 + growth) });
    expect(sums!.dims).toEqual([1, large / 2 + growth]);
  });

  it.each([
    ['d0 e0', 'd0 e7', 'names nothing'],
    ['d0 e0', 'd9 e0', 'names nothing'],
    ['d0 e0', 'x0 e0', 'names nothing'],
  ])('are not taken from plans as they come: %s as %s', async (known, wrong, message) => {
    const bytes = Buffer.from(await makePlan());
    bytes.write(wrong, bytes.indexOf(known));
    bytes.set(planPreamble(bytes.subarray(planPreambleBytes, planPreambleBytes + bytes.readUInt32LE(12))));
    await expect(Runtime.load(bytes)).rejects.toMatchObject({
      code: 'ERR_INVALID_PLAN',
      message: expect.stringContaining(message) as string,
    });
  });
});
