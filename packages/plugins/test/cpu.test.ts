/** Plugins by their functions for the processor, and what is said of functions that go wrong. */

import { Builder, type BuildOptions } from '@tensorwright/builder';
import { type DType, NetworkDefinition, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { definePlugin, field, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { type Engine, Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { leakyScale } from './support/leaky-scale.js';

const cpu = { backends: ['cpu'] };
const registry = new PluginRegistry().register(leakyScale);

async function engineOf(n: NetworkDefinition, plugins = registry, options: BuildOptions = cpu): Promise<Engine> {
  const plan = await new Builder().build(n.toNetwork(), options);
  return Runtime.load(await plan.toBytes(), { backends: [pluginBackend(plugins)] });
}

/** What a plugin with this function answers. */
let made = 0;
async function answer(
  spec: Pick<Parameters<typeof definePlugin<['x'], ['y']>>[0], 'infer' | 'cpu'>,
  x: Tensor = new Tensor('float32', Float32Array.of(1, -2, 3), [3]),
): Promise<Tensor> {
  const plugin = definePlugin({ name: `Answer${String(made++)}`, inputs: ['x'], outputs: ['y'], ...spec });
  const n = new NetworkDefinition();
  n.markOutput(plugin.addTo(n, { x: n.addInput('x', x.dtype, [-1]) }).y, 'y');
  await using engine = await engineOf(n, new PluginRegistry().register(plugin));
  await using context = engine.createContext();
  return (await context.run({ x }))['y']!;
}

describe('a function for the processor', () => {
  it.each(['float32', 'float16', 'bfloat16'] as const)('computes in %s', async (dtype: DType) => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', dtype, ['rows', 2]);
    n.markOutput(n.addActivation(leakyScale.addTo(n, { x }, { alpha: 0.5 }).y, 'relu'), 'positive');
    n.markOutput(leakyScale.addTo(n, { x }, { alpha: 0.5 }).y, 'y');
    await using engine = await engineOf(n);
    await using context = engine.createContext();
    const { y, positive } = await context.run({ x: tensorFromNumbers(dtype, [-2, 4, 6, -8], [2, 2]) });
    expect([...readNumbers(y!)]).toEqual([-1, 4, 6, -4]);
    expect([...readNumbers(positive!)]).toEqual([0, 4, 6, 0]);
  });

  it.each([undefined, ['cpu', 'reference'], ['reference']])(
    'runs on a backend of its own in the order %j',
    async (backends) => {
      const n = new NetworkDefinition();
      n.markOutput(leakyScale.addTo(n, { x: n.addInput('x', 'float32', [2]) }, { alpha: 0.5 }).y, 'y');
      await using engine = await engineOf(n, registry, backends ? { backends } : {});
      const tactics = engine.inspect().layers.map((l) => l.tactic);
      // On a device it is the kernel that runs.
      expect(tactics.some((t) => t === 'plugins' || t.startsWith('cuda.provided'))).toBe(true);
    },
  );

  it('may decide a size by the values', async () => {
    const kept = await answer({
      infer: ({ inputs: { x }, dataDependent }) => ({ y: { dtype: x.dtype, dims: [dataDependent('kept')] } }),
      cpu: ({ x }) => {
        const positive = (x.data as Float32Array).filter((v) => v > 0);
        return { y: new Tensor('float32', positive, [positive.length]) };
      },
    });
    expect(kept.dims).toEqual([2]);
    expect([...(kept.data as Float32Array)]).toEqual([1, 3]);
  });

  it('is evaluated once for constants', async () => {
    let calls = 0;
    const plugin = definePlugin({
      name: 'Counted',
      fields: { by: field.int() },
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cpu: ({ x }, { by }) => {
        calls += 1;
        return { y: (x.data as Float32Array).map((v) => v * by) };
      },
    });
    const n = new NetworkDefinition();
    const { y } = plugin.addTo(n, { x: n.addConstant(new Tensor('float32', Float32Array.of(1, 2), [2])) }, { by: 3 });
    n.markOutput(n.addElementWise(n.addInput('x', 'float32', [2]), y, 'sum'), 'sum');
    await using engine = await engineOf(n, new PluginRegistry());
    await using context = engine.createContext();
    const { sum } = await context.run({ x: new Tensor('float32', Float32Array.of(1, 1), [2]) });
    expect([...(sum!.data as Float32Array)]).toEqual([4, 7]);
    expect(calls).toBe(1);
  });

  it('is named when it throws, forgets an output or gives a wrong shape', async () => {
    const infer = ({ inputs: { x } }: { inputs: { x: { dtype: DType; dims: readonly never[] } } }) => ({ y: x });
    const spec = (cpu: () => unknown): never => ({ infer, cpu }) as never;
    await expect(
      answer(
        spec(() => {
          throw new RangeError('no such thing');
        }),
      ),
    ).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/plugin Answer\d+ 1:.*no such thing/) as string,
    });
    await expect(answer(spec(() => ({})))).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining("output 'y' is missing") as string,
    });
    await expect(answer(spec(() => ({ y: new Float32Array(2) })))).rejects.toMatchObject({ code: 'ERR_PLUGIN' });
    await expect(answer(spec(() => ({ y: new Tensor('float32', new Float32Array(2), [2]) })))).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining('has shape [2], expected [3]') as string,
    });
    expect([...((await answer(spec(() => ({ y: Float32Array.of(4, 5, 6) })))).data as Float32Array)]).toEqual([
      4, 5, 6,
    ]);
  });

  it.each([
    ['an unknown dtype', { y: { dtype: 'float33', dims: [2] } }],
    ['a negative extent', { y: { dtype: 'float32', dims: [-1] } }],
    ['no extents', { y: { dtype: 'float32' } }],
    ['no output', {}],
  ])('is named when infer gives %s', (_, result) => {
    const n = new NetworkDefinition();
    const plugin = definePlugin({ ...minimal, name: `Infers${String(made++)}`, infer: () => result as never });
    expect(() => plugin.addTo(n, { x: n.addInput('x', 'float32', [2]) })).toThrow(
      /plugin Infers\d+ 1: infer gives no dtype and extents of output 'y'/,
    );
  });

  it('must be there when its plan is loaded', async () => {
    const n = new NetworkDefinition();
    n.markOutput(leakyScale.addTo(n, { x: n.addInput('x', 'float32', [2]) }).y, 'y');
    const bytes = await (await new Builder().build(n.toNetwork(), cpu)).toBytes();
    const other = new PluginRegistry().register(definePlugin({ ...minimal, name: 'LeakyScales', namespace: 'acme' }));
    await expect(Runtime.load(bytes, { backends: [pluginBackend(other)] })).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/no plugin acme::LeakyScale 1; the nearest: acme::LeakyScales 1/) as string,
    });
  });
});

const minimal = {
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }: { inputs: { x: { dtype: DType; dims: readonly number[] } } }) => ({ y: x }),
  cpu: ({ x }: { x: Tensor }) => ({ y: x }),
} as never as Parameters<typeof definePlugin<['x'], ['y']>>[0];

describe('a definition', () => {
  it.each([
    ['a name with a space', { name: 'a b' }, /name must be/],
    ['an empty version', { name: 'A', version: '' }, /version must be/],
    ['no outputs', { name: 'B', outputs: [] }, /needs an output/],
    ['two inputs of a name', { name: 'C', inputs: ['x', 'x?'] }, /two of its inputs/],
    ['no implementation', { name: 'D', cpu: undefined }, /no implementation/],
    ['a misspelt member', { name: 'F', lowre: () => ({}) }, /it has no 'lowre'; known: name, version/],
    [
      'a misspelt member of its kernels',
      { name: 'G', cuda: { source: '', launches: () => [], workspace: 4 } },
      /cuda has no 'workspace'; known: .*workspaceBytes/,
    ],
    [
      'the layout of an operand that it has not',
      { name: 'H', cuda: { source: '', launches: () => [], formats: [{ z: 'channelsLast' }] } },
      /cuda.formats: there is no input or output 'z'/,
    ],
    ['a default of another kind', { name: 'E', fields: { n: field.int(0.5) } }, /field 'n' must be an integer/],
  ])('with %s is refused', (_, change, message) => {
    expect(() => definePlugin({ ...minimal, ...(change as object) })).toThrow(message);
  });

  it('is refused twice', () => {
    definePlugin({ ...minimal, name: 'Twice' });
    expect(() => definePlugin({ ...minimal, name: 'Twice' })).toThrow(/already/);
  });

  it('checks fields and inputs of a layer', () => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', [2]);
    expect(() => leakyScale.addTo(n, { x }, { alhpa: 1 } as never)).toThrow(/has no field 'alhpa'; its fields: alpha/);
    expect(() => leakyScale.addTo(n, { x }, { alpha: '1' } as never)).toThrow(/field 'alpha' must be a number/);
    expect(() => leakyScale.addTo(n, {} as never)).toThrow(/input 'x' is missing/);
    expect(() => leakyScale.addTo(n, { x, y: x } as never)).toThrow(/no input 'y'/);
  });
});
