/** Plugins that write what is not theirs, and contexts that watch them. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { ceilDivDims, NetworkDefinition, type NetworkTensor, Tensor } from '@tensorwright/core';
import { arg, definePlugin, field, pluginBackend, PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

vi.setConfig({ testTimeout: 60_000 });

const size = 6;
const x = new Tensor(
  'float32',
  Float32Array.from({ length: size }, (_, i) => i + 1),
  [size],
);

type Make = (n: NetworkDefinition, x: NetworkTensor) => NetworkTensor;

/** What a network of one input answers; more than a run, for the first is not recorded. */
async function answer(
  make: Make,
  backends: readonly string[],
  options: { debug?: boolean },
  registry = new PluginRegistry(),
): Promise<number[]> {
  const n = new NetworkDefinition();
  n.markOutput(make(n, n.addInput('x', 'float32', [size])), 'y');
  // Trials might find it out before.
  const plan = await new Builder().build(n.toNetwork(), { backends, optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
  await using context = engine.createContext(options);
  let y: Tensor | undefined;
  for (let run = 0; run < 3; run++) y = (await context.run({ x }))['y'];
  return [...(y!.data as Float32Array)];
}

/** Doubles, and writes `over` elements beyond the end of its second output, or of its scratch memory. */
const careless = definePlugin({
  name: 'Careless',
  fields: { over: field.int(0), under: field.int(0), scratch: field.int(0) },
  inputs: ['x'],
  outputs: ['first', 'second'],
  infer: ({ inputs }) => ({ first: inputs.x, second: inputs.x }),
  cuda: {
    source: `
__global__ void careless(const float* x, float* first, float* second, void* memory, int size, int over, int under, int beyond) {
  for (int i = 0; i < size; ++i) first[i] = second[i] = 2 * x[i];
  for (int i = 0; i < over; ++i) second[size + i] = -1;
  for (int i = 0; i < under; ++i) first[-1 - i] = -1;
  float* scratch = static_cast<float*>(memory);
  for (int i = 0; i < beyond; ++i) scratch[size + i] = -1;
}`,
    workspaceBytes: () => 4 * size,
    launches: ({ inputs, outputs: { first, second }, fields: { over, under, scratch } }) => [
      {
        kernel: 'careless',
        grid: 1,
        block: 1,
        arguments: [inputs.x, first, second, arg.workspace(), size, over, under, scratch],
      },
    ],
  },
});

/** Adds one to its input, in place. */
const increment = definePlugin({
  name: 'IncrementInPlace',
  inputs: ['past'],
  outputs: ['present'],
  aliases: { present: 'past' },
  infer: ({ inputs: { past } }) => ({ present: past }),
  cuda: {
    source: '__global__ void increment(float* x, int size) { if (threadIdx.x < size) x[threadIdx.x] += 1; }',
    launches: ({ inputs: { past }, outputs: { present } }) => [
      { kernel: 'increment', grid: ceilDivDims(past.size, 32), block: 32, arguments: [present, past.size] },
    ],
  },
});

const doubled = [...x.data].map((v) => 2 * v);
const names = (message: string): unknown =>
  expect.objectContaining({ code: 'ERR_PLUGIN', message: expect.stringContaining(message) as string });

describe.skipIf(cudaBackend.device() === undefined)('kernels that are watched', () => {
  const run = (fields: Parameters<typeof careless.addTo>[2], debug: boolean): Promise<number[]> =>
    answer(
      (n, input) => {
        const { first, second } = careless.addTo(n, { x: n.addActivation(input, 'relu') }, fields);
        return n.addElementWise(first, second, 'sum');
      },
      ['cuda', 'cpu'],
      { debug },
    );
  const expected = doubled.map((v) => 2 * v);

  it('compute as others do', async () => {
    expect(await run({}, true)).toEqual(expected);
    const make: Make = (n, input) => increment.addTo(n, { past: n.addElementWise(input, input, 'sum') }).present;
    expect(await answer(make, ['cuda', 'cpu'], { debug: true })).toEqual(doubled.map((v) => v + 1));
  });

  it.each([
    [{ over: 1 }, "plugin Careless 1 writes up to 4 bytes beyond the end of its output 'second'"],
    [{ under: 2 }, "plugin Careless 1 writes up to 8 bytes before the beginning of its output 'first'"],
    [{ scratch: 1 }, 'plugin Careless 1 writes up to 4 bytes beyond the end of its scratch memory'],
  ])('are found out by %j', async (fields, message) => {
    await expect(run(fields, true)).rejects.toEqual(names(message));
  });
});

describe.skipIf(!hasCompiler)('a library that is watched', () => {
  it('is found out', async () => {
    const folder = new LibraryFolder();
    try {
      const file = folder.compile('careless.so', join(import.meta.dirname, 'support', 'careless.cpp'));
      using library = PluginLibrary.load(file);
      const plugin = library.plugins[0]!;
      const run = (fields: Record<string, number>): Promise<number[]> =>
        answer((n, input) => plugin.addTo(n, { x: n.addActivation(input, 'relu') }, fields)['y']!, ['cpu'], {
          debug: true,
        });
      expect(await run({})).toEqual([...x.data]);
      await expect(run({ over: 2 })).rejects.toEqual(
        names("plugin test::CarelessLibrary 1 writes up to 8 bytes beyond the end of its output 'y'"),
      );
      await expect(run({ scratch: 1 })).rejects.toEqual(
        names('plugin test::CarelessLibrary 1 writes up to 4 bytes beyond the end of its scratch memory'),
      );
    } finally {
      folder.remove();
    }
  });
});

describe('a function for the processor that is watched', () => {
  const sorting = definePlugin({
    name: 'SortsInPlace',
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs }) => ({ y: inputs.x }),
    cpu: ({ x: input }) => ({ y: (input.data as Float32Array).sort().slice() }),
  });
  const registry = new PluginRegistry().register(sorting);

  it('is found out when it changes an input', async () => {
    const make: Make = (n, input) => sorting.addTo(n, { x: n.addUnary(input, 'neg') }).y;
    const sorted = [...x.data].map((v) => -v).reverse();
    expect(await answer(make, ['cpu'], {}, registry)).toEqual(sorted);
    await expect(answer(make, ['cpu'], { debug: true }, registry)).rejects.toEqual(
      names("plugin SortsInPlace 1: its function for the processor changes its input 'x'"),
    );
  });
});
