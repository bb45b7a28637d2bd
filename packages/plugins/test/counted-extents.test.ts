/** Plugins whose kernels count on the device what comes out. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { addDims, type Dim, mulDims, NetworkDefinition, readNumbers, Tensor } from '@tensorwright/core';
import { arg, definePlugin, field, type Plugin } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';

vi.setConfig({ testTimeout: 120_000 });

/** The elements above a limit in their order, and where they were; one block is enough. */
const keepAbove = definePlugin({
  name: 'KeepAbove',
  fields: { limit: field.float() },
  inputs: ['x'],
  outputs: ['values', 'places'],
  infer: ({ inputs: { x }, dataDependent }) => {
    const kept = dataDependent('kept', { max: 4096 });
    return { values: { dtype: x.dtype, dims: [kept] }, places: { dtype: 'int64', dims: [1, kept] } };
  },
  cuda: {
    dtypes: ['float32', 'int64'],
    source: `
      __global__ void find(const float* x, int n, float limit, void* scratch, i64* extents) {
        i32* places = static_cast<i32*>(scratch);
        int kept = 0;
        for (int i = 0; i < n; ++i)
          if (x[i] > limit) places[kept++] = i;
        extents[0] = kept;
      }
      template <typename Count>
      __global__ void collect(const float* x, const void* scratch, Count kept, float* values, i64* places) {
        const i64 i = i64(blockIdx.x) * 32 + threadIdx.x;
        if (i >= kept) return;
        places[i] = static_cast<const i32*>(scratch)[i];
        values[i] = x[places[i]];
      }`,
    workspaceBytes: ({ inputs: { x } }) => addDims(mulDims(x.size, 4), 256),
    count: ({ inputs: { x }, fields }) => [
      {
        kernel: 'find',
        grid: 1,
        block: 1,
        arguments: [x, x.size, arg.float(fields.limit), arg.workspace(256), arg.extents()],
      },
    ],
    launches: ({ inputs: { x }, outputs: { values, places } }) => [
      {
        kernel: 'collect',
        grid: addDims(values.size, 1),
        block: 32,
        arguments: [x, arg.workspace(256), values.size, values, places],
      },
    ],
  },
});

function network(): NetworkDefinition {
  const n = new NetworkDefinition('keep');
  const { values, places } = keepAbove.addTo(n, { x: n.addInput('x', 'float32', ['n']) }, { limit: 0.5 });
  n.markOutput(n.addElementWise(values, values, 'sum'), 'doubled');
  n.markOutput(places, 'places');
  return n;
}

describe.skipIf(cudaBackend.device() === undefined)('a plugin that counts on the device', () => {
  it('gives as much as its values say, run after run', async () => {
    const plan = await new Builder().build(network().toNetwork(), { backends: ['cuda'] });
    expect(plan.header.report.fallbacks).toEqual([]);
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    for (const [count, step] of [
      [40, 1.3],
      [100, 0.4],
      [3, 0],
      [0, 1],
      [40, 1.3],
    ] as const) {
      const x = Float32Array.from({ length: count }, (_, i) => Math.sin(i * step));
      const { doubled, places } = await context.run({ x: new Tensor('float32', x, [count]) });
      const expected = [...x.keys()].filter((i) => x[i]! > 0.5);
      expect(places!.dims).toEqual([1, expected.length]);
      expect([...readNumbers(places!)]).toEqual(expected);
      expect([...readNumbers(doubled!)]).toEqual(expected.map((i) => 2 * x[i]!));
    }
  });

  it('fails the run by a negative extent', async () => {
    const refuse = oddPlugin('RefuseAll', {
      source: '__global__ void refuse(i64* extents) { *extents = -1; } __global__ void none() {}',
      count: () => [{ kernel: 'refuse', grid: 1, block: 1, arguments: [arg.extents()] }],
    });
    const plan = await new Builder().build(networkOf(refuse), { backends: ['cuda'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    await expect(context.run({ x: new Tensor('float32', [1], [1]) })).rejects.toThrow('do not fit each other');
  });

  it('may have outputs of extents that are computed from what it counts', async () => {
    const twice = definePlugin({
      name: 'CountTwice',
      inputs: ['x'],
      outputs: ['y', 'pairs'],
      infer: ({ inputs: { x }, dataDependent }) => {
        const n = dataDependent('n', { max: 64 });
        return { y: { dtype: x.dtype, dims: [n] }, pairs: { dtype: x.dtype, dims: [mulDims(n, 2)] } };
      },
      cuda: {
        source: `
          __global__ void half(int n, i64* extents) { *extents = n / 2; }
          __global__ void fill(int n, float* y, float* pairs) {
            for (int i = 0; i < n; ++i) y[i] = i, pairs[2 * i] = pairs[2 * i + 1] = i;
          }`,
        count: ({ inputs: { x } }) => [{ kernel: 'half', grid: 1, block: 1, arguments: [x.size, arg.extents()] }],
        launches: ({ outputs: { y, pairs } }) => [{ kernel: 'fill', grid: 1, block: 1, arguments: [y.size, y, pairs] }],
      },
    });
    const n = new NetworkDefinition('twice');
    n.markOutput(twice.addTo(n, { x: n.addInput('x', 'float32', ['n']) }).pairs, 'pairs');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { pairs } = await context.run({ x: new Tensor('float32', [1, 2, 3, 4, 5], [5]) });
    expect([...readNumbers(pairs!)]).toEqual([0, 0, 1, 1]);
  });

  it('cannot mix the two in one output', async () => {
    const mixed = oddPlugin(
      'Mixed',
      {
        source: '__global__ void none() {}',
        count: () => [{ kernel: 'none', grid: 1, block: 1, arguments: [] }],
      },
      (n) => [n, addDims(n, 1)],
    );
    await expect(new Builder().build(networkOf(mixed), { backends: ['cuda'] })).rejects.toThrow(
      /counted extents and others that are computed from them/,
    );
  });

  it('has to have the extent itself', () => {
    const hidden = oddPlugin('Hidden', { source: '__global__ void none() {}' }, (n) => [mulDims(n, 2)]);
    expect(() => networkOf(hidden)).toThrow(
      /computed from 'n', which only the run knows and which is no extent itself/,
    );
  });

  it.each([
    ['an output', { count: ({ outputs: { y } }) => [{ kernel: 'none', grid: 1, block: 1, arguments: [y] }] }],
    ['find itself', { count: ({ outputs: { y } }) => [{ kernel: 'none', grid: y.size, block: 1, arguments: [] }] }],
    ['at most', { count: () => [], workspaceBytes: ({ outputs: { y } }) => y.size }],
  ] as [string, Partial<Parts>][])('says what counting cannot use: %s', async (message, parts) => {
    const odd = oddPlugin(`Odd${message.replaceAll(' ', '')}`, { source: '__global__ void none() {}', ...parts });
    await expect(new Builder().build(networkOf(odd), { backends: ['cuda'] })).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining(message) as string,
    });
  });
});

type Parts = NonNullable<Parameters<typeof definePlugin<['x'], ['y']>>[0]['cuda']>;

function oddPlugin(
  name: string,
  cuda: Partial<Parts> & { readonly source: string },
  dims: (n: Dim) => readonly Dim[] = (n) => [n],
): Plugin<['x'], ['y']> {
  return definePlugin({
    name,
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x }, dataDependent }) => ({ y: { dtype: x.dtype, dims: dims(dataDependent('n')) } }),
    cuda: { launches: () => [{ kernel: 'none', grid: 1, block: 1, arguments: [] }], ...cuda },
  });
}

function networkOf(plugin: Plugin<['x'], ['y']>): ReturnType<NetworkDefinition['toNetwork']> {
  const n = new NetworkDefinition('odd');
  n.markOutput(plugin.addTo(n, { x: n.addInput('x', 'float32', ['n']) }).y, 'y');
  return n.toNetwork();
}
