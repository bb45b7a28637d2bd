/** What the device takes by itself: the recorded work of the last run is played again, whatever became of its buffers. */

import { Tensor } from '@tensorwright/core';
import { DeviceBuffer, Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { smallPlan } from './support/small-plans.js';

const elements = 6;
const x = new Tensor(
  'float32',
  Float32Array.from({ length: elements }, (_, i) => i),
  [elements],
);
const plan = hasDevice ? await smallPlan({ elements }) : new Uint8Array();

describe.skipIf(!hasDevice)('device times', () => {
  it('do not touch buffers that were closed after the run', async () => {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    const buffers = [await DeviceBuffer.from(x), DeviceBuffer.allocate('float32', [elements])] as const;
    // From the second run on, the buffers take the places of the context's own memory.
    for (let run = 0; run < 4; run++)
      await context.run<DeviceBuffer>({ x: buffers[0] }, { outputs: { y: buffers[1] } });
    for (const buffer of buffers) buffer.close();
    const times = await context.deviceTimes(3);
    expect(times?.device).toHaveLength(3);
    // The next run goes on as if nothing had been.
    const { y } = await context.run({ x });
    expect([...(y!.data as Float32Array)]).toEqual([2, 4, 6, 8, 10, 12]);
  });

  it('leave buffers that are still open as they are', async () => {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    using from = await DeviceBuffer.from(x);
    using to = DeviceBuffer.allocate('float32', [elements]);
    for (let run = 0; run < 4; run++) await context.run<DeviceBuffer>({ x: from }, { outputs: { y: to } });
    await to.write(x);
    await context.deviceTimes(2);
    expect([...((await to.read()).data as Float32Array)]).toEqual([...x.data]);
    await context.run<DeviceBuffer>({ x: from }, { outputs: { y: to } });
    expect([...((await to.read()).data as Float32Array)]).toEqual([2, 4, 6, 8, 10, 12]);
  });

  it('can be asked for while layers are measured', async () => {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    context.setProfiling(true);
    await context.run({ x });
    expect((await context.deviceTimes(2))?.device).toHaveLength(2);
    await context.run({ x });
    // Only the runs count.
    expect(context.profile().map((layer) => layer.calls)).toEqual(context.profile().map(() => 2));
  });

  it('need a run to tell them', async () => {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    expect(await context.deviceTimes(1)).toBeUndefined();
  });
});
