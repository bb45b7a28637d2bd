/** Plans that carry the libraries of their plugins. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, planPreamble, planPreambleBytes, Tensor } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { appendFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

const allowed = { allowCodeFromPlan: true };

describe.skipIf(!hasCompiler)('a plan with its library', () => {
  const folder = new LibraryFolder();
  const temporary = process.env['TMPDIR'];
  let path: string;
  beforeAll(() => {
    path = folder.compile('mine.so', join(import.meta.dirname, 'support', 'library.cpp'));
    process.env['TMPDIR'] = join(folder.path, 'temporary');
    mkdirSync(process.env['TMPDIR']);
  }, 60_000);
  afterAll(() => {
    if (temporary === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = temporary;
    folder.remove();
  });

  async function build(library: PluginLibrary, embedLibraries: boolean): Promise<Uint8Array> {
    const network = new NetworkDefinition();
    const x = network.addInput('x', 'float32', ['rows', 2]);
    const { y } = library.plugins[0]!.addTo(network, { x }, { by: 3, labels: ['a', 'b'] });
    network.markOutput(y!, 'y');
    return (await new Builder().build(network.toNetwork(), { backends: ['cpu'], embedLibraries })).toBytes();
  }

  async function run(plan: Uint8Array, options: object = {}): Promise<number[]> {
    await using engine = await Runtime.load(plan, options);
    await using context = engine.createContext();
    const { y } = await context.run({ x: new Tensor('float32', Float32Array.of(1, 2), [1, 2]) });
    return [...(y!.data as Float32Array)];
  }

  it('runs where code from plans is allowed, and leaves nothing behind', async () => {
    const library = PluginLibrary.load(path);
    const plan = await build(library, true);
    expect(await build(library, true)).toEqual(plan);
    const without = await build(library, false);
    expect(plan.length).toBeGreaterThan(without.length);
    // What the process has by itself needs no permission.
    expect(await run(plan)).toEqual([3, 6]);
    library.close();
    await expect(run(plan)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message:
        "plan: the plan carries plugin test::Scale 1 in 'mine.so', and this host does not allow code from plans: " +
        'load the library, or pass { allowCodeFromPlan: true }',
    });
    expect(await Promise.all([run(plan, allowed), run(plan, allowed)])).toEqual([
      [3, 6],
      [3, 6],
    ]);
    expect(readdirSync(join(folder.path, 'temporary'))).toEqual([]);
    // The code is that plan's alone.
    await expect(run(without, allowed)).rejects.toThrow(/no loaded library has plugin test::Scale 1/);
  });

  it('is refused when it is damaged, or for another platform', async () => {
    using library = PluginLibrary.load(path);
    const plan = await build(library, true);
    library.close();
    const signed = (bytes: Buffer): Buffer => {
      bytes.set(planPreamble(bytes.subarray(planPreambleBytes, planPreambleBytes + bytes.readUInt32LE(12))));
      return bytes;
    };
    const platform = `${process.platform}-${process.arch}`;
    const other = Buffer.from(plan);
    other.write('other-cpu'.padEnd(platform.length).slice(0, platform.length), other.indexOf(platform));
    await expect(run(signed(other), allowed)).rejects.toThrow(/which is for .*; this is/);
    const damaged = Buffer.from(plan);
    damaged[damaged.length - 1]! ^= 1;
    await expect(run(damaged, allowed)).rejects.toThrow(/which is damaged: its digest is not the header's/);
    const long = Buffer.from(plan);
    const at = long.indexOf('"offset":0', long.indexOf('"libraries":['));
    long.write('"offset":9', at);
    await expect(run(signed(long), allowed)).rejects.toMatchObject({
      code: 'ERR_INVALID_PLAN',
      message: expect.stringMatching(/libraries\[0\]: ends at byte \d+ of a section of \d+/) as string,
    });
    await expect(Runtime.load(plan, { allowCodeFromPlan: 1 as never })).rejects.toThrow(/allowCodeFromPlan/);
  });

  it('is not built from another file than was loaded', async () => {
    const changing = folder.compile('changing.so', join(import.meta.dirname, 'support', 'library.cpp'));
    using library = PluginLibrary.load(changing);
    appendFileSync(changing, 'more');
    await expect(build(library, true)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/changing\.so: the plugin library has changed since it was loaded/) as string,
    });
  });
});
