/** What is kept of random problems on a device: bench/results/h200-kernels.json. */

import type { Checked, Job } from '../kernels/check.js';
import { tolerances } from '../kernels/tolerances.js';
import type { FloatType } from '../plugins/case.js';
import type { Measurement } from './measurement.js';

/** As JSON has it: infinite errors are null. */
export type KernelResult = Job & {
  readonly problem: string;
  readonly runs: readonly (Omit<Checked['runs'][number], 'error'> & { readonly error: number | null })[];
};

export interface KernelsRecord extends Measurement {
  readonly notes: readonly string[];
  readonly problems: number;
  readonly runs: number;
  readonly wrong: number;
  /** The first and the last problem's. */
  readonly seeds: readonly [number, number];
  readonly families: readonly {
    readonly family: string;
    readonly problems: number;
    readonly runs: number;
    readonly worst: Readonly<Partial<Record<FloatType, number>>>;
    readonly tactics: readonly string[];
  }[];
}

/** What the plan does between steps. */
const movements = new Set(['transfer', 'copy']);

const notes = [
  "worst: largest difference from the processor's float32, of the rounded operands, as a fraction of its largest value; half of the problems know their extents at the run alone",
  'memory poisoned; seeds: of the first and of the last problem',
];

export function recordedKernels(results: readonly KernelResult[], measurement: Measurement): KernelsRecord {
  const runs = results.flatMap((r) => r.runs.map((run) => ({ ...run, float: r.float })));
  const seeds = results.map((r) => r.seed);
  const names = [...new Set(results.map((r) => r.family))].sort();
  return {
    ...measurement,
    notes,
    problems: results.length,
    runs: runs.length,
    wrong: runs.filter(({ error, float }) => !((error ?? Infinity) <= tolerances[float])).length,
    seeds: [Math.min(...seeds), Math.max(...seeds)],
    families: names.map((family) =>
      familyOf(
        family,
        results.filter((r) => r.family === family),
      ),
    ),
  };
}

function familyOf(family: string, results: readonly KernelResult[]): KernelsRecord['families'][number] {
  const worst = (['bfloat16', 'float16', 'float32'] as const).flatMap((float) => {
    const errors = results.filter((r) => r.float === float).flatMap((r) => r.runs.map((run) => run.error ?? Infinity));
    const finite = errors.filter(Number.isFinite);
    return errors.length === 0 ? [] : [[float, Number(Math.max(0, ...finite).toPrecision(2))] as const];
  });
  const tactics = new Set(results.flatMap((r) => r.runs.flatMap((run) => run.tactics)));
  return {
    family,
    problems: results.length,
    runs: results.reduce((sum, r) => sum + r.runs.length, 0),
    worst: Object.fromEntries(worst),
    tactics: [...tactics].filter((t) => !movements.has(t)).sort(),
  };
}
