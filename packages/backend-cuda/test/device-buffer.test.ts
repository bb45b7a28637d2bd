/** Runs that read and write memory of the device, without a way through the host. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { DeviceBuffer, type Engine, Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';

async function doubler(backends: readonly string[]): Promise<Engine> {
  const network = new NetworkDefinition('doubler');
  const x = network.addInput('x', 'float32', [2, 3]);
  network.markOutput(network.addElementWise(x, x, 'sum'), 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends });
  return Runtime.load(await plan.toBytes());
}

describe.skipIf(!hasDevice)('device buffers', () => {
  it('feed a run and take its output', async () => {
    await using engine = await doubler(['cuda', 'cpu']);
    await using context = engine.createContext();
    using x = await DeviceBuffer.from(new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]));
    using y = DeviceBuffer.allocate('float32', [2, 3]);
    const results = await context.run<DeviceBuffer>({ x }, { outputs: { y } });
    expect(results['y']).toBe(y);
    expect([...((await y.read()).data as Float32Array)]).toEqual([2, 4, 6, 8, 10, 12]);
    const onHost = await context.run({ x });
    expect([...(onHost['y']!.data as Float32Array)]).toEqual([2, 4, 6, 8, 10, 12]);
  });

  it('are refused where the processor reads them', async () => {
    await using engine = await doubler(['cpu']);
    await using context = engine.createContext();
    using x = DeviceBuffer.allocate('float32', [2, 3]);
    await expect(context.run({ x })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  it('name wrong shapes and types', async () => {
    await using engine = await doubler(['cuda', 'cpu']);
    await using context = engine.createContext();
    using narrow = DeviceBuffer.allocate('float32', [2, 2]);
    await expect(context.run({ x: narrow })).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH' });
    using half = DeviceBuffer.allocate('float16', [2, 3]);
    await expect(context.run({ x: half })).rejects.toMatchObject({ code: 'ERR_DTYPE_MISMATCH' });
    await expect(narrow.write(new Tensor('float32', new Float32Array(3), [3]))).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
    });
  });
});
