/**
 * node scripts/from-source.mjs packages/harness/src/plugins/main.ts [--backends cuda,cpu] [--no-small] [--no-times] [--json plugins.json] [NAME …]
 * Runs every problem of the stock plugins (those whose name contains a NAME; default: all) and compares it with the
 * formula. Those of realistic size, which --no-times leaves out (and --no-small all others), it also times, beside the
 * standard layers that do the same. A line before and after each run: one that hangs shows.
 */

import { byteLength, type DType, TensorwrightError } from '@tensorwright/core';
import type { Engine } from '@tensorwright/runtime';
import { writeFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { type FloatType, type PluginCase, type Problem, usualFloats } from './case.js';
import { cases } from './cases/index.js';
import { check, type CheckOptions, tolerances } from './check.js';
import { tensorsOf } from './network.js';
import { Random } from './random.js';

interface Result {
  readonly plugin: string;
  readonly problem: string;
  readonly float: FloatType;
  readonly part: 'plugin' | 'standard';
  /** Of the worst output, as a share of its largest value by the formula; null where it did not run. */
  readonly error: number | null;
  /** Why it did not run. */
  readonly failure?: string;
  /** Median of the device, without transfers. */
  readonly microseconds?: number;
  /** Of inputs and outputs. */
  readonly bytes?: number;
  /** What ran, but for transfers. */
  readonly tactics?: readonly string[];
}

const plays = 200;
/** The first runs after a pause find the device's clock low. */
const warmUpPlays = 100;

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

async function timed(
  engine: Engine,
  problem: Problem,
  float: FloatType,
): Promise<Pick<Result, 'microseconds' | 'bytes' | 'tactics'>> {
  const context = engine.createContext();
  const inputs = tensorsOf(problem, float);
  const outputs = await context.run(inputs);
  await context.deviceTimes(warmUpPlays);
  const times = await context.deviceTimes(plays);
  await context.close();
  const operands = [...Object.values(inputs), ...Object.values(outputs)] as { dtype: DType; size: number }[];
  const bytes = operands.reduce((sum, t) => sum + byteLength(t.dtype, t.size), 0);
  const tactics = engine
    .inspect()
    .layers.map((layer) => layer.tactic)
    .filter((tactic) => tactic !== 'transfer');
  return { ...(times?.complete === true && { microseconds: median(times.device) }), bytes, tactics };
}

function floatsOf({ floats = usualFloats }: PluginCase, isTimed: boolean): readonly FloatType[] {
  return isTimed ? floats.filter((float) => usualFloats.includes(float)) : floats;
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;
}

function line({ error, failure, microseconds, bytes, float, tactics }: Result): string {
  if (error === null) return `FAILED: ${failure!}`;
  const time =
    microseconds === undefined
      ? ''
      : `, ${microseconds.toFixed(1)} µs, ${(bytes! / microseconds / 1000).toFixed(0)} GB/s by ${tactics!.join(' ')}`;
  return `error ${error.toExponential(1)}${error <= tolerances[float] ? '' : ' WRONG'}${time}`;
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
