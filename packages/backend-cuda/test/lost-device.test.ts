/** A device that is lost in the middle of a run. */

import { Tensor } from '@tensorwright/core';
import { DeviceBuffer, deviceMemory, Runtime } from '@tensorwright/runtime';
import { expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { smallPlan } from './support/small-plans.js';

it.skipIf(!hasDevice || !isEmulated)('ends every later call with a code, and nothing else', async () => {
  const plan = await smallPlan({ elements: 4 });
  const onProcessor = await smallPlan({ elements: 4, backends: ['cpu'] });
  const x = new Tensor('float32', Float32Array.of(1, 2, 3, 4), [4]);
  const engine = await Runtime.load(plan);
  const context = engine.createContext();
  const other = engine.createContext();
  const buffer = await DeviceBuffer.from(x);
  for (let i = 0; i < 3; i++) await context.run({ x });

  play('fault:map');
  await expect(context.run({ x })).rejects.toMatchObject({
    code: 'ERR_DEVICE',
    message: expect.stringContaining('CUDA_ERROR_ILLEGAL_ADDRESS') as string,
  });
  play('');
  const lost = {
    code: 'ERR_DEVICE',
    message: expect.stringMatching(
      /Tensorwright emulator \(device 0\) cannot be used by this process any more, since .*CUDA_ERROR_ILLEGAL_ADDRESS/,
    ) as string,
  };
  await expect(context.run({ x })).rejects.toMatchObject(lost);
  await expect(other.run({ x })).rejects.toMatchObject(lost);
  await expect(other.run<DeviceBuffer | Tensor>({ x: buffer })).rejects.toMatchObject(lost);
  await expect(buffer.read()).rejects.toMatchObject(lost);
  await expect(buffer.write(x)).rejects.toMatchObject(lost);
  await expect(context.deviceTimes(1)).rejects.toMatchObject(lost);
  await expect(Runtime.load(plan)).rejects.toMatchObject(lost);
  expect(() => DeviceBuffer.allocate('float32', [4])).toThrow(expect.objectContaining(lost) as Error);
  expect(() => deviceMemory()).toThrow(expect.objectContaining(lost) as Error);

  buffer.close();
  await context.close();
  await engine.close();
  await using processor = await Runtime.load(onProcessor);
  const { y } = await processor.createContext().run({ x });
  expect([...(y!.data as Float32Array)]).toEqual([4, 6, 8, 10]);
});
