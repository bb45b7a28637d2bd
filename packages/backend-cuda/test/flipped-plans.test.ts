/**
 * Plans that end too early, or of which a byte is another one: a coded error, or a run. What runs may compute something
 * else, since names and numbers of steps are no more than that, but nothing crashes.
 */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, planPreamble, planPreambleBytes, Tensor, TensorwrightError } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

vi.setConfig({ testTimeout: 120_000 });

/** A kernel that reads what it must not takes its device with it: then comes the next. */
const mostDevices = 8;
play(isEmulated ? `devices:${String(mostDevices)}` : '');
afterAll(() => {
  play('');
});

const input = new Tensor(
  'float32',
  Float32Array.from({ length: 16 }, (_, i) => i - 7),
  [2, 8],
);

/** A product, a loop around maps, a reduction, and positions whose number the values decide. */
async function smallPlan(backends: readonly string[]): Promise<Uint8Array> {
  const n = new NetworkDefinition('small');
  const x = n.addInput('x', 'float32', ['rows', 8]);
  const weights = Float32Array.from({ length: 32 }, (_, i) => i / 7 - 2);
  const product = n.addMatrixMultiply(x, 'none', n.addConstant(new Tensor('float32', weights, [8, 4])), 'none');
  const tripCount = n.addConstant(new Tensor('int64', [3], []));
  const { carried } = n.addLoop({ tripCount, carried: [product] }, (it) => ({
    carried: [n.addElementWise(it.carried[0]!, it.carried[0]!, 'sum')],
  }));
  n.markOutput(n.addActivation(carried[0]!, 'tanh'), 'y');
  n.markOutput(n.addReduce(product, 'max', [1]), 'm');
  n.markOutput(n.addNonZero(product), 'z');
  const profiles = [{ x: { min: [1, 8], opt: [2, 8], max: [5, 8] } }];
  return (await new Builder().build(n.toNetwork(), { backends, optimizationLevel: 0, profiles })).toBytes();
}

/** 'ran', or the code of the error. The third run plays what the second has recorded. */
async function outcome(plan: Uint8Array, device: number): Promise<string> {
  try {
    await using engine = await Runtime.load(plan, { device });
    await using context = engine.createContext();
    for (let run = 0; run < 3; run++) await context.run({ x: input }, { maxIterations: 100 });
    return 'ran';
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
    return error.code;
  }
}

describe.each([
  { name: 'the processor', backends: ['cpu'], flips: 2000 },
  ...(hasDevice && isEmulated ? [{ name: 'the device', backends: ['cuda', 'cpu'], flips: 150 }] : []),
])('a plan of $name', ({ backends, flips }) => {
  it('that ends too early is refused', async () => {
    const good = await smallPlan(backends);
    const header = planPreambleBytes + Buffer.from(good).readUInt32LE(12);
    for (let bytes = 0; bytes < good.length; bytes += bytes < header ? 5 : 199)
      expect(await outcome(good.subarray(0, bytes), 0), `${String(bytes)} bytes`).toBe('ERR_INVALID_PLAN');
  });

  it('with another byte is an error or runs', async () => {
    const good = await smallPlan(backends);
    const header = planPreambleBytes + Buffer.from(good).readUInt32LE(12);
    expect(await outcome(good, 0)).toBe('ran');
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let device = 0;
    const outcomes = new Map<string, number>();
    for (let i = 0; i < flips && device < mostDevices; i++) {
      const bad = good.slice();
      const at = random(i % 8 === 7 ? good.length : header);
      const was = good[at]!;
      const isDigit = was >= 48 && was < 58;
      // Digits mostly stay digits: much of what is there is then read.
      bad[at] = random(2) === 0 ? was ^ (1 << random(8)) : isDigit ? 48 + random(10) : 32 + random(95);
      // As one who means it would: the checksum is right, and all that follows is looked at.
      if (at >= planPreambleBytes) bad.set(planPreamble(bad.subarray(planPreambleBytes, header)));
      const result = await outcome(bad, device);
      const what = `byte ${String(at)}: ${String(was)} is ${String(bad[at])}`;
      expect(result, what).toMatch(/^(ran|ERR_\w+)$/);
      expect(result, what).not.toBe('ERR_INTERNAL');
      outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
      if (result === 'ERR_DEVICE') device++;
    }
    expect(outcomes.get('ERR_INVALID_PLAN')).toBeGreaterThan(flips / 4);
    expect(outcomes.get('ran')).toBeGreaterThan(0);
  });
});
