/** What a library's records may be, and what its extents may do: a library in C, compiled here. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { basename, join } from 'node:path';
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
    path = folder.compile('récords.so', source, '-Wno-override-init');
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
    expect(library.plugins.map((p) => p.title)).toEqual(['Old 1', 'Second 1', 'New 1']);
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

  it('may be of an interface before, which has neither aliases nor patterns', async () => {
    const old = folder.compile('interface-1.so', source, '-DINTERFACE=1', '-Wno-override-init');
    using library = PluginLibrary.load(old);
    expect(library.plugins.map((p) => p.title)).toEqual(['Old 1', 'Second 1', 'New 1']);
    expect(library.plugins.flatMap((p) => p.patterns ?? [])).toEqual([]);
    expect(await extent(library, add, 4, 6)).toBe(10);
  });

  it('may not be of one to come', () => {
    const later = folder.compile('later.so', source, '-DINTERFACE=99', '-Wno-override-init');
    expect(() => PluginLibrary.load(later)).toThrow('it was built for plugin interface 99, this host knows 1 to 2');
  });

  const aliases = (list: string): string => `.aliases = ${list}, .alias_count = 1`;
  const patterns = (list: string): string => `.patterns = ${list}, .pattern_count = 1`;
  let made = 0;
  it.each([
    ['too small', '.size = 8', 'its record is too small'],
    ['without a name', '.name = ""', 'it lacks a name or version'],
    ['without a list', '.inputs = NULL', 'bad inputs'],
    ['without outputs', '.output_count = 0', 'bad outputs'],
    [
      'with a default of another kind',
      '.fields = wrong_fields, .field_count = 1',
      "a field's default is not of its kind",
    ],
    ['with unknown flags', '.flags = 6', 'it has flags that this version does not know'],
    ['without code', '.infer = NULL', 'it lacks infer or enqueue'],
    ['with an alias of no output', aliases('other_output'), 'an alias names an output that is none'],
    ['with an alias of no input', aliases('other_input'), 'an alias names an input that is none'],
    ['with an alias twice', '.aliases = twice, .alias_count = 2', 'two aliases share an output or an input'],
    ['without its aliases', '.alias_count = 1', 'bad aliases'],
    ['without its patterns', '.pattern_count = 1', 'bad patterns'],
    ['with a pattern that is none', patterns('no_patterns'), 'the record of a pattern is missing or too small'],
    ['with a pattern too small', patterns('small_patterns'), 'the record of a pattern is missing or too small'],
    ['with a node without names', patterns('names_patterns'), "a pattern's nodes lack an operator, names"],
    ['with a constant without a value', patterns('value_patterns'), "a pattern's constants lack names"],
  ])('is refused with a record %s', (_, change, message) => {
    expect(() => PluginLibrary.load(wrong(change))).toThrow(`plugin 0: ${message}`);
  });

  it.each([
    ['of no operator', 'operator_patterns', "pattern 0: there is no operator 'relux'"],
    ['with a tensor from nowhere', 'stray_patterns', "pattern 0: no node reads the plugin's input 'x'"],
  ])('is refused with a pattern %s', (_, list, message) => {
    const path = wrong(patterns(list));
    expect(() => PluginLibrary.load(path)).toThrow(
      expect.objectContaining({ code: 'ERR_PLUGIN', message: `${path}: plugin P 1, ${message}` }) as Error,
    );
  });

  function wrong(change: string): string {
    const path = join(folder.path, `wrong-${String(made++)}.so`);
    return folder.compile(basename(path), source, `-DRECORD={USUAL, ${change}}`, '-Wno-override-init');
  }
});
