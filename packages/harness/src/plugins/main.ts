/**
 * node scripts/from-source.mjs packages/harness/src/plugins/main.ts [--backends cuda,cpu] [--no-small] [--no-times] [--json plugins.json] [NAME …]
 * Runs every problem of the stock plugins (those whose name contains a NAME; default: all) and compares it with the
 * formula. Those of realistic size, which --no-times leaves out (and --no-small all others), it also times, beside the
 * standard layers that do the same. A line before and after each run: one that hangs shows.
 */

import { TensorwrightError } from '@tensorwright/core';
import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { type FloatType, type PluginCase, type Problem, usualFloats } from './case.js';
import { cases } from './cases/index.js';
import { check, type CheckOptions, tolerances } from './check.js';
import { Random } from './random.js';
import type { Result } from './result.js';
import { timed } from './timing.js';

async function run(
  subject: PluginCase,
  problem: Problem,
  float: FloatType,
  options: CheckOptions & { isTimed: boolean },
): Promise<Result> {
  const { part = 'plugin', isTimed } = options;
  const result = { plugin: subject.name, problem: problem.name, float, part };
  try {
    const { engine, errors } = await check(subject, problem, float, options);
    try {
      const error = Math.max(0, ...Object.values(errors));
      return { ...result, error, ...(isTimed && (await timed(engine, problem, float))) };
    } finally {
      await engine.close();
    }
  } catch (error) {
    const failure = TensorwrightError.is(error) || error instanceof Error ? error.message : String(error);
    return { ...result, error: null, failure };
  }
}

function floatsOf({ floats = usualFloats }: PluginCase, isTimed: boolean): readonly FloatType[] {
  return isTimed ? floats.filter((float) => usualFloats.includes(float)) : floats;
}

function line({ error, failure, microseconds, runMicroseconds, bytes, float, tactics }: Result): string {
  if (error === null) return `FAILED: ${failure!}`;
  const device =
    microseconds === undefined
      ? ''
      : `, ${microseconds.toFixed(1)} µs, ${(bytes! / microseconds / 1000).toFixed(0)} GB/s`;
  const whole = runMicroseconds === undefined ? '' : `, a run ${runMicroseconds.toFixed(1)} µs`;
  const by = tactics === undefined ? '' : ` by ${tactics.join(' ')}`;
  return `error ${error.toExponential(1)}${error <= tolerances[float] ? '' : ' WRONG'}${device}${whole}${by}`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: {
      backends: { type: 'string', default: 'cuda,cpu' },
      json: { type: 'string', default: 'plugins.json' },
      small: { type: 'boolean', default: true },
      times: { type: 'boolean', default: true },
    },
    allowPositionals: true,
    allowNegative: true,
  });
  const backends = values.backends.split(',');
  const results: Result[] = [];
  for (const subject of cases) {
    if (positionals.length > 0 && !positionals.some((word) => subject.name.includes(word))) continue;
    for (const problem of subject.problems(new Random(1))) {
      const isTimed = problem.timed === true;
      if (isTimed ? !values.times : !values.small) continue;
      if (problem.deviceOnly === true && !backends.includes('cuda')) continue;
      const parts =
        isTimed && typeof subject.standard === 'function' ? (['plugin', 'standard'] as const) : (['plugin'] as const);
      for (const float of floatsOf(subject, isTimed)) {
        for (const part of parts) {
          stdout.write(`${subject.name}, ${problem.name}, ${float}, ${part} … `);
          const optimizationLevel = isTimed ? 3 : 0;
          const result = await run(subject, problem, float, { backends, optimizationLevel, part, isTimed });
          stdout.write(`${line(result)}\n`);
          results.push(result);
          if (!(result.error !== null && result.error <= tolerances[float])) process.exitCode = 1;
        }
      }
    }
    await writeFile(values.json, JSON.stringify(results, null, 1));
  }
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
