import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, registerBackend, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { isEmulated, traced } from './support/emulator-play.js';

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-graph-fills-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const waves = (dims: readonly number[], scale: number): Tensor =>
  new Tensor(
    'float16',
    Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * scale)),
    dims,
  );

it.skipIf(!isEmulated)('what a library fills, a graph fills by kernels, in its place', async () => {
  // The engine that counts its tiles in memory that it clears, and fails where that is not clear.
  const counting = 1;
  registerBackend({
    ...cudaBackend,
    candidates: (node, sources) => {
      const all = cudaBackend.candidates(node, sources);
      const ofLibrary = all.filter((c) => c.source === 'cudnn');
      return ofLibrary.length > 0 ? ofLibrary.filter((c) => c.parameters?.['engine'] === counting) : all;
    },
  });
  const network = new NetworkDefinition();
  let y = network.addActivation(network.addInput('x', 'float16', [2, 8, 6, 6]), 'relu');
  for (const scale of [0.7, 0.9, 1.1])
    y = network.addActivation(network.addConvolution(y, network.addConstant(waves([8, 8, 1, 1], scale))), 'tanh');
  network.markOutput(y, 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext();
  const x = waves([2, 8, 6, 6], 0.3);
  const run = async (): Promise<{ result: unknown; fills: string[] }> => {
    let result: unknown;
    const lines = await traced(join(folder, 'run'), async () => {
      result = (await context.run({ x })).y;
    });
    return { result, fills: lines.filter((line) => line.includes('fill')) };
  };
  const alone = await run();
  expect(alone.fills.length).toBeGreaterThan(1);
  expect(new Set(alone.fills)).toEqual(new Set(['fill 4']));
  // From the second run on it is a recording that is played.
  for (let plays = 0; plays < 2; plays++)
    expect(await run()).toEqual({ result: alone.result, fills: alone.fills.map(() => 'launch fill') });
});
