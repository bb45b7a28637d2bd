/** Libraries whose functions go wrong: each is an error with the plugin's name, and the process goes on. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor, type TensorwrightError } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

vi.setConfig({ testTimeout: 60_000 });

const source = join(import.meta.dirname, 'support', 'odd.cpp');

describe.skipIf(!hasCompiler)('a library', () => {
  const folder = new LibraryFolder();
  let library: PluginLibrary;
  beforeAll(() => {
    library = PluginLibrary.load(folder.compile('odd.so', source));
  }, 60_000);
  afterAll(() => {
    library.close();
    folder.remove();
  });

  async function run(way: string): Promise<number[]> {
    const n = new NetworkDefinition();
    n.markOutput(library.plugins[0]!.addTo(n, { x: n.addInput('x', 'float32', [2]) }, { way })['y']!, 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { y } = await context.run({ x: new Tensor('float32', Float32Array.of(1, 2), [2]) });
    return [...(y!.data as Float32Array)];
  }

  it.each([
    ['infer throws', 'infer failed: it threw what is no std::exception'],
    ['infer gives no type', "infer gives no type and rank of output 'y'"],
    ['infer gives no rank', "infer gives no type and rank of output 'y'"],
    ['infer gives a rank below zero', "infer gives no type and rank of output 'y'"],
    ['infer gives no extent', 'infer failed: it used an extent that is none'],
    ['infer gives an extent below zero', "infer gives output 'y' a negative extent"],
    ['supports throws', 'supports threw an exception across the C interface'],
    ['workspace_bytes throws', 'workspace_bytes threw an exception across the C interface'],
    ['workspace_bytes is below zero', 'workspace_bytes gives a negative size'],
    ['workspace_bytes is huge', 'cannot allocate 9223372036854775807 bytes'],
    ['attach throws', 'attach failed: it threw what is no std::exception'],
    ['attach gives nothing', 'attach failed: it gave no reason'],
    ['enqueue throws', 'enqueue failed: it threw what is no std::exception'],
    ['enqueue fails without a word', 'enqueue failed: it failed'],
    ['enqueue asks for an output that is none', 'it asked for memory of an output that is none'],
    ['enqueue asks for less than nothing', 'expected 2'],
  ])('whose %s is named', async (way, message) => {
    const error = await run(way).then(
      () => undefined,
      (e: unknown) => e as TensorwrightError,
    );
    expect(error?.message).toContain(message);
    expect(error?.message).toMatch(/test::Odd[ @]1/);
    expect(error?.code).toMatch(/^ERR_/);
    expect(await run('well')).toEqual([1, 2]);
  });

  it('whose detach throws changes nothing', async () => {
    expect(await run('detach throws')).toEqual([1, 2]);
  });

  it('whose list of plugins throws is refused', () => {
    const path = folder.compile('throws.so', source, '-DTHROWS', '-Wno-unused');
    expect(() => PluginLibrary.load(path)).toThrow(
      `${path}: tensorwright_plugins threw an exception across the C interface`,
    );
  });
});
