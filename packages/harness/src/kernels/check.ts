/** Runs a random problem by the kernels that a backend offers for it, one after another, into poisoned memory. */

import { Builder } from '@tensorwright/builder';
import { type Candidate, loadBackend, type Node, readNumbers, registerBackend, type Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import type { FloatType } from '../plugins/case.js';
import { Random } from '../plugins/random.js';
import { families } from './families/index.js';
import { inputsOf, networkOf, type Problem, rounded } from './problem.js';

export interface Job {
  readonly family: string;
  readonly seed: number;
  readonly float: FloatType;
  /** Whether extents are known to the run alone. */
  readonly isDynamic: boolean;
  readonly backend: string;
  /** How many of the candidates of each node are tried. */
  readonly candidates: number;
}

export interface Run {
  readonly tactics: readonly string[];
  /** The largest difference from the processor's float32, as a share of the largest element. */
  readonly error: number;
  /** Why it did not run. */
  readonly failure?: string;
}

export interface Checked {
  readonly problem: string;
  readonly runs: readonly Run[];
}

/** Which candidate each node gets, of those that it has; undefined: the builder chooses. */
let turn: number | undefined;
let offered = 0;
let watched: string | undefined;

async function watch(name: string): Promise<void> {
  if (watched === name) return;
  watched = name;
  const backend = await loadBackend(name);
  registerBackend({
    ...backend,
    candidates(node: Node, ...rest): readonly Candidate[] {
      const all = backend.candidates(node, ...rest);
      offered = Math.max(offered, all.length);
      return turn === undefined || all.length < 2 ? all : [all[turn % all.length]!];
    },
  });
}

export async function check(job: Job): Promise<Checked> {
  await watch(job.backend);
  const family = families.find((f) => f.name === job.family)!;
  const problem = rounded(family.problem(new Random(job.seed)), job.float);
  const wanted = await compute(problem, 'float32', { backends: ['cpu', 'reference'], isDynamic: false });
  const runs: Run[] = [];
  const attempt = async (): Promise<void> => {
    runs.push(await run(problem, job, wanted.y));
  };
  [turn, offered] = [undefined, 0];
  await attempt();
  const others = offered - 1;
  const tried = Math.min(others, job.candidates - 1);
  for (let i = 1; i <= tried; i++) {
    turn = Math.round((i * others) / tried);
    await attempt();
  }
  return { problem: problem.name, runs };
}

async function run(problem: Problem, job: Job, wanted: Tensor): Promise<Run> {
  try {
    const backends = [...new Set([job.backend, 'cpu', 'reference'])];
    const { y, tactics } = await compute(problem, job.float, { backends, isDynamic: job.isDynamic });
    return { tactics, error: errorOf(y, wanted) };
  } catch (error) {
    return { tactics: [], error: Infinity, failure: error instanceof Error ? error.message : String(error) };
  }
}

async function compute(
  problem: Problem,
  float: FloatType,
  { backends, isDynamic }: { backends: readonly string[]; isDynamic: boolean },
): Promise<{ y: Tensor; tactics: readonly string[] }> {
  const network = networkOf(problem, float, isDynamic).toNetwork();
  const plan = await new Builder().build(network, { backends, optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext({ poison: true });
  const inputs = inputsOf(problem, float);
  // The later ones play what a device recorded.
  for (let i = 0; i < 2; i++) await context.run(inputs);
  const { y } = await context.run(inputs);
  return { y: y!, tactics: engine.inspect().layers.map((layer) => layer.tactic) };
}

function errorOf(got: Tensor, wanted: Tensor): number {
  if (got.dims.join() !== wanted.dims.join()) return Infinity;
  const [a, b] = [readNumbers(got), readNumbers(wanted)];
  let [largest, error] = [0, 0];
  for (const [i, w] of b.entries()) {
    largest = Math.max(largest, Math.abs(w));
    const difference = Math.abs(a[i]! - w);
    if (!(difference <= error)) error = Number.isNaN(difference) ? Infinity : difference;
  }
  return error === 0 ? 0 : error / (largest || 1);
}
