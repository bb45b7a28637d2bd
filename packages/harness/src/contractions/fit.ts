/**
 * node scripts/from-source.mjs packages/harness/src/contractions/fit.ts times.json [ARCHITECTURE]
 * Fits the coefficients of the CUDA backend's model of products to the times that main.ts wrote, prints them for
 * packages/backend-cuda/src/tactics/contraction/coefficients.ts, and how well the model ranks, before and after.
 */

import { type Coefficients, coefficientsOf, foresee, type Work } from '@tensorwright/backend-cuda';
import { readFile } from 'node:fs/promises';
import process, { argv, stderr, stdout } from 'node:process';
import { leastSquares } from './least-squares.js';
import { type Rank, rankOf } from './rank.js';
import type { Times } from './times.js';

interface Sample {
  readonly work: Work;
  readonly microseconds: number;
  /** Those that are nearly the best matter: the model is there to find them. */
  readonly weight: number;
}

function samplesOf(times: Times): Sample[] {
  return times.problems.flatMap(({ candidates }) => {
    const best = Math.min(...candidates.map((c) => c.microseconds));
    return candidates.flatMap(({ work, microseconds }) =>
      work ? [{ work, microseconds, weight: best / microseconds }] : [],
    );
  });
}

/** The numbers in `c` that the samples tell something of, as paths. */
function pathsOf(c: Coefficients, samples: readonly Sample[]): (readonly string[])[] {
  const families = new Set<string>(samples.map((s) => s.work.family));
  return Object.entries(c).flatMap(([name, value]: [string, unknown]) => {
    if (typeof value === 'number') return [[name]];
    return families.has(name) ? Object.keys(value as object).map((inner) => [name, inner]) : [];
  });
}

type Tree = Record<string, number | Record<string, number>>;

function get(c: Tree, [name, inner]: readonly string[]): number {
  const value = c[name!]!;
  return typeof value === 'number' ? value : value[inner!]!;
}

function withNumbers(c: Coefficients, paths: readonly (readonly string[])[], numbers: readonly number[]): Coefficients {
  const copy = structuredClone(c) as unknown as Tree;
  paths.forEach(([name, inner], i) => {
    if (inner === undefined) copy[name!] = numbers[i]!;
    else (copy[name!] as Record<string, number>)[inner] = numbers[i]!;
  });
  return copy as unknown as Coefficients;
}

function fit(start: Coefficients, samples: readonly Sample[]): Coefficients {
  const paths = pathsOf(start, samples);
  const first = paths.map((path) => Math.log(get(start as unknown as Tree, path)));
  // All are positive, and errors are relative: logarithms of both. The last rows hold to the start what nothing tells of.
  const residuals = (logs: readonly number[]): number[] => {
    const c = withNumbers(start, paths, logs.map(Math.exp));
    return [
      ...samples.map((s) => s.weight * Math.log(foresee(s.work, c) / s.microseconds)),
      ...logs.map((x, i) => 0.1 * (x - first[i]!)),
    ];
  };
  const numbers = leastSquares(residuals, first).map((x) => Number(Math.exp(x).toPrecision(3)));
  return withNumbers(start, paths, numbers);
}

function error(c: Coefficients, samples: readonly Sample[]): number {
  const weight = samples.reduce((sum, s) => sum + s.weight ** 2, 0);
  const sum = samples.reduce((t, s) => t + (s.weight * Math.log(foresee(s.work, c) / s.microseconds)) ** 2, 0);
  return Math.sqrt(sum / weight);
}

function printRank(title: string, rank: Rank): void {
  const percent = (x: number): string => `${(100 * x).toFixed(1).padStart(6)}%`;
  stdout.write(`${title}: what the best among the first k of a problem costs more than the best of all\n`);
  for (const { k, mean, worst, total } of rank)
    stdout.write(
      `  k=${String(k).padStart(2)}  mean ${percent(mean)}  worst ${percent(worst)}  of all time ${percent(total)}\n`,
    );
}

async function main(): Promise<void> {
  const [file, architecture = 'sm_90a'] = argv.slice(2);
  if (file === undefined) throw new Error('the file of the times is missing');
  const times = JSON.parse(await readFile(file, 'utf8')) as Times;
  const samples = samplesOf(times);
  const before = coefficientsOf(architecture);
  const after = fit(before, samples);
  stdout.write(`${String(samples.length)} times of ${String(times.problems.length)} problems on ${times.device}\n`);
  for (const [title, c] of [
    ['before', before],
    ['after', after],
  ] as const) {
    stdout.write(`${title}: relative error ${(100 * error(c, samples)).toFixed(1)}%\n`);
    printRank(title, rankOf(times.problems, c));
  }
  stdout.write(`${JSON.stringify(after, undefined, 2).replaceAll('"', '')}\n`);
}

main().catch((problem: unknown) => {
  stderr.write(`${problem instanceof Error ? problem.message : String(problem)}\n`);
  process.exitCode = 1;
});
