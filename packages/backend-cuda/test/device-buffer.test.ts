/** Runs that read and write memory of the device, without a way through the host. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { DeviceBuffer, type Engine, Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { loadNative } from '@tensorwright/native';
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

  it('take tensors of their own dims alone', async () => {
    using buffer = DeviceBuffer.allocate('float32', [2, 3]);
    for (const dims of [[3, 2], [6], [1, 2, 3]]) {
      await expect(buffer.write(new Tensor('float32', new Float32Array(6), dims))).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: `DeviceBuffer.write: expected [2, 3], received [${dims.join(', ')}]`,
      });
    }
    await buffer.write(new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]));
    expect([...((await buffer.read()).data as Float32Array)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('keep what was written last, in the order of the calls, awaited or not', async () => {
    const elements = 1 << 20;
    using memory = loadNative().cuda.allocate(4 * elements);
    // The first takes longest to copy from, the last to start.
    const before = new Float32Array(elements);
    const writes = [1, 2, 3, 4].map((v) => memory.write(new Float32Array(elements).fill(v)));
    const read = memory.read(before);
    const after = new Float32Array(elements);
    const rest = [memory.write(new Float32Array(elements).fill(5)), memory.read(after)];
    await Promise.all([...writes, read, ...rest]);
    expect(before.every((v) => v === 4)).toBe(true);
    expect(after.every((v) => v === 5)).toBe(true);
  });

  it('copy from and to memory that is resized in the meantime', async () => {
    const bytes = 1 << 20;
    using memory = loadNative().cuda.allocate(bytes);
    const resizable = (): { buffer: { resize(bytes: number): void }; view: Uint8Array } => {
      const Buffer = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
      const buffer = new Buffer(bytes, { maxByteLength: bytes });
      return { buffer: buffer as unknown as { resize(bytes: number): void }, view: new Uint8Array(buffer) };
    };
    const from = resizable();
    from.view.fill(7);
    const write = memory.write(from.view);
    from.buffer.resize(0);
    await write;
    const kept = resizable();
    await memory.read(kept.view);
    expect(kept.view.every((v) => v === 7)).toBe(true);
    const shrunk = resizable();
    const read = memory.read(shrunk.view);
    shrunk.buffer.resize(16);
    await expect(read).rejects.toMatchObject({ code: 'ERR_SHAPE_MISMATCH' });
    const shared = new Uint8Array(new SharedArrayBuffer(bytes));
    await memory.read(shared);
    expect(shared.every((v) => v === 7)).toBe(true);
  });
});
