/**
 * node scripts/from-source.mjs packages/harness/src/attention/main.ts [--json attention.json] [--no-times] [NAME …]
 * Runs every kernel that the CUDA backend offers for attention of well-known networks (those whose name contains a NAME;
 * default: all), compares it with the formula, then times them. A line before and after each run: one that hangs shows.
 */

import { Builder } from '@tensorwright/builder';
import { type Candidate, loadBackend, type Node, registerBackend } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { errorOf, inputsOf, networkOf } from './network.js';
import { type Problem, problems } from './problems.js';

interface Result {
  readonly problem: string;
  readonly tactic: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly estimate: number;
  /** The largest difference from the formula. */
  readonly error: number;
  readonly microseconds?: number;
}

const backends = ['cuda', 'cpu', 'reference'];
const tolerances: Partial<Record<string, number>> = { float16: 4e-3, bfloat16: 3e-2 };

let offered: readonly Candidate[] = [];
let allowed: (candidate: Candidate) => boolean = () => true;

async function watch(): Promise<void> {
  const backend = await loadBackend('cuda');
  registerBackend({
    ...backend,
    candidates(node: Node): readonly Candidate[] {
      const all = backend.candidates(node);
      const own = all.filter((c) => c.tactic.startsWith('cuda.attention') && c.outputs[0] === 'rows');
      if (own.length === 0) return all;
      offered = own;
      return own.filter(allowed);
    },
  });
}

const describe = ({ tactic, parameters }: Pick<Result, 'tactic' | 'parameters'>): string =>
  `${tactic} ${JSON.stringify(parameters)}`;

async function check(p: Problem, candidate: Candidate, inputs: ReturnType<typeof inputsOf>): Promise<number> {
  allowed = (c) => describe(c) === describe(candidate);
  const plan = await new Builder().build(networkOf(p), { backends, optimizationLevel: 0 });
  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  try {
    const { y } = await context.run(inputs);
    return errorOf(p, inputs, y!);
  } finally {
    await context.close();
    await engine.close();
  }
}

/** Microseconds by what `describe` says. */
async function time(p: Problem, isRight: (candidate: Candidate) => boolean): Promise<ReadonlyMap<string, number>> {
  allowed = isRight;
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-times-'));
  try {
    await new Builder().build(networkOf(p), { backends, optimizationLevel: 5, timingCache: folder });
    const found = new Map<string, number>();
    for (const file of (await readdir(folder, { recursive: true })).filter((f) => f.endsWith('.json'))) {
      const { times } = JSON.parse(await readFile(join(folder, file), 'utf8')) as { times: Record<string, number> };
      for (const [key, nanoseconds] of Object.entries(times)) {
        const { tactic, parameters } = JSON.parse(key) as { tactic: string; parameters: Record<string, number> };
        const same = offered.find((c) => c.tactic === tactic && sameNumbers(c.parameters, parameters));
        if (same) found.set(describe(same), nanoseconds / 1000);
      }
    }
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function sameNumbers(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);
}

async function measure(p: Problem, withTimes: boolean): Promise<readonly Result[]> {
  await new Builder().build(networkOf(p), { backends, optimizationLevel: 0 });
  const inputs = inputsOf(p);
  const errors = new Map<string, number>();
  for (const candidate of offered) {
    stdout.write(`${p.name} ${describe(candidate)} … `);
    const error = await check(p, candidate, inputs);
    errors.set(describe(candidate), error);
    stdout.write(`error ${error.toExponential(1)}${isRight(p, error) ? '' : ' WRONG'}\n`);
  }
  const times = withTimes ? await time(p, (c) => isRight(p, errors.get(describe(c))!)) : new Map<string, number>();
  return offered
    .map(({ tactic, parameters, estimate }) => {
      const key = describe({ tactic, parameters });
      const microseconds = times.get(key);
      const known = microseconds === undefined ? {} : { microseconds };
      return { problem: p.name, tactic, parameters, estimate, error: errors.get(key)!, ...known };
    })
    .sort((a, b) => (a.microseconds ?? Infinity) - (b.microseconds ?? Infinity));
}

function isRight(p: Problem, error: number): boolean {
  return error <= tolerances[p.dtype]!;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: {
      json: { type: 'string', default: 'attention.json' },
      times: { type: 'boolean', default: true },
    },
    allowPositionals: true,
    allowNegative: true,
  });
  await watch();
  const results: Result[] = [];
  for (const p of problems) {
    if (positionals.length > 0 && !positionals.some((word) => p.name.includes(word))) continue;
    allowed = () => true;
    const own = await measure(p, values.times);
    results.push(...own);
    await writeFile(values.json, JSON.stringify(results));
    for (const r of own.filter((x) => x.microseconds !== undefined))
      stdout.write(
        `${p.name.padEnd(16)} ${r.microseconds!.toFixed(1).padStart(7)} µs, estimated ${r.estimate.toFixed(1)}: ${describe(r)}\n`,
      );
    if (own.some((r) => !isRight(p, r.error))) process.exitCode = 1;
  }
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
