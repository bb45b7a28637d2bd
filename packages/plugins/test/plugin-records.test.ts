/** What a library's records may be, and what its extents may do: a library in C, compiled here. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

const source = join(import.meta.dirname, 'support', 'records.c');
const add = 0;
const multiply = 2;
const divide = 3;
const modulo = 4;
const dataDependent = 7;

describe.skipIf(!hasCompiler)('a library in C', () => {
  const folder = new LibraryFolder();
  let path: string;
  beforeAll(() => {
    path = folder.compile('récords.so', source);
  }, 60_000);
  afterAll(() => {
    folder.remove();
  });

  async function extent(library: PluginLibrary, operation: number, by: number, n: number | string): Promise<unknown> {
    const network = new NetworkDefinition();
    const x = network.addInput('x', 'float32', [n]);
    network.markOutput(library.plugins[0]!.addTo(network, { x }, { operation, by })['y']!, 'y');
    const plan = await new Builder().build(network.toNetwork(), { backends: ['cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { y } = await context.run({ x: new Tensor('float32', new Float32Array(6), [6]) });
    return y!.dims[0];
  }

  it('may be older or newer than its host, and leave lists and namespaces out', async () => {
    using library = PluginLibrary.load(path);
    expect(library.plugins.map((p) => p.title)).toEqual(['Old 1', 'New 1']);
    expect(await extent(library, add, 4, 6)).toBe(10);
    expect(await extent(library, multiply, 3, 'n')).toBe(18);
    expect(await extent(library, divide, 4, 'n')).toBe(1);
    expect(await extent(library, modulo, 4, 6)).toBe(2);
  });

  it.each([
    ['divides by zero', divide, 0, 6, 'infer failed: it divides an extent by zero'],
    ['divides the unknown by zero', modulo, 0, 'n', 'infer failed: it divides an extent by zero'],
    ['overflows', multiply, 2 ** 53 - 1, 6, 'infer failed: an extent exceeds 2^53'],
    ['overflows 64 bits', multiply, 2 ** 53 - 1, 2 ** 40, 'infer failed: an extent exceeds 64 bits'],
    ['is below zero', add, -7, 6, "infer gives output 'y' a negative extent"],
    ['has no bounds', dataDependent, 5, 6, 'infer failed: a data-dependent extent needs bounds'],
    ['uses no operation', 99, 1, 6, 'infer failed: it used an operation that is none'],
  ] as const)('is told when an extent %s', async (_, operation, by, n, message) => {
    using library = PluginLibrary.load(path);
    await expect(extent(library, operation, by, n)).rejects.toThrow(`plugin Old 1: ${message}`);
  });

  const size = 'sizeof(tw_plugin)';
  const code = 'infer, NULL, NULL, NULL, NULL, enqueue, 0';
  it.each([
    ['too small', `{8, "P", "1", NULL, x_names, 1, y_names, 1, NULL, 0, ${code}}`, 'its record is too small'],
    [
      'without a name',
      `{${size}, "", "1", NULL, x_names, 1, y_names, 1, NULL, 0, ${code}}`,
      'it lacks a name or version',
    ],
    ['without a list', `{${size}, "P", "1", NULL, NULL, 1, y_names, 1, NULL, 0, ${code}}`, 'bad inputs'],
    ['without outputs', `{${size}, "P", "1", NULL, NULL, 0, NULL, 0, NULL, 0, ${code}}`, 'bad outputs'],
    [
      'with a default of another kind',
      `{${size}, "P", "1", NULL, x_names, 1, y_names, 1, wrong_fields, 1, ${code}}`,
      "a field's default is not of its kind",
    ],
    [
      'with unknown flags',
      `{${size}, "P", "1", NULL, x_names, 1, y_names, 1, NULL, 0, infer, NULL, NULL, NULL, NULL, enqueue, 6}`,
      'it has flags that this version does not know',
    ],
    ['without code', `{${size}, "P", "1", NULL, x_names, 1, y_names, 1, NULL, 0}`, 'it lacks infer or enqueue'],
  ])('is refused with a record %s', (_, record, message) => {
    const wrong = folder.compile('wrong.so', source, `-DRECORD=${record}`, '-Wno-missing-field-initializers');
    expect(() => PluginLibrary.load(wrong)).toThrow(`plugin 0: ${message}`);
  });
});
