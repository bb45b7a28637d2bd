/** A library's plugin on a device's stream, next to the same one on the processor. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isEmulated, traced } from '../../backend-cuda/test/support/emulator-play.js';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

vi.setConfig({ testTimeout: 120_000 });

const source = join(import.meta.dirname, '..', '..', '..', 'samples', 'plugin-library', 'swiglu.cpp');
const rows = 5;
const columns = 74;
const x = Float32Array.from({ length: rows * columns * 2 }, (_, i) => 4 * Math.sin(i * 1.3));

function expected(limit: number): number[] {
  return Array.from({ length: rows * columns }, (_, i) => {
    const at = Math.floor(i / columns) * 2 * columns + (i % columns);
    const gate = Math.min(x[at]!, limit);
    return (gate / (1 + Math.exp(-gate))) * x[at + columns]!;
  });
}

describe.skipIf(!hasCompiler || cudaBackend.device() === undefined)('a plugin library on a device', () => {
  const folder = new LibraryFolder();
  let path: string;
  beforeAll(() => {
    path = folder.compile('swiglu.so', source);
  }, 60_000);
  afterAll(() => {
    folder.remove();
  });

  it.each([
    ['cuda', ['cuda', 'cpu'], 'cuda.library'],
    ['cpu', ['cpu'], 'cpu.library'],
  ] as const)('computes on %s, again and again', async (_, backends, tactic) => {
    using library = PluginLibrary.load(path);
    const network = new NetworkDefinition();
    const input = network.addInput('x', 'float32', ['rows', 2 * columns]);
    const { y } = library.plugins[0]!.addTo(network, { x: input }, { limit: 2.5 });
    // A layer of ours before and behind: the stream keeps them in order.
    network.markOutput(network.addElementWise(y!, y!, 'sum'), 'y');
    const plan = await new Builder().build(network.toNetwork(), { backends });
    await using engine = await Runtime.load(await plan.toBytes());
    expect(engine.inspect().layers.map((layer) => layer.tactic)).toContain(tactic);
    await using context = engine.createContext();
    // The first run queues, the second one records, the third one plays.
    for (let turn = 0; turn < 3; turn++) {
      const result = await context.run({ x: new Tensor('float32', x, [rows, 2 * columns]) });
      const right = expected(2.5);
      (result['y']!.data as Float32Array).forEach((v, i) => {
        expect(Math.abs(v - 2 * right[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(right[i]!)));
      });
    }
  });

  it.skipIf(!isEmulated)('takes a stream for each context, and none for its steps', async () => {
    using library = PluginLibrary.load(path);
    const network = new NetworkDefinition();
    const input = network.addInput('x', 'float32', [rows, 2 * columns]);
    for (const limit of [1, 2, 3]) {
      const { y } = library.plugins[0]!.addTo(network, { x: input }, { limit });
      network.markOutput(y!, `y${String(limit)}`);
    }
    const plan = await (await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'] })).toBytes();
    const lines = await traced(join(folder.path, 'trace'), async () => {
      await using engine = await Runtime.load(plan);
      await using context = engine.createContext();
      await context.run({ x: new Tensor('float32', x, [rows, 2 * columns]) });
    });
    expect(lines.filter((l) => l.startsWith('launch '))).toHaveLength(3);
    expect(lines.filter((l) => l === 'stream')).toHaveLength(1);
  });

  /** Values of y in one run after the other. */
  async function runs(library: PluginLibrary, plugin: string, count: number): Promise<number[]> {
    const network = new NetworkDefinition();
    const x1 = network.addInput('x', 'float32', [1]);
    const { y } = library.plugins.find((p) => p.key.name === plugin)!.addTo(network, { x: x1 });
    network.markOutput(y!, 'y');
    const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const found: number[] = [];
    for (let i = 0; i < count; i++) {
      const result = await context.run({ x: new Tensor('float32', new Float32Array(1), [1]) });
      found.push((result['y']!.data as Float32Array)[0]!);
    }
    return found;
  }

  it('is recorded, unless it says no, and tells what does not compile', async () => {
    using library = PluginLibrary.load(folder.compile('device.so', join(import.meta.dirname, 'support', 'device.cpp')));
    expect(await runs(library, 'Called', 4)).toEqual([1, 2, 3, 4]);
    // Called once to run, and once to record.
    expect(await runs(library, 'Recorded', 4)).toEqual([1, 2, 2, 2]);
    await expect(runs(library, 'Broken', 1)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/attach failed: a kernel does not compile:[^]*no_such_type/) as string,
    });
  });

  it('gives outputs whose size the values decide', async () => {
    using library = PluginLibrary.load(join(folder.path, 'device.so'));
    const network = new NetworkDefinition();
    const { y } = library.plugins
      .find((p) => p.key.name === 'Positive')!
      .addTo(network, {
        x: network.addInput('x', 'float32', ['n']),
      });
    network.markOutput(network.addElementWise(y!, y!, 'sum'), 'y');
    const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    for (const values of [[1, -2, 3], [-1, -2, -3], [5], [], Array.from({ length: 300 }, (_, i) => Math.sin(i))]) {
      const result = await context.run({ x: new Tensor('float32', Float32Array.from(values), [values.length]) });
      const right = Float32Array.from(values).filter((v) => v > 0);
      expect(result['y']!.data).toEqual(right.map((v) => v + v));
    }
  });
});
