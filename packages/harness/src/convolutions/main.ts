/**
 * node scripts/from-source.mjs packages/harness/src/convolutions/main.ts [--count 200] [--first 0] [--sizes 40] [--json FILE]
 * One convolution of cuDNN at many sizes, by contexts at once; then random convolutions by every engine that cuDNN offers
 * the CUDA backend, compared with the processor's float32. A line before and after each run: one that hangs shows.
 */

import { Builder } from '@tensorwright/builder';
import { type Candidate, loadBackend, type Node, readNumbers, registerBackend, type Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { convert, networkOf, type Operands, operandsOf } from './network.js';
import { checkPlans } from './plans.js';
import { type Problem, problem } from './problems.js';

interface Result {
  readonly problem: Problem;
  readonly parameters: Candidate['parameters'];
  /** The largest difference, as a fraction of the largest element. */
  readonly error: number;
}

/** Of the largest element: what one rounding of the result loses, twice; in float32 the order of the sums. */
const tolerances: Partial<Record<string, number>> = { float32: 1e-5, float16: 1e-3, bfloat16: 8e-3 };
const tf32Tolerance = 2e-3;

let offered: readonly Candidate[] = [];
let allowed: Candidate | undefined;

async function watch(): Promise<void> {
  const backend = await loadBackend('cuda');
  registerBackend({
    ...backend,
    candidates(node: Node): readonly Candidate[] {
      const all = backend.candidates(node);
      const own = all.filter((c) => c.source === 'cudnn');
      if (own.length === 0) return all;
      offered = own;
      return allowed ? [allowed] : all;
    },
  });
}

async function run(
  p: Problem,
  operands: Operands,
  backends: readonly string[],
  dtype: Problem['dtype'],
): Promise<Tensor> {
  const network = networkOf(p, operands, dtype);
  const plan = await new Builder().build(network, { backends: [...backends, 'reference'], optimizationLevel: 0 });
  if (allowed && !plan.header.program.steps.some((s) => s.kernel === 'cudnn')) throw new Error('the plan lacks cuDNN');
  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  try {
    const given = { x: convert(operands.x, dtype), residual: convert(operands.residual, dtype) };
    const names = network.inputs.map((i) => i.name as keyof typeof given);
    const inputs = Object.fromEntries(names.map((name) => [name, given[name]]));
    // The last of them is a recording that is played.
    for (let i = 0; i < 2; i++) await context.run(inputs);
    return (await context.run(inputs))['y']!;
  } finally {
    await context.close();
    await engine.close();
  }
}

function errorOf(found: Tensor, wanted: Tensor): number {
  const [a, b] = [readNumbers(found), readNumbers(wanted)];
  const largest = b.reduce((most, y) => Math.max(most, Math.abs(y)), 1e-30);
  return b.reduce((most, y, i) => {
    const difference = Math.abs(a[i]! - y) / largest;
    return difference <= most ? most : difference;
  }, 0);
}

async function check(p: Problem): Promise<readonly Result[]> {
  const operands = operandsOf(p);
  offered = [];
  allowed = undefined;
  await new Builder().build(networkOf(p, operands, p.dtype), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  const candidates = offered;
  stdout.write(`${p.name}: ${String(candidates.length)} engines\n`);
  const wanted = candidates.length > 0 ? await run({ ...p, tf32: false }, operands, ['cpu'], 'float32') : undefined;
  const results: Result[] = [];
  for (const candidate of candidates) {
    allowed = { ...candidate, estimate: 0 };
    stdout.write(`  ${JSON.stringify(candidate.parameters)} … `);
    const error = await run(p, operands, ['cuda', 'cpu'], p.dtype).then(
      (y) => errorOf(y, wanted!),
      (failure: unknown) => {
        stdout.write(`${(failure as Error).message} `);
        return Infinity;
      },
    );
    results.push({ problem: p, parameters: candidate.parameters, error });
    stdout.write(`error ${error.toExponential(1)}${isRight(p, error) ? '' : ' WRONG'}\n`);
  }
  return results;
}

function isRight(p: Problem, error: number): boolean {
  return error <= (p.tf32 ? tf32Tolerance : tolerances[p.dtype]!);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: argv.slice(2),
    options: {
      count: { type: 'string', default: '200' },
      first: { type: 'string', default: '0' },
      sizes: { type: 'string', default: '40' },
      json: { type: 'string' },
    },
  });
  stdout.write(`${await checkPlans(Number(values.sizes))}\n`);
  await watch();
  const results: Result[] = [];
  const first = Number(values.first);
  for (let i = first; i < first + Number(values.count); i++) {
    results.push(...(await check(problem(i))));
    if (values.json !== undefined) await writeFile(values.json, JSON.stringify(results));
  }
  const wrong = results.filter((r) => !isRight(r.problem, r.error));
  const problems = new Set(results.map((r) => r.problem.name)).size;
  stdout.write(
    `${String(results.length)} engines for ${String(problems)} convolutions, ${String(wrong.length)} wrong\n`,
  );
  if (wrong.length > 0 || results.length === 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
