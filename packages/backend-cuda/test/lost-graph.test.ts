/** A device that is lost while it plays what was recorded. */

import { Builder } from '@tensorwright/builder';
import { Tensor } from '@tensorwright/core';
import { DeviceBuffer, Runtime } from '@tensorwright/runtime';
import { expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { lateNetwork, lateSample } from './support/late-network.js';
import { smallPlan } from './support/small-plans.js';

vi.setConfig({ testTimeout: 120_000 });

it.skipIf(!hasDevice || !isEmulated)('ends the run with a code, and all that is left can be closed', async () => {
  const plan = await new Builder().build(lateNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  const idle = engine.createContext();
  const x = lateSample(20, 1);
  for (let i = 0; i < 4; i++) await context.run({ x });
  expect(context.memory().graphs).toBe(2);
  await idle.run({ x });
  const buffer = await DeviceBuffer.from(new Tensor('float32', Float32Array.of(1, 2, 3), [3]));
  const other = (await Runtime.load(await smallPlan({ elements: 3 }))).createContext();
  await other.run<DeviceBuffer | Tensor>({ x: buffer }, { outputs: { z: buffer } });

  const kernels = ['scan', 'cumulative', 'reduce', 'softmax', 'gather', 'map'];
  play(kernels.map((k) => `fault:${k}`).join(','));
  for (const run of await Promise.allSettled([context.run({ x }), context.run({ x }), idle.run({ x })]))
    expect(run).toMatchObject({ status: 'rejected', reason: { code: 'ERR_DEVICE' } });
  play('');
  await expect(context.run({ x })).rejects.toMatchObject({ code: 'ERR_DEVICE' });
  expect(context.deviceWork()!.graphLaunches).toBeGreaterThan(0);
  expect(context.memory().graphs).toBeGreaterThan(0);
  const pending = other.run<DeviceBuffer | Tensor>({ x: buffer }, { outputs: { z: buffer } });
  buffer.close();
  await expect(pending).rejects.toMatchObject({ code: 'ERR_DEVICE' });
  await Promise.all([context.close(), idle.close(), other.close(), engine.close()]);
});
