/** Memory of the device: what is held, and what happens when there is no more. */

import { Tensor } from '@tensorwright/core';
import { DeviceBuffer, deviceMemory, Runtime } from '@tensorwright/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { smallPlan } from './support/small-plans.js';

afterEach(() => {
  play('');
});

describe.skipIf(!hasDevice)('memory of the device', () => {
  it('is counted, and given back', async () => {
    const elements = 1000;
    const plan = await smallPlan({ elements, weightBytes: 4 * elements });
    const before = deviceMemory()!;
    const engine = await Runtime.load(plan);
    const context = engine.createContext();
    expect(engine.inspect().memory).toMatchObject({ deviceWeights: 4096, contexts: 1, device: 0 });
    await context.run({ x: new Tensor('float32', new Float32Array(elements), [elements]) });
    const { device, staging } = context.memory();
    expect(device).toBeGreaterThanOrEqual(3 * 4 * elements);
    expect(staging).toBeGreaterThan(0);
    expect(engine.inspect().memory.device).toBe(device);
    const buffer = DeviceBuffer.allocate('float32', [elements]);
    expect(deviceMemory()!.ownBytes - before.ownBytes).toBe(4096 + device + 4 * elements);
    expect(deviceMemory()!.totalBytes).toBe(before.totalBytes);
    buffer.close();
    await engine.close();
    expect(deviceMemory()!.ownBytes).toBe(before.ownBytes);
  });

  it('says what was asked for and what is left when it runs out', () => {
    expect(() => DeviceBuffer.allocate('uint8', [2 ** 50])).toThrow(
      expect.objectContaining({
        code: 'ERR_OUT_OF_MEMORY',
        message: expect.stringMatching(
          /^cuMemAlloc \(1125899906842624 bytes on .*, which has \d+ free of \d+; this process holds \d+\): CUDA_ERROR_OUT_OF_MEMORY/,
        ) as string,
      }) as Error,
    );
  });

  it.skipIf(!isEmulated)(
    'runs out for weights, contexts and buffers alike, and is there again afterwards',
    async () => {
      const elements = 100_000;
      const outOfMemory = {
        code: 'ERR_OUT_OF_MEMORY',
        message: expect.stringMatching(/\d+ bytes on .* free of /) as string,
      };
      const heavy = await smallPlan({ elements, weightBytes: 4 * elements });
      const light = await smallPlan({ elements });
      const x = new Tensor('float32', new Float32Array(elements), [elements]);
      const before = deviceMemory()!.ownBytes;
      play(`memory:${String(before + 100_000)}`);
      await expect(Runtime.load(heavy)).rejects.toMatchObject(outOfMemory);
      const engine = await Runtime.load(light);
      const context = engine.createContext();
      await expect(context.run({ x })).rejects.toMatchObject(outOfMemory);
      play('');
      const { y } = await context.run({ x });
      expect((y!.data as Float32Array).every((v) => v === 2)).toBe(true);
      await engine.close();
      expect(deviceMemory()!.ownBytes).toBe(before);
    },
  );
});
