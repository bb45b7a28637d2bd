/** Plugins of libraries that take the place of subgraphs. */

import { Builder, type Plan } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, readNumbers, tensorFromNumbers } from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

const values = [-2, -0.5, 0, 0.5, 1, 3];
type Make = (
  n: NetworkDefinition,
  x: NetworkTensor,
  constant: (v: number, dims?: number[]) => NetworkTensor,
) => NetworkTensor;

describe.skipIf(!hasCompiler)('a pattern of a library', () => {
  const folder = new LibraryFolder();
  let library: PluginLibrary;
  let plugins: PluginRegistry;
  beforeAll(() => {
    library = PluginLibrary.load(folder.compile('replacing.so', join(import.meta.dirname, 'support', 'replacing.cpp')));
    plugins = new PluginRegistry();
    for (const plugin of library.plugins) plugins.register(plugin);
  }, 60_000);
  afterAll(() => {
    library.close();
    folder.remove();
  });

  async function built(make: Make, dims: readonly number[] = [6], registry = plugins): Promise<Plan> {
    const n = new NetworkDefinition();
    const constant = (v: number, shape: number[] = []): NetworkTensor =>
      n.addConstant(tensorFromNumbers('float32', Array<number>(shape.reduce((p, d) => p * d, 1)).fill(v), shape));
    n.markOutput(make(n, n.addInput('x', 'float32', dims), constant), 'y');
    return new Builder().build(n.toNetwork(), { backends: ['cpu'], plugins: registry });
  }
  async function run(plan: Plan): Promise<number[]> {
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { y } = await context.run({ x: tensorFromNumbers('float32', values, [6]) });
    return [...readNumbers(y!)];
  }
  const steps = (plan: Plan): number =>
    plan.header.program.steps.filter((s) => s.layer.tactic === 'cpu.library').length;
  const matches = ({ header }: Plan): Record<string, number> =>
    Object.fromEntries(header.report.patterns!.map((p) => [p.pattern, p.matches]));

  it.each<[string, Make, Record<string, number>, (v: number) => number]>([
    [
      'with what the library reads from a constant',
      (n, x, constant) => n.addElementWise(n.addActivation(x, 'tanh'), constant(3), 'prod'),
      { 'scaled tanh': 1 },
      (v) => 3 * Math.tanh(v),
    ],
    [
      'with the constant it asks for',
      (n, x, constant) => n.addElementWise(n.addActivation(x, 'tanh'), constant(2), 'div'),
      { 'halved tanh': 1 },
      (v) => Math.tanh(v) / 2,
    ],
    [
      'where others read what is inside too',
      (n, x, constant) => {
        const th = n.addActivation(x, 'tanh');
        return n.addElementWise(n.addElementWise(constant(3), th, 'prod'), th, 'sum');
      },
      { 'scaled tanh': 1 },
      (v) => 4 * Math.tanh(v),
    ],
    [
      'with the attribute it asks for',
      (n, x) => n.addActivation(x, 'leakyRelu', { alpha: 0.25 }),
      { 'pattern 0': 1 },
      (v) => (v < 0 ? v / 4 : v),
    ],
    [
      'with the attribute that the library looks at',
      (n, x) => n.addActivation(x, 'thresholdedRelu', { alpha: 3 }),
      { asked: 1 },
      // What it computes is its own affair.
      (v) => (v < 0 ? v / 4 : v),
    ],
  ])('is replaced %s', async (_, make, wanted, f) => {
    const plan = await built(make);
    expect(matches(plan)).toEqual({ 'scaled tanh': 0, 'halved tanh': 0, 'pattern 0': 0, asked: 0, ...wanted });
    expect(steps(plan)).toBe(1);
    (await run(plan)).forEach((v, i) => expect(v).toBeCloseTo(f(values[i]!), 5));
  });

  it.each<[string, Make]>([
    ['another constant is there', (n, x, constant) => n.addElementWise(n.addActivation(x, 'tanh'), constant(3), 'div')],
    ['another attribute is there', (n, x) => n.addActivation(x, 'leakyRelu', { alpha: 0.5 })],
    [
      'the library does not want it',
      (n, x, constant) => n.addElementWise(n.addActivation(x, 'tanh'), constant(3, [1]), 'prod'),
    ],
    ['the library does not want its attribute', (n, x) => n.addActivation(x, 'thresholdedRelu', { alpha: 2 })],
  ])('is left where %s', async (_, make) => {
    const plan = await built(make);
    expect(steps(plan)).toBe(0);
  });

  const scaled: Make = (n, x, constant) => n.addElementWise(n.addActivation(x, 'tanh'), constant(3), 'prod');

  it('names the plugin and the pattern where the library fails, or sets a field of another kind', async () => {
    await expect(built(scaled, [1, 2, 3])).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: 'plugin test::ScaledTanh 1: scaled tanh: accepts failed: three axes are too many',
    });
    await expect(built(scaled, [1, 1, 2, 3])).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/ScaledTanh 1: scaled tanh: fields: .*field 'note' must be a string/) as string,
    });
  });

  it('is asked about tensors that lie as their types want it', () => {
    using handle = loadNative().openPlugins(library.path);
    const plugin = handle.plugins().findIndex(({ name }) => name === 'ScaledTanh');
    // A float32 one byte behind where it may begin.
    const data = new Uint8Array(5).subarray(1);
    new DataView(data.buffer).setFloat32(1, 3, true);
    const tensors = { x: { dtype: 'float32', dims: [6] }, scale: { dtype: 'float32', dims: [], data } } as const;
    expect(handle.match(plugin, 0, { tensors, attributes: {} })).toEqual({ counts: true, fields: { scale: 3 } });
  });

  it('stands for nothing once its library is closed', async () => {
    const other = PluginLibrary.load(library.path);
    const registry = new PluginRegistry();
    for (const plugin of other.plugins) registry.register(plugin);
    expect(steps(await built(scaled, [6], registry))).toBe(1);
    other.close();
    expect(steps(await built(scaled, [6], registry))).toBe(0);
  });
});
