/** What is closed, given up or lost while a device works for it. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, readNumbers, Tensor } from '@tensorwright/core';
import { DeviceBuffer, deviceMemory, type Engine, Runtime } from '@tensorwright/runtime';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { lateNetwork, lateSample } from './support/late-network.js';
import { smallPlan } from './support/small-plans.js';

vi.setConfig({ testTimeout: 120_000 });

afterEach(() => {
  play('');
});

async function lateEngine(): Promise<Engine> {
  const plan = await new Builder().build(lateNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  return Runtime.load(await plan.toBytes());
}

const numbers = (t: Tensor | undefined): number[] => [...readNumbers(t!)];

describe.skipIf(!hasDevice)('closing', () => {
  it('of a context ends after the run under way, refuses those that wait, and may come twice', async () => {
    await using engine = await lateEngine();
    const context = engine.createContext();
    const want = numbers((await context.run({ x: lateSample(20, 1) }))['y1']);
    const [first, second] = [context.run({ x: lateSample(20, 1) }), context.run({ x: lateSample(20, 1) })];
    const refused = expect(second).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    const closed = [context.close(), context.close()];
    expect(numbers((await first)['y1'])).toEqual(want);
    await refused;
    await Promise.all(closed);
    await expect(context.run({ x: lateSample(20, 1) })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(() => context.deviceWork()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }) as Error);
  });

  it('of an engine ends after the runs of all its contexts, and gives the memory back', async () => {
    const before = deviceMemory()!.ownBytes;
    const engine = await lateEngine();
    const contexts = [1, 2, 3].map(() => engine.createContext());
    for (let i = 0; i < 3; i++) await Promise.all(contexts.map((c) => c.run({ x: lateSample(15, i) })));
    const runs = contexts.map((c, i) => c.run({ x: lateSample(30, i) }));
    const closed = [engine.close(), engine.close()];
    for (const run of runs) expect((await run)['y0']!.dims).toEqual([1, 30]);
    await Promise.all(closed);
    expect(deviceMemory()!.ownBytes).toBe(before);
  });

  it('of buffers leaves them to the run that has begun with them', async () => {
    const elements = 5000;
    await using engine = await Runtime.load(await smallPlan({ elements }));
    await using context = engine.createContext();
    if (isEmulated) play('late:1');
    for (let run = 0; run < 5; run++) {
      const from = new Tensor('float32', new Float32Array(elements).fill(run), [elements]);
      const x = await DeviceBuffer.from(from);
      const z = DeviceBuffer.allocate('float32', [elements]);
      const begun = context.run<DeviceBuffer | Tensor>({ x }, { outputs: { z } });
      x.close();
      z.close();
      x.close();
      // Would get their memory, if that were free.
      using other = await DeviceBuffer.from(new Tensor('float32', new Float32Array(elements).fill(-9), [elements]));
      expect(new Set(numbers((await begun)['y'] as Tensor))).toEqual(new Set([2 * (run + 1)]));
      expect(new Set(numbers(await other.read()))).toEqual(new Set([-9]));
    }
  });
});

describe.skipIf(!hasDevice)('giving a run up', () => {
  it('leaves a context that works, and recordings of what has run alone', async () => {
    const trips = 200;
    const net = new NetworkDefinition('long');
    const x = net.addInput('x', 'float32', [64]);
    const one = net.addConstant(new Tensor('float32', [1], []));
    const tripCount = net.addConstant(new Tensor('int64', [trips], []));
    const { carried } = net.addLoop({ tripCount, carried: [x] }, (it) => ({
      carried: [net.addElementWise(it.carried[0]!, one, 'sum')],
    }));
    net.markOutput(net.addElementWise(carried[0]!, carried[0]!, 'sum'), 'y');
    const plan = await new Builder().build(net.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const input = new Tensor('float32', new Float32Array(64), [64]);
    for (let run = 0; run < 8; run++) {
      const controller = new AbortController();
      const given = context.run({ x: input }, { signal: controller.signal });
      if (run % 2 === 0) {
        const reason = new Error('enough');
        setImmediate(() => {
          controller.abort(reason);
        });
        // A short run may be over by then.
        await given.catch((error: unknown) => {
          expect(error).toBe(reason);
        });
      } else {
        expect(new Set(numbers((await given)['y']))).toEqual(new Set([2 * trips]));
      }
    }
  });

  it('before it has begun changes nothing for the next', async () => {
    await using engine = await lateEngine();
    await using context = engine.createContext();
    const want = numbers((await context.run({ x: lateSample(25, 3) }))['y1']);
    for (let run = 0; run < 4; run++) {
      const controller = new AbortController();
      controller.abort();
      await expect(context.run({ x: lateSample(25, 3) }, { signal: controller.signal })).rejects.toMatchObject({
        name: 'AbortError',
      });
      expect(numbers((await context.run({ x: lateSample(25, 3) }))['y1'])).toEqual(want);
    }
  });
});
