/** Memory of the device that a run reads and writes where it lies. */

import { Tensor } from '@tensorwright/core';
import { DeviceBuffer, type ExecutionContext, Runtime } from '@tensorwright/runtime';
import { loadNative, type NativeTensor, type PlanProgram, type PlanStep } from '@tensorwright/native';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, traced } from './support/emulator-play.js';
import { smallPlan } from './support/small-plans.js';
import { doubler } from './support/trial-programs.js';

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-trace-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = join(folder, 'trace');
const elements = 6;
const tensor = (from: number): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: elements }, (_, i) => from + i),
    [elements],
  );
const numbers = async (buffer: DeviceBuffer): Promise<number[]> => [...((await buffer.read()).data as Float32Array)];
const doubled = (from: number): number[] => Array.from({ length: elements }, (_, i) => 2 * (from + i + 1));
const plusOne = (from: number): number[] => Array.from({ length: elements }, (_, i) => from + i + 1);

const plan = hasDevice ? await smallPlan({ elements }) : new Uint8Array();

async function withContext(work: (context: ExecutionContext) => Promise<void>, options = {}): Promise<void> {
  await using engine = await Runtime.load(plan);
  await using context = engine.createContext(options);
  await work(context);
}

const onDevice = (lines: readonly string[]): string[] => lines.filter((l) => l.startsWith('copy device to device'));
const graphs = (lines: readonly string[]): string[] => lines.filter((l) => l.startsWith('graph'));

/** x and 2 x: what a step reads and nobody changes is an output as well. */
async function passing(): Promise<PlanProgram> {
  const { description } = await doubler(elements);
  const { values, expressions, steps, segments } = description;
  const [device] = description.inputs as [number];
  const [x, out] = [values.length, values.length + 1];
  const { dtype, dims } = values[device]!;
  const host = { dtype: dtype!, dims: dims! };
  const carry = (from: number, to: number): PlanStep => ({
    ...steps.at(-1)!,
    inputs: [{ value: from }],
    outputs: [{ value: to }],
  });
  return {
    ...description,
    expressions,
    values: [
      ...values.map((v, i) => (i === device ? { ...v, storage: { kind: 'heap' as const } } : v)),
      { ...host, storage: { kind: 'input', index: 0 } },
      { ...host, storage: { kind: 'heap' } },
    ],
    inputs: [x],
    outputs: [...description.outputs, out],
    steps: [carry(x, device), ...steps, carry(device, out)],
    segments: segments
      .map((s, i) => ({ ...s, begin: i === 0 ? 0 : s.begin + 1, end: s.end + 1 }))
      .map((s, i, all) => (i === all.length - 1 ? { ...s, end: s.end + 1 } : s)),
  };
}

describe.skipIf(!hasDevice)('device buffers in the place of a run’s own memory', () => {
  it.skipIf(!isEmulated)('are not copied, but for those that come once where a graph of others is there', async () => {
    await withContext(async (context) => {
      const lines: string[][] = [];
      const runs = async (count: number): Promise<void> => {
        using x = await DeviceBuffer.from(tensor(0));
        using y = DeviceBuffer.allocate('float32', [elements]);
        using z = DeviceBuffer.allocate('float32', [elements]);
        for (let i = 0; i < count; i++) {
          await x.write(tensor(10 * i));
          lines.push(await traced(file, () => context.run<DeviceBuffer>({ x }, { outputs: { y, z } })));
          expect(await numbers(y)).toEqual(doubled(10 * i));
          expect(await numbers(z)).toEqual(plusOne(10 * i));
        }
      };
      using kept = DeviceBuffer.allocate('float32', [1000]);
      await runs(3);
      // What takes their memory next has another address.
      using first = DeviceBuffer.allocate('float32', [elements]);
      await runs(3);
      expect(lines.map((l) => onDevice(l).length)).toEqual([0, 0, 0, 3, 0, 0]);
      expect(graphs(lines[2]!)).toHaveLength(1);
      expect(lines[2]!.filter((l) => l.startsWith('copy'))).toEqual([]);
      expect([kept.byteLength, first.byteLength]).toEqual([4000, 4 * elements]);
    });
  });

  it('take turns with others, and with the host’s', async () => {
    await withContext(async (context) => {
      const buffers = await Promise.all([1, 2, 3].map((i) => DeviceBuffer.from(tensor(100 * i))));
      const results = [1, 2, 3].map(() => DeviceBuffer.allocate('float32', [elements]));
      for (let i = 0; i < 24; i++) {
        const k = i % 3;
        const x = buffers[k]!;
        const y = results[(i >> 1) % 3]!;
        await context.run<DeviceBuffer | Tensor>({ x }, { outputs: { y } });
        expect(await numbers(y)).toEqual(doubled(100 * (k + 1)));
        if (i % 5 === 0) {
          const { y: host } = await context.run({ x: tensor(i) });
          expect([...(host!.data as Float32Array)]).toEqual(doubled(i));
        }
      }
      for (const buffer of [...buffers, ...results]) buffer.close();
    });
  });

  it('may be an input and an output at once, or two outputs', async () => {
    await withContext(async (context) => {
      using both = DeviceBuffer.allocate('float32', [elements]);
      for (let i = 0; i < 4; i++) {
        await both.write(tensor(i));
        const { z } = await context.run<DeviceBuffer | Tensor>({ x: both }, { outputs: { y: both } });
        expect(await numbers(both)).toEqual(doubled(i));
        expect([...((z as Tensor).data as Float32Array)]).toEqual(plusOne(i));
      }
      for (let i = 0; i < 4; i++) {
        await context.run<DeviceBuffer | Tensor>({ x: tensor(i) }, { outputs: { y: both, z: both } });
        expect([doubled(i), plusOne(i)]).toContainEqual(await numbers(both));
      }
    });
  });

  it.each([{ poison: true }, { graphs: false }])('work with %o', async (options) => {
    await withContext(async (context) => {
      using x = await DeviceBuffer.from(tensor(5));
      using y = DeviceBuffer.allocate('float32', [elements]);
      for (let i = 0; i < 4; i++) {
        await context.run<DeviceBuffer | Tensor>({ x }, { outputs: { y } });
        expect(await numbers(y)).toEqual(doubled(5));
      }
    }, options);
  });

  it.skipIf(!isEmulated)('are played as a graph unless that is switched off', async () => {
    const x = tensor(1);
    for (const on of [true, false])
      await withContext(
        async (context) => {
          for (let i = 0; i < 3; i++) await context.run({ x });
          expect(graphs(await traced(file, () => context.run({ x })))).toHaveLength(on ? 1 : 0);
        },
        { graphs: on },
      );
  });

  it.skipIf(!isEmulated)('give outputs of the host what no step changes', async () => {
    const native = loadNative();
    const { weights } = await doubler(elements);
    const program = native.createProgram(await passing(), native.openWeights(weights));
    using context = program.createContext();
    using memory = native.cuda.allocate(4 * elements);
    using other = native.cuda.allocate(4 * elements);
    const x = (data: NativeTensor['data']): NativeTensor => ({ dtype: 'float32', dims: [elements], data });
    const copies = async (outputs: NativeTensor[] | undefined, from: number): Promise<string[]> => {
      await memory.write(tensor(from).data as Float32Array);
      const lines = await traced(file, async () => {
        const [y, same] = await context.run([x(memory.data)], outputs ? { outputs: [null, ...outputs] } : {});
        expect(y!.data).toEqual(Float32Array.from({ length: elements }, (_, i) => 2 * (from + i)));
        if (!outputs) expect(same!.data).toEqual(tensor(from).data);
      });
      return lines.filter((l) => l.startsWith('copy'));
    };
    for (let i = 0; i < 4; i++) expect(onDevice(await copies(undefined, i))).toEqual([]);
    // And where the output is a device's, it is copied there; twice where its address comes for the first time.
    for (let i = 0; i < 4; i++) {
      expect(onDevice(await copies([x(other.data)], i))).toHaveLength(i === 0 ? 2 : 1);
      const there = new Float32Array(elements);
      await other.read(there);
      expect(there).toEqual(tensor(i).data);
    }
    for (let i = 0; i < 4; i++) expect(onDevice(await copies([x(memory.data)], i))).toEqual([]);
    for (let i = 0; i < 4; i++) expect(onDevice(await copies(undefined, i))).toEqual([]);
  });

  it('are closed before, after and between engines', async () => {
    const engine = await Runtime.load(plan);
    const context = engine.createContext();
    const x = await DeviceBuffer.from(tensor(0));
    const y = DeviceBuffer.allocate('float32', [elements]);
    for (let i = 0; i < 3; i++) await context.run<DeviceBuffer | Tensor>({ x }, { outputs: { y } });
    x.close();
    await expect(context.run<DeviceBuffer | Tensor>({ x })).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    const running = context.run<DeviceBuffer | Tensor>({ x: tensor(3) }, { outputs: { y } });
    y.close();
    await running;
    await engine.close();
    x.close();
    y.close();
  });
});
