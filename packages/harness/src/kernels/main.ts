/**
 * node scripts/from-source.mjs packages/harness/src/kernels/main.ts [--backend cuda] [--count 200] [--first 0]
 *   [--candidates 6] [--workers 8] [--json FILE] [FAMILY …]
 * Random networks of a few layers and odd extents (COUNT of them; those of families whose name contains a FAMILY; default:
 * of all in turn) by the kernels that the backend offers, into poisoned memory, compared with the processor's float32.
 */

import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { FloatType } from '../plugins/case.js';
import { isWorker, runInWorkers, serve } from '../worker-pool.js';
import { check, type Checked, type Job } from './check.js';
import { families } from './families/index.js';
import { tolerances } from './tolerances.js';

const problemTimeoutMs = 120_000;
const floats: readonly FloatType[] = ['float16', 'float32', 'bfloat16'];

async function runKernels(words: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...words],
    options: {
      backend: { type: 'string', default: 'cuda' },
      count: { type: 'string', default: '200' },
      first: { type: 'string', default: '0' },
      candidates: { type: 'string', default: '6' },
      workers: { type: 'string', default: '8' },
      json: { type: 'string', default: '' },
    },
    allowPositionals: true,
  });
  const wanted = families.filter((f) => positionals.length === 0 || positionals.some((p) => f.name.includes(p)));
  if (wanted.length === 0)
    throw new Error(`no family is named so; they are: ${families.map((f) => f.name).join(', ')}`);
  const jobs = Array.from({ length: Number(values.count) }, (_, i): Job => {
    const seed = Number(values.first) + i;
    return {
      family: wanted[seed % wanted.length]!.name,
      seed,
      float: floats[Math.floor(seed / wanted.length) % floats.length]!,
      isDynamic: seed % 2 === 1,
      backend: values.backend,
      candidates: Number(values.candidates),
    };
  });
  const results: (Job & Checked)[] = [];
  const done = (job: Job, checked: Checked): void => {
    results.push({ ...job, ...checked });
    for (const r of checked.runs.filter((x) => !(x.error <= tolerances[job.float])))
      stdout.write(
        `WRONG ${job.family} ${String(job.seed)} in ${job.float}${job.isDynamic ? ', dynamic' : ''}: ${checked.problem}: ` +
          `${r.failure ?? `error ${r.error.toExponential(1)}`} by ${r.tactics.join(' ')}\n`,
      );
  };
  if (values.workers === '0') for (const job of jobs) done(job, await check(job));
  else
    await runInWorkers<Job, Checked>(jobs, {
      program: fileURLToPath(import.meta.url),
      workers: Number(values.workers),
      timeoutMs: problemTimeoutMs,
      failed: (failure) => ({ problem: 'which was not finished', runs: [{ tactics: [], error: Infinity, failure }] }),
      done,
    });
  if (values.json) await writeFile(values.json, JSON.stringify(results));
  summarize(results);
}

function summarize(results: readonly (Job & Checked)[]): void {
  for (const float of floats) {
    const runs = results.filter((r) => r.float === float).flatMap((r) => r.runs);
    const worst = Math.max(0, ...runs.map((r) => r.error).filter(Number.isFinite));
    stdout.write(`${float}: ${String(runs.length)} runs, largest error ${worst.toExponential(1)}\n`);
  }
  const runs = results.flatMap((r) => r.runs.map((run) => ({ ...run, limit: tolerances[r.float] })));
  const wrong = runs.filter((r) => !(r.error <= r.limit)).length;
  const tactics = new Set(runs.flatMap((r) => r.tactics));
  stdout.write(
    `${String(results.length)} problems, ${String(runs.length)} runs by ${String(tactics.size)} tactics: ${String(wrong)} wrong\n`,
  );
  if (wrong > 0) process.exitCode = 1;
}

if (isWorker()) serve(check);
else
  runKernels(argv.slice(2)).catch((error: unknown) => {
    stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  });
