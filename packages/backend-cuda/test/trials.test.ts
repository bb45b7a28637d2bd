/** Tactics whose kernels fail while they are tried: the emulator plays them. */

import { Builder, type BuildOptions, type Plan } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

afterEach(() => {
  play('');
});

const k = 64;
const n = 32;
const weights = Float32Array.from({ length: k * n }, (_, i) => Math.sin(i));
const row = Float32Array.from({ length: k }, (_, i) => Math.cos(i));
const expected = Float32Array.from({ length: n }, (_, j) =>
  row.reduce((sum, x, i) => sum + x * weights[i * n + j]!, 0),
);

/** A vector times a matrix, which two families of tactics compute. */
function build(options: BuildOptions = {}): Promise<Plan> {
  const network = new NetworkDefinition('product');
  const x = network.addInput('x', 'float32', [1, k]);
  const w = network.addConstant(new Tensor('float32', weights, [k, n]));
  network.markOutput(network.addMatrixMultiply(x, 'none', w, 'none'), 'y');
  return new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], ...options });
}

const tacticOf = (plan: Plan): string =>
  plan.header.program.steps.map((s) => s.layer.tactic).find((t) => t.startsWith('cuda.') && !t.endsWith('copy'))!;

/** That this process still has its device, and the plan is right. */
async function runs(plan: Plan): Promise<void> {
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext();
  const { y } = await context.run({ x: new Tensor('float32', row, [1, k]) });
  (y!.data as Float32Array).forEach((v, j) => expect(v).toBeCloseTo(expected[j]!, 4));
}

describe.skipIf(!hasDevice || !isEmulated)('a tactic', () => {
  it('is verified without a line in the report when all is well', async () => {
    const plan = await build();
    expect(plan.header.report.dropped).toBeUndefined();
    await runs(plan);
  });

  it.each([
    ['faults', 'fault:gemv', /CUDA_ERROR_ILLEGAL_ADDRESS/],
    ['hangs', 'hang:gemv', /^it did not end within 5 s$/],
    ['ends its process', 'crash:gemv', /^it ended its process by SIGABRT/],
  ])('that %s is dropped, and the build goes on', async (_, what, reason) => {
    play(what);
    const plan = await build({ tacticTimeoutMs: 5000 });
    const dropped = plan.header.report.dropped!;
    expect(dropped.length).toBeGreaterThan(0);
    for (const d of dropped) {
      expect(d).toMatchObject({ backend: 'cuda', code: 'ERR_DEVICE' });
      expect(d.tactic).toMatch(/^cuda\.gemv/);
      expect(d.reason).toMatch(reason);
    }
    expect(tacticOf(plan)).not.toMatch(/gemv/);
    await runs(plan);
  });

  it('that computes nothing is found out, and kept out by the timing cache', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-timing-'));
    try {
      // Doing nothing is the fastest.
      play('skip:gemv');
      expect(tacticOf(await build({ verifyTactics: false }))).toMatch(/gemv/);
      const plan = await build({ timingCache: folder });
      const dropped = plan.header.report.dropped!;
      expect(dropped.length).toBeGreaterThan(0);
      for (const d of dropped) {
        expect(d.tactic).toMatch(/^cuda\.gemv/);
        expect(d.code).toBe('ERR_VALUE');
        expect(d.reason).toMatch(/^unlike .* 32 of 32 elements differ, the first at 0: NaN and /);
      }
      expect(tacticOf(plan)).not.toMatch(/gemv/);
      await runs(plan);
      play('');
      const again = await build({ timingCache: folder });
      expect(again.header.report.dropped).toEqual(dropped);
      expect(await again.toBytes()).toEqual(await plan.toBytes());
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is tried in this process where no other can be started', async () => {
    const { execPath } = process;
    process.execPath = '/nowhere/node';
    const told: string[] = [];
    try {
      const plan = await build({
        logger: ({ level, message }) => {
          if (level === 'warn') told.push(message);
        },
      });
      expect(told).toEqual([
        'tactics are tried in this process, which a failing kernel would break: no process for trials: spawn /nowhere/node ENOENT',
      ]);
      expect(plan.header.report.dropped).toBeUndefined();
      await runs(plan);
    } finally {
      process.execPath = execPath;
    }
  });

  it('ends the build where none is left', async () => {
    play('fault:gemv,fault:product');
    await expect(build({ tacticSources: [] })).rejects.toMatchObject({
      code: 'ERR_DEVICE',
      message: expect.stringMatching(/^no tactic/) as string,
    });
  });
});
