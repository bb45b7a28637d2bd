/** Networks with more constants than a device's cache holds are timed as they run: constants come from memory. */

import {
  type Backend,
  type Candidate,
  GraphBuilder,
  type Measurable,
  Tensor,
  tensorType,
  type TrialOptions,
} from '@tensorwright/core';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { areConstantsCold } from '../src/choose/cold-constants.js';
import { TacticTimer } from '../src/choose/measure.js';
import type { PassContext } from '../src/pass.js';

const builder = new GraphBuilder();
const x = builder.input('x', tensorType('float32', [4]));
/** 1,024 bytes, used twice. */
const weights = builder.constant(new Tensor('float32', new Float32Array(256), [64, 4]));
const added = builder.op('add', [weights, x]);
const graph = { inputs: [x], outputs: [builder.op('mul', [added, weights])] };

function device(cacheBytes: number | undefined): Backend {
  const description = { id: 'some', description: 'some', ...(cacheBytes !== undefined && { cacheBytes }) };
  return { name: 'some', version: '1', device: () => description } as unknown as Backend;
}

it.each([
  [512, true],
  [682, true],
  [683, false],
  [undefined, false],
])('1,024 bytes beside a cache of %j', (cacheBytes, cold) => {
  expect(areConstantsCold(graph, [device(undefined), device(cacheBytes)])).toBe(cold);
});

const candidate = (tactic: string, handover?: number): Candidate => ({
  tactic,
  parameters: {},
  inputs: ['rows', 'rows'],
  outputs: ['rows'],
  stridedOutput: false,
  estimate: 1,
  producer: 'some',
  ...(handover !== undefined && { handover }),
});

/** What `ours` (1,500 ns) and a library (1,000 ns, and a microsecond to its neighbours) are asked for, and which is taken. */
async function trialOf(
  y: typeof x,
  cold: boolean,
): Promise<{ asked: TrialOptions[]; problems: unknown[]; chosen: string }> {
  const asked: TrialOptions[] = [];
  const backend = {
    ...device(undefined),
    memory: 'cuda',
    emit: (_: unknown, { tactic }: Candidate) =>
      Promise.resolve({ kernel: tactic, attributes: {}, inputs: [], outputs: [{ kind: 'output', index: 0 }] }),
    trials: () => ({
      try: ({ program }: Measurable, options: TrialOptions) => {
        asked.push(options);
        const ours = program.steps.some((s) => s.kernel === 'ours');
        return Promise.resolve({ nanoseconds: [ours ? 1500 : 1000], outputs: [] });
      },
      close: () => undefined,
    }),
  } as unknown as Backend;
  const folder = mkdtempSync(join(tmpdir(), 'tensorwright-timing-'));
  try {
    const context: PassContext = {
      builder,
      options: { verifyTactics: false, timingCache: folder },
      backends: [backend],
      optimum: new Map(),
      log: () => undefined,
      breathe: () => Promise.resolve(),
    };
    const timer = new TacticTimer(context, cold);
    const found = await timer.fastest(y.node, backend, [candidate('ours'), candidate('library', 1)]);
    await timer.flush();
    const entries = readdirSync(folder, { recursive: true }) as string[];
    const problems = entries
      .filter((name) => name.endsWith('.json'))
      .map((name) => (JSON.parse(readFileSync(join(folder, name), 'utf8')) as { problem: unknown }).problem);
    return { asked, problems, chosen: found!.candidate.tactic };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('asks for cold constants, and keeps those times apart', async () => {
  const cold = await trialOf(added, true);
  expect(cold.asked.map((o) => o.coldConstants)).toEqual([true, true]);
  expect(cold.problems).toMatchObject([{ coldConstants: true }]);
  const warm = await trialOf(added, false);
  expect(warm.asked.map((o) => o.coldConstants)).toEqual([false, false]);
  expect(warm.problems).not.toMatchObject([{ coldConstants: true }]);
});

it('charges a library for what its neighbours lose, unless its time shows that', async () => {
  expect((await trialOf(added, true)).chosen).toBe('library');
  expect((await trialOf(added, false)).chosen).toBe('ours');
});

it('has one time for what reads no constant', async () => {
  const { asked, problems } = await trialOf(builder.op('relu', [x]), true);
  expect(asked.map((o) => o.coldConstants)).toEqual([false, false]);
  expect(problems).not.toMatchObject([{ coldConstants: true }]);
});
