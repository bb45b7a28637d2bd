/** Plugins out of shared libraries, compiled here. */

import { Builder } from '@tensorwright/builder';
import {
  decodePlanPreamble,
  encodePlanHead,
  NetworkDefinition,
  type NetworkTensor,
  type PlanHeader,
  planPreambleBytes,
  Tensor,
} from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

vi.setConfig({ testTimeout: 60_000 });

const folder = new LibraryFolder();
const source = join(import.meta.dirname, 'support', 'library.cpp');

afterAll(() => {
  folder.remove();
});

const floats = (...values: number[]): Tensor => new Tensor('float32', Float32Array.from(values), [values.length]);
const numbers = (t: Tensor | undefined): number[] => [...(t!.data as Float32Array)];

describe.skipIf(!hasCompiler)('a plugin library', () => {
  let first: string, second: string;
  beforeAll(() => {
    first = folder.compile('first.so', source);
    second = folder.compile('second.so', source, '-DVERSION="2"', '-DPOWER=2');
  }, 120_000);

  /** The plan of a network whose outputs `layers` makes of one input. */
  async function plan(
    layers: (n: NetworkDefinition, x: NetworkTensor) => Record<string, NetworkTensor>,
    dims: readonly (number | string)[],
  ): Promise<Uint8Array> {
    const n = new NetworkDefinition();
    for (const [name, tensor] of Object.entries(layers(n, n.addInput('x', 'float32', dims))))
      n.markOutput(tensor, name);
    return (await new Builder().build(n.toNetwork(), { backends: ['cpu'] })).toBytes();
  }

  async function run(bytes: Uint8Array, x: Tensor): Promise<Record<string, Tensor>> {
    await using engine = await Runtime.load(bytes);
    await using context = engine.createContext();
    return await context.run({ x });
  }

  it('computes on the processor, with fields, state and scratch memory, for any extents', async () => {
    using library = PluginLibrary.load(first);
    expect(library.plugins.map((p) => p.title)).toEqual([
      'test::Scale 1',
      'test::Positive 1',
      'test::Throwing 1',
      'test::Liar 1',
    ]);
    const [scale] = library.plugins;
    const bytes = await plan((n, x) => scale!.addTo(n, { x }, { by: 3, labels: ['a', 'b'] }), ['rows', 2]);
    const { y, sums } = await run(bytes, new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]));
    expect(numbers(y)).toEqual([3, 6, 9, 12, 15, 18]);
    expect(numbers(sums)).toEqual([9, 21, 33]);
  });

  it.each([Infinity, -Infinity, NaN])('has fields that are %s', async (by) => {
    using library = PluginLibrary.load(first);
    const bytes = await plan((n, x) => library.plugins[0]!.addTo(n, { x }, { by, labels: ['a', 'b'] }), [1, 2]);
    const { y } = await run(bytes, new Tensor('float32', Float32Array.of(1, -2), [1, 2]));
    expect(numbers(y)).toEqual([by, -2 * by]);
  });

  it.each([
    ['Scale', { by: 'abc' }, "field 'by' is no number"],
    ['Scale', { by: '' }, "field 'by' is no number"],
    ['Scale', { by: '1e' }, "field 'by' is no number"],
    ['Scale', { by: [1, 2] }, "field 'by' is no number"],
    ['Liar', { times: 1.5 }, "field 'times' is no integer"],
    ['Liar', { times: 'NaN' }, "field 'times' is no integer"],
    ['Liar', { times: 1e300 }, "field 'times' is no integer"],
    ['Liar', { dims: [1, 0.5] }, "field 'dims' is no list of integers"],
  ])('of which a plan calls %s with %o is named with the field', (name, given, message) => {
    using handle = loadNative().openPlugins(first);
    const plugin = handle.plugins().findIndex((p) => p.name === name);
    const fields = { ...(name === 'Scale' ? { by: 1, labels: ['a', 'b'] } : { dims: [1], times: 1 }), ...given };
    const attributes = Object.fromEntries(Object.entries(fields).map(([field, value]) => [`field:${field}`, value]));
    expect(() => handle.infer(plugin, attributes, [{ dtype: 'float32', dims: [1, 2] }])).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_PLAN',
        message: `plugin test::${name} 1: ${message}`,
      }) as Error,
    );
  });

  it('gives outputs whose size the values decide', async () => {
    using library = PluginLibrary.load(first);
    const positive = library.plugins[1]!;
    const bytes = await plan((n, x) => positive.addTo(n, { x }), ['n']);
    const { y } = await run(bytes, floats(1, -2, 3, 0, 5));
    expect(numbers(y)).toEqual([1, 3, 5]);
  });

  it('has memory for outputs that a plan leaves out', async () => {
    using library = PluginLibrary.load(first);
    const bytes = await plan(
      (n, x) => ({ y: library.plugins[0]!.addTo(n, { x }, { by: 3, labels: ['a', 'b'] })['y']! }),
      [1, 2],
    );
    const { headerBytes, sectionsOffset } = decodePlanPreamble(bytes, bytes.length, 'plan');
    const json = Buffer.from(bytes.buffer, bytes.byteOffset + planPreambleBytes, headerBytes).toString();
    const { sections, ...header } = JSON.parse(json) as PlanHeader;
    const steps = header.program.steps.map((s) =>
      s.kernel === 'plugin' ? { ...s, outputs: [s.outputs[0]!, null] } : s,
    );
    const { head } = encodePlanHead({ ...header, program: { ...header.program, steps } }, sections);
    const { y } = await run(
      Buffer.concat([head, bytes.subarray(sectionsOffset)]),
      new Tensor('float32', Float32Array.of(1, 2), [1, 2]),
    );
    expect(numbers(y)).toEqual([3, 6]);
  });

  it('has versions side by side, and goes when it is closed', async () => {
    const one = PluginLibrary.load(first);
    const two = PluginLibrary.load(second);
    const registry = new PluginRegistry().register(one.plugins[0]!).register(two.plugins[0]!);
    const call = { by: 3, labels: ['a', 'b'] };
    const bytes = await plan(
      (n, x) => ({
        one: one.plugins[0]!.addTo(n, { x }, call)['y']!,
        two: two.plugins[0]!.addTo(n, { x }, call)['y']!,
      }),
      [1, 2],
    );
    expect(registry.get({ name: 'Scale' }).title).toBe('test::Scale 2');
    const x = new Tensor('float32', Float32Array.of(1, 2), [1, 2]);
    const both = await run(bytes, x);
    expect([numbers(both['one']), numbers(both['two'])]).toEqual([
      [3, 6],
      [9, 36],
    ]);
    const engine = await Runtime.load(bytes);
    two.close();
    two.close();
    // What is loaded goes on; what is not cannot begin.
    await using context = engine.createContext();
    expect(numbers((await context.run({ x }))['two'])).toEqual([9, 36]);
    await expect(run(bytes, x)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/no loaded library has plugin test::Scale 2; looked in .*first\.so/) as string,
    });
    await engine.close();
    using again = PluginLibrary.load(second);
    PluginLibrary.load(second).close();
    expect(again.plugins[0]!.title).toBe('test::Scale 2');
    expect(numbers((await run(bytes, x))['two'])).toEqual([9, 36]);
    one.close();
  });

  it('names what its plugins refuse and throw', async () => {
    using library = PluginLibrary.load(first);
    const [scale, , throwing] = library.plugins;
    await expect(plan((n, x) => scale!.addTo(n, { x }, { labels: ['a', 'b'] }), [2])).rejects.toMatchObject({
      message: expect.stringContaining('plugin test::Scale 1: infer failed: x must have rank 2') as string,
    });
    await expect(plan((n, x) => scale!.addTo(n, { x }), [1, 2])).rejects.toThrow(/field 'labels' is missing/);
    const wrong = await plan((n, x) => scale!.addTo(n, { x }, { labels: ['a'] }), [1, 2]);
    await expect(run(wrong, new Tensor('float32', Float32Array.of(1, 2), [1, 2]))).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining('enqueue failed: labels must be two') as string,
    });
    const none = await plan((n, x) => scale!.addTo(n, { x }, { by: 0, labels: ['a', 'b'] }), [1, 2]);
    await expect(Runtime.load(none)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining('plugin test::Scale 1: attach failed: by must not be 0') as string,
    });
    const bytes = await plan((n, x) => throwing!.addTo(n, { x }), [1]);
    await expect(run(bytes, floats(1))).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringContaining('plugin test::Throwing 1: enqueue failed: out of luck') as string,
    });
  });

  it.each([
    ['more than it said', [5], 1, 'axis 0 = 5 is out of bounds'],
    ['another rank', [2, 2], 1, 'came out as [2,2], expected rank 1'],
    ['a negative extent', [-1], 1, 'axis 0 = -1 is out of bounds'],
    ['nothing', [1], 0, "enqueue has not allocated output 'y'"],
  ])('is held to its word where it asks for memory of %s', async (_, dims, times, message) => {
    using library = PluginLibrary.load(first);
    const bytes = await plan((n, x) => library.plugins[3]!.addTo(n, { x }, { dims, times }), ['n']);
    await expect(run(bytes, floats(1))).rejects.toThrow(message);
  });

  it('does not run plans of other shapes', async () => {
    const library = PluginLibrary.load(first);
    const bytes = await plan((n, x) => library.plugins[0]!.addTo(n, { x }, { labels: ['a', 'b'] }), ['rows', 2]);
    library.close();
    using grown = PluginLibrary.load(folder.compile('grown.so', source, '-DGROWTH=1'));
    expect(grown.plugins[0]!.title).toBe('test::Scale 1');
    await expect(run(bytes, new Tensor('float32', Float32Array.of(1, 2), [1, 2]))).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining("output 'sums' of plugin test::Scale 1 has 1 at axis 0, expected 2") as string,
    });
  });

  it('is refused when it is none, or one for another interface', () => {
    const text = join(folder.path, 'text.so');
    writeFileSync(text, 'no library');
    const other = join(folder.path, 'other.cpp');
    writeFileSync(other, 'extern "C" int nothing() { return 0; }');
    const old = join(folder.path, 'old.cpp');
    writeFileSync(
      old,
      '#include <cstdint>\nextern "C" { extern const std::uint32_t tensorwright_plugin_interface = 77; void* tensorwright_plugins() { return nullptr; } }',
    );
    const refusal = (path: string): unknown => {
      try {
        return PluginLibrary.load(path);
      } catch (error) {
        return error;
      }
    };
    const code = 'ERR_PLUGIN';
    const saying = (text: string): object => ({ code, message: expect.stringContaining(text) as string });
    expect(refusal(text)).toMatchObject(saying('it is no library that can be loaded'));
    expect(refusal(folder.compile('other.so', other))).toMatchObject(saying('it is no plugin library'));
    expect(refusal(folder.compile('old.so', old))).toMatchObject(
      saying('it was built for plugin interface 77, this host knows 1 to 2'),
    );
    expect(refusal(join(folder.path, 'missing.so'))).toMatchObject(
      saying('missing.so: the plugin library cannot be read'),
    );
    expect(refusal('no-such-package')).toMatchObject(saying("package 'no-such-package': it is not installed"));
  });

  it.each(['some-plugins', '@some/plugins'])('comes from the npm package %s', (name) => {
    const home = join(folder.path, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    const plugins = relative(home, join(folder.path, 'first.so'));
    writeFileSync(join(home, 'package.json'), JSON.stringify({ tensorwright: { plugins } }));
    using library = PluginLibrary.load(name, join(folder.path, 'package.json'));
    expect(library.plugins).toHaveLength(4);
  });

  it('comes from an npm package with a library for each platform', () => {
    const home = join(folder.path, 'node_modules', 'many-platforms');
    mkdirSync(home, { recursive: true });
    const manifest = (plugins: object): void => {
      writeFileSync(join(home, 'package.json'), JSON.stringify({ tensorwright: { plugins } }));
    };
    const from = pathToFileURL(join(folder.path, 'package.json'));
    manifest({ [`${process.platform}-${process.arch}`]: '../../first.so' });
    PluginLibrary.load('many-platforms', from).close();
    manifest({ 'other-cpu': '../../first.so' });
    expect(() => PluginLibrary.load('many-platforms', from)).toThrow(/names no library for .*, only for other-cpu/);
  });
});
