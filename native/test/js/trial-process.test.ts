/** The process that trials run in, with an addon that does as its programs say. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PlanProgram } from '@tensorwright/native';
import { type Trial, TrialProcess, type TrialWork } from '../../js/trial-process.js';

const timeoutMs = 20_000;
let folder: string;
let addon: string;
let pids: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorwright-trials-'));
  addon = join(folder, 'addon.cjs');
  pids = join(folder, 'pids');
  await writeFile(
    addon,
    `const { appendFileSync } = require('node:fs');
    appendFileSync(${JSON.stringify(pids)}, process.pid + '\\n');
    exports.cudaStatus = () => ({ available: true });
    exports.copyWeights = () => ({});
    exports.close = () => {};
    exports.createProgram = (program) => program;
    exports.try = async ({ answer, after, dies, diesLater, fails }) => {
      await new Promise((resolve) => setTimeout(resolve, after));
      if (dies) process.exit(dies);
      if (diesLater) setTimeout(() => process.exit(diesLater), 1);
      if (fails) throw Object.assign(new Error('told to'), { code: fails });
      return { nanoseconds: [answer], outputs: [] };
    };`,
  );
});

afterAll(() => rm(folder, { recursive: true }));

/** What the addon does: answers with a number after some milliseconds, dies before it or soon after, or fails. */
interface Play {
  readonly answer: number;
  readonly after?: number;
  readonly dies?: number;
  readonly diesLater?: number;
  readonly fails?: string;
}

const workOf = (play: Play): TrialWork => ({
  program: play as unknown as PlanProgram,
  weights: new Uint8Array(4),
  inputDims: [],
});
const answerOf = async (trial: Promise<Trial>): Promise<number> => (await trial).nanoseconds[0]!;
const processes = async (): Promise<number[]> => (await readFile(pids, 'utf8')).trim().split('\n').map(Number);

describe('the process of trials', () => {
  test('gives each of several trials at once its own answer', async () => {
    const trials = new TrialProcess(addon, { timeoutMs });
    const delays = [60, 0, 30, 10, 0];
    const answers = delays.map((after, answer) => answerOf(trials.try(workOf({ answer, after }))));
    expect(await Promise.all(answers)).toEqual([0, 1, 2, 3, 4]);
    trials.close();
  });

  test('a trial that ends it fails alone', async () => {
    const trials = new TrialProcess(addon, { timeoutMs });
    const results = await Promise.allSettled([
      answerOf(trials.try(workOf({ answer: 1 }))),
      answerOf(trials.try(workOf({ answer: 2, dies: 7 }))),
      answerOf(trials.try(workOf({ answer: 3, fails: 'ERR_UNSUPPORTED' }))),
      answerOf(trials.try(workOf({ answer: 4, fails: 'ERR_DEVICE' }))),
      answerOf(trials.try(workOf({ answer: 5 }))),
    ]);
    expect(results.map((r) => (r.status === 'fulfilled' ? r.value : (r.reason as { code: string }).code))).toEqual([
      1,
      'ERR_DEVICE',
      'ERR_UNSUPPORTED',
      'ERR_DEVICE',
      5,
    ]);
    expect((results[1] as PromiseRejectedResult).reason).toMatchObject({
      message: 'it ended its process with code 7',
    });
    trials.close();
  });

  test('starts again when it died with nothing to do', async () => {
    const trials = new TrialProcess(addon, { timeoutMs });
    expect(await answerOf(trials.try(workOf({ answer: 1, diesLater: 3 })))).toBe(1);
    await sleep(300);
    expect(await answerOf(trials.try(workOf({ answer: 2 })))).toBe(2);
    // Killed where this process cannot have noticed yet.
    process.kill((await processes()).at(-1)!, 'SIGKILL');
    expect(await answerOf(trials.try(workOf({ answer: 3 })))).toBe(3);
    const all = await processes();
    expect(new Set(all.slice(-3)).size).toBe(3);
    trials.close();
  });

  test('one that hangs is ended, and the next trial has a new one', async () => {
    const trials = new TrialProcess(addon, { timeoutMs: 200 });
    const long = trials.try(workOf({ answer: 1, after: 60_000 }));
    await expect(long).rejects.toMatchObject({ code: 'ERR_DEVICE', message: 'it did not end within 0.2 s' });
    trials.close();
    const patient = new TrialProcess(addon, { timeoutMs });
    const reason = new Error('enough');
    const stop = new AbortController();
    const aborted = patient.try(workOf({ answer: 1, after: 60_000 }), {}, stop.signal);
    const next = answerOf(patient.try(workOf({ answer: 2 })));
    setTimeout(() => {
      stop.abort(reason);
    }, 300);
    await expect(aborted).rejects.toBe(reason);
    expect(await next).toBe(2);
    patient.close();
  });
});
