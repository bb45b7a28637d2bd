/** Several devices in one process, by their index. */

import { Tensor } from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { DeviceBuffer, deviceMemory, Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';
import { libraryPlan } from './support/library-plan.js';
import { smallPlan } from './support/small-plans.js';

vi.setConfig({ testTimeout: 120_000 });

play('devices:2');
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-devices-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const elements = 5;
const x = new Tensor('float32', Float32Array.of(0, 1, 2, 3, 4), [elements]);
const expected = [2, 4, 6, 8, 10];

describe.skipIf(!hasDevice || !isEmulated)('two devices', () => {
  const status = loadNative().cuda.status();
  const hasLibraries = status.available && status.cublasLt.version !== undefined && status.cudnn.version !== undefined;

  it.skipIf(!hasLibraries)('run what libraries compute, at once, on streams and in memory of their own', async () => {
    const plan = await libraryPlan();
    const memory = (): number[] =>
      [0, 1].map((device) => deviceMemory(device)!).flatMap(({ ownBytes, freeBytes }) => [ownBytes, freeBytes]);
    const before = memory();
    const image = (n: number): Tensor =>
      new Tensor(
        'float32',
        Float32Array.from({ length: n * 128 }, (_, i) => Math.cos(i)),
        [n, 8, 4, 4],
      );
    // More sizes than plans of cuDNN are kept, each of them twice: they are made, recorded, dropped and made again.
    const sizes = Array.from({ length: 72 }, (_, i) => 1 + (i % 36));
    const lines = await traced(join(folder, 'trace'), async () => {
      const engines = await Promise.all([0, 1].map((device) => Runtime.load(plan, { device })));
      const contexts = engines.flatMap((e) => [e.createContext(), e.createContext()]);
      for (const n of sizes) {
        const results = await Promise.all(contexts.map((c) => c.run({ x: image(n) })));
        const [first, ...others] = results.map(({ y }) => y!);
        expect(first!.dims).toEqual([n, 16]);
        for (const other of others) expect(other.data).toEqual(first!.data);
      }
      // One ends while the other goes on.
      await Promise.all([contexts[0]!.run({ x: image(1) }), engines[1]!.close(), contexts[1]!.run({ x: image(1) })]);
      await engines[0]!.close();
    });
    // What goes is given back to the device that it came from.
    expect(memory()).toEqual(before);
    expect(lines).toContain('cudnn plan destroyed');
    expect(lines).not.toContain('cudnn plan lost');
  });

  it('run the same plan side by side, each in its own memory', async () => {
    const plan = await smallPlan({ elements, weightBytes: 4 * elements });
    const before = [deviceMemory(0)!.ownBytes, deviceMemory(1)!.ownBytes];
    const engines = await Promise.all([0, 1].map((device) => Runtime.load(plan, { device })));
    const contexts = engines.flatMap((e) => [e.createContext(), e.createContext()]);
    for (let i = 0; i < 4; i++) {
      const results = await Promise.all(contexts.map((c) => c.run({ x })));
      for (const { y } of results) expect([...(y!.data as Float32Array)]).toEqual(expected);
    }
    for (const device of [0, 1]) expect(deviceMemory(device)!.ownBytes).toBeGreaterThan(before[device]!);
    await engines[1]!.close();
    expect(deviceMemory(1)!.ownBytes).toBe(before[1]);
    const { y } = await contexts[0]!.run({ x });
    expect([...(y!.data as Float32Array)]).toEqual(expected);
    await engines[0]!.close();
    expect(deviceMemory(0)!.ownBytes).toBe(before[0]);
  });

  it('keep their buffers apart', async () => {
    await using engine = await Runtime.load(await smallPlan({ elements }), { device: 1 });
    await using context = engine.createContext();
    using far = await DeviceBuffer.from(x, { device: 0 });
    using near = await DeviceBuffer.from(x, { device: 1 });
    using result = DeviceBuffer.allocate('float32', [elements], { device: 1 });
    for (let i = 0; i < 3; i++) await context.run<DeviceBuffer | Tensor>({ x: near }, { outputs: { y: result } });
    expect([...((await result.read()).data as Float32Array)]).toEqual(expected);
    const refused = {
      code: 'ERR_INVALID_ARGUMENT',
      message: 'a device buffer lies on device 0, the engine runs on device 1',
    };
    await expect(context.run<DeviceBuffer | Tensor>({ x: far })).rejects.toMatchObject(refused);
    await expect(context.run<DeviceBuffer | Tensor>({ x }, { outputs: { y: far } })).rejects.toMatchObject(refused);
  });

  it('are no three', async () => {
    const message = 'there is no NVIDIA device 2: 2 found';
    expect(() => DeviceBuffer.allocate('float32', [1], { device: 2 })).toThrow(message);
    await expect(Runtime.load(await smallPlan({ elements }), { device: 2 })).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
      message: expect.stringContaining(message) as string,
    });
  });
});
