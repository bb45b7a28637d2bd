/** Plugins on the device: kernels of their own in plans that know nothing of the plugin any more. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { type DType, NetworkDefinition, readNumbers, tensorFromNumbers } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { leakyScale } from './support/leaky-scale.js';

vi.setConfig({ testTimeout: 120_000 });

const rows = 3;
const columns = 50;
const input = Float64Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7));
const weight = Float64Array.from({ length: columns }, (_, i) => 0.5 + i / columns);
const expected = input.map((v, i) => (v < 0 ? 0.25 * v : v) * weight[i % columns]!);

function network(dtype: DType): NetworkDefinition {
  const n = new NetworkDefinition('leaky');
  const x = n.addInput('x', dtype, ['rows', columns]);
  const w = n.addConstant(tensorFromNumbers(dtype, weight, [columns]));
  const { y } = leakyScale.addTo(n, { x, weight: w }, { alpha: 0.25 });
  n.markOutput(n.addElementWise(y, y, 'sum'), 'y');
  return n;
}

describe.skipIf(cudaBackend.device() === undefined)('a plugin with CUDA kernels', () => {
  it.each([
    ['float32', 1e-6],
    ['float16', 2e-3],
    ['bfloat16', 1e-2],
  ] as const)('computes in %s', async (dtype, tolerance) => {
    const plan = await new Builder().build(network(dtype).toNetwork(), { backends: ['cuda', 'cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    const tactics = engine.inspect().layers.map((layer) => layer.tactic);
    expect(tactics.some((t) => t.startsWith('cuda.provided'))).toBe(true);
    expect(engine.inspect().plugins).toEqual([
      { plugin: 'acme::LeakyScale 1', code: 'kernels', backend: 'cuda', layers: 1 },
    ]);
    await using context = engine.createContext();
    const { y } = await context.run({ x: tensorFromNumbers(dtype, input, [rows, columns]) });
    readNumbers(y!).forEach((v, i) => expect(Math.abs(v - 2 * expected[i]!)).toBeLessThan(tolerance * 4));
  });

  it('runs from its plan in a process that never saw it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-plugin-'));
    try {
      const file = join(folder, 'leaky.plan');
      await (await new Builder().build(network('float32').toNetwork(), { backends: ['cuda', 'cpu'] })).save(file);
      const runner = join(import.meta.dirname, 'support', 'run-plan.ts');
      const fromSource = join(import.meta.dirname, '..', '..', '..', 'scripts', 'from-source.mjs');
      const { stdout } = await promisify(execFile)(process.execPath, [fromSource, runner, file, String(rows)]);
      const { output, plugins } = JSON.parse(stdout) as { output: number[]; plugins: boolean };
      expect(plugins).toBe(false);
      output.forEach((v, i) => expect(Math.abs(v - 2 * expected[i]!)).toBeLessThan(1e-5));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says what its compiler found wrong', async () => {
    const { definePlugin } = await import('@tensorwright/plugins');
    const broken = definePlugin({
      name: 'Broken',
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cuda: {
        source: '__global__ void broken(const float* x, float* y) { y[0] = no_such_thing(x[0]); }',
        launches: ({ inputs: { x }, outputs: { y } }) => [{ kernel: 'broken', grid: 1, block: 1, arguments: [x, y] }],
      },
    });
    const n = new NetworkDefinition('broken');
    const { y } = broken.addTo(n, { x: n.addInput('x', 'float32', [4]) });
    n.markOutput(y, 'y');
    await expect(new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'] })).rejects.toMatchObject({
      code: 'ERR_COMPILATION',
      message: expect.stringContaining('no_such_thing') as string,
    });
  });
});
