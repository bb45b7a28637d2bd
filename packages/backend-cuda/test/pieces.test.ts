/** Runs in pieces on memory of the device, as the native library takes it. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition } from '@tensorwright/core';
import { loadNative, type NativeTensor, type PlanProgram, type Program } from '@tensorwright/native';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

const dims = [2, 3];
const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);

/** x + x, as it is described and as it is loaded. */
async function doubler(backends: readonly string[]): Promise<{ description: PlanProgram; program: Program }> {
  const network = new NetworkDefinition('doubler');
  const x = network.addInput('x', 'float32', dims);
  network.markOutput(network.addElementWise(x, x, 'sum'), 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends });
  const bytes = await plan.toBytes();
  const weights = loadNative().openWeights(bytes.slice(bytes.length - plan.header.report.weightBytes));
  const description = plan.header.program;
  return { description, program: loadNative().createProgram(description, weights) };
}

const refused = expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }) as Error;

afterEach(() => {
  play('');
});

describe.skipIf(!hasDevice)('a run in pieces', () => {
  const native = loadNative();
  const tensor = (data: ArrayBufferView): NativeTensor => ({ dtype: 'float32', dims, data });

  it('keeps the memory of its inputs until its end', async () => {
    const { description, program } = await doubler(['cuda', 'cpu']);
    using context = program.createContext();
    const memory = native.cuda.allocate(24);
    await memory.write(numbers);
    context.begin([tensor(memory.data)]);
    memory.close();
    for (const i of description.segments.keys()) await context.runSegment(i);
    const [y] = context.finish();
    expect([...(y!.data as Float32Array)]).toEqual([...numbers].map((v) => 2 * v));
  });

  it('refuses memory that is closed, is none, or belongs where nothing of the run works', async () => {
    const { program: onDevice } = await doubler(['cuda', 'cpu']);
    const { description, program: onHost } = await doubler(['cpu']);
    using memory = native.cuda.allocate(24);
    const gone = native.cuda.allocate(24);
    const { data: closed } = gone;
    gone.close();
    const other = (onHost as unknown as { handle: ArrayBufferView }).handle;
    using device = onDevice.createContext();
    using host = onHost.createContext();
    for (const data of [closed, other]) {
      expect(() => device.begin([tensor(data)])).toThrow(refused);
      expect(() => host.begin([tensor(data)])).toThrow(refused);
    }
    expect(() => host.begin([tensor(memory.data)])).toThrow(refused);
    host.begin([tensor(numbers)]);
    const value = description.steps[0]!.outputs[0]!;
    for (const data of [closed, other, memory.data]) expect(() => host.write(value, tensor(data))).toThrow(refused);
    host.abandon();
    await expect(host.run([tensor(closed)])).rejects.toThrow(refused);
  });

  it('neither reads nor writes values of the device from the host', async () => {
    const { description, program } = await doubler(['cuda', 'cpu']);
    using context = program.createContext();
    context.begin([tensor(numbers)]);
    const values = description.values.flatMap((v, i) => (v.memory === 'cuda' ? [i] : []));
    expect(values.length).toBeGreaterThan(0);
    for (const value of values) {
      expect(() => context.read(value)).toThrow(refused);
      expect(() => context.write(value, tensor(numbers))).toThrow(refused);
    }
    context.abandon();
    using memory = native.cuda.allocate(24);
    context.begin([tensor(memory.data)]);
    expect(() => context.read(description.inputs[0]!)).toThrow(refused);
    context.abandon();
  });

  it.skipIf(!isEmulated)('refuses memory of another device', async () => {
    play('devices:2');
    const { program } = await doubler(['cuda', 'cpu']);
    using context = program.createContext();
    using far = native.cuda.allocate(24, 1);
    expect(() => context.begin([tensor(far.data)])).toThrow(
      'a device buffer lies on device 1, the engine runs on device 0',
    );
    context.begin([tensor(numbers)]);
    context.abandon();
  });
});
