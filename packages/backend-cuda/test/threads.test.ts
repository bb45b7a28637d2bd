/**
 * Worker threads that build, load, run and close in any order, or are ended in the middle. Bundled into one
 * program, as applications are: nothing is found by the place of a source file.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../../scripts/bundle.mjs';
import { hasDevice } from './compare.js';
import { smallPlan } from './support/small-plans.js';

const root = join(import.meta.dirname, '../../..');
const folder = join(root, '.cache', `threads-test-${String(process.pid)}`);
const program = join(folder, 'program.mjs');

/** What a worker does with a plan, by the steps it is given: the order decides what outlives what. */
const source = `
import { parentPort, workerData } from 'node:worker_threads';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { DeviceBuffer, Runtime } from '@tensorwright/runtime';

const { plan, order } = workerData;
const x = new Tensor('float32', Float32Array.of(0, 1, 2), [3]);

async function buildHere() {
  const network = new NetworkDefinition('product');
  const a = network.addInput('a', 'float32', [1, 8]);
  const w = network.addConstant(new Tensor('float32', new Float32Array(32).fill(1), [8, 4]));
  network.markOutput(network.addMatrixMultiply(a, 'none', w, 'none'), 'y');
  const built = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'] });
  const engine = await Runtime.load(await built.toBytes());
  const { y } = await engine.createContext().run({ a: new Tensor('float32', new Float32Array(8).fill(2), [1, 8]) });
  await engine.close();
  return [...y.data];
}

async function run() {
  const engine = await Runtime.load(plan);
  const contexts = [engine.createContext(), engine.createContext()];
  const input = await DeviceBuffer.from(x);
  const output = DeviceBuffer.allocate('float32', [3]);
  for (let i = 0; i < 4; i++)
    await Promise.all([contexts[0].run({ x: input }, { outputs: { y: output } }), contexts[1].run({ x })]);
  const numbers = [...(await output.read()).data];
  const pending = contexts[0].run({ x: input }, { outputs: { y: output } }).catch((error) => error.code);
  const steps = {
    engine: () => engine.close(),
    context: () => contexts[0].close(),
    other: () => contexts[1].close(),
    input: () => input.close(),
    output: () => output.close(),
  };
  for (const name of order) await steps[name]();
  await pending;
  return numbers;
}

void (async () => {
  if (order === 'build') return parentPort.postMessage(await buildHere());
  if (order !== 'forever') return parentPort.postMessage(await run());
  const context = (await Runtime.load(plan)).createContext();
  const input = await DeviceBuffer.from(x);
  parentPort.postMessage('running');
  for (;;) await context.run({ x: input });
})();
`;

function start(workerData: unknown): { worker: Worker; message: Promise<unknown> } {
  const worker = new Worker(program, { workerData });
  const message = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => {
      reject(new Error(`the worker ended with ${String(code)}`));
    });
  });
  return { worker, message };
}

describe.skipIf(!hasDevice)('worker threads', () => {
  let plan: Uint8Array;

  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    const entry = join(import.meta.dirname, `threads-${String(process.pid)}.generated.mjs`);
    writeFileSync(entry, source);
    try {
      await bundle({ entryPoints: { program: entry }, outdir: folder });
    } finally {
      rmSync(entry);
    }
    process.env['TENSORWRIGHT_NATIVE_PATH'] ??= join(root, 'native/build/Release/tensorwright.node');
    process.env['TENSORWRIGHT_KERNELS'] ??= join(root, 'native/cuda/kernels');
    plan = await smallPlan({ elements: 3 });
  }, 120_000);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('close what they hold in any order', async () => {
    const orders = [
      ['engine', 'context', 'other', 'input', 'output'],
      ['input', 'output', 'other', 'context', 'engine'],
      ['output', 'engine', 'input', 'context', 'other'],
      ['context', 'output', 'input', 'engine', 'other'],
      [],
      ['engine'],
    ];
    const results = await Promise.all(orders.map((order) => start({ plan, order }).message));
    for (const result of results) expect(result).toEqual([2, 4, 6]);
  });

  it('build, with tactics tried in a process of their own', async () => {
    const results = await Promise.all([1, 2].map(() => start({ plan, order: 'build' }).message));
    for (const result of results) expect(result).toEqual([16, 16, 16, 16]);
  });

  it('are ended in the middle of runs', async () => {
    for (let i = 0; i < 8; i++) {
      const { worker, message } = start({ plan, order: 'forever' });
      expect(await message).toBe('running');
      await sleep(i);
      await worker.terminate();
    }
  });

  it('end with their process, whatever they do', async () => {
    const file = join(folder, 'plan');
    writeFileSync(file, plan);
    const main = `
const { Worker } = require('node:worker_threads');
const [program, file, after] = process.argv.slice(1);
const plan = require('node:fs').readFileSync(file);
for (const order of ['build', 'forever', 'forever', []]) new Worker(program, { workerData: { plan, order } });
setTimeout(() => process.exit(7), Number(after));
`;
    for (let i = 0; i < 4; i++) {
      const child = spawn(process.execPath, ['-e', main, program, file, String(100 + 300 * i)], { stdio: 'inherit' });
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      expect([code, signal]).toEqual([7, null]);
    }
  }, 60_000);
});
