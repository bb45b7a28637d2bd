/** Runs a problem of a plugin on some backends, and compares what comes out with the formula. */

import { Builder } from '@tensorwright/builder';
import { cudaKernelsFor, isFloat, readNumbers, type Tensor } from '@tensorwright/core';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { type Engine, Runtime } from '@tensorwright/runtime';
import type { FloatType, PluginCase, Problem } from './case.js';
import { networkOf, rounded, tensorsOf } from './network.js';

/** Largest error that is none, of the largest value of an output by the formula. */
export const tolerances: Readonly<Record<FloatType, number>> = {
  float32: 1e-4,
  float16: 5e-3,
  bfloat16: 3e-2,
};

export interface CheckOptions {
  readonly backends: readonly string[];
  /** Default: 0. */
  readonly optimizationLevel?: 0 | 3;
  /** Default: the plugin. */
  readonly part?: 'plugin' | 'standard';
}

export interface Checked {
  readonly engine: Engine;
  /** Of each output, as a share of its largest value by the formula; Infinity where integers or sizes differ. */
  readonly errors: Readonly<Record<string, number>>;
}

/**
 * The engine is left open, for the caller to time and to close.
 * @throws when a plugin with kernels for the device does not run there
 */
export async function check(
  subject: PluginCase,
  problem: Problem,
  float: FloatType,
  options: CheckOptions,
): Promise<Checked> {
  const { backends, optimizationLevel = 0, part = 'plugin' } = options;
  const network = networkOf(subject, problem, float, part);
  const plan = await new Builder().build(network.toNetwork(), { backends, optimizationLevel });
  const registry = new PluginRegistry().register(subject.plugin);
  const engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
  try {
    if (backends[0] === 'cuda' && cudaKernelsFor(subject.plugin.operator.name).length > 0) refuseFallback(engine);
    const context = engine.createContext();
    const results = await context.run(tensorsOf(problem, float));
    await context.close();
    const wanted = subject.reference(rounded(problem, float));
    const errors = Object.entries(wanted).map(([name, values]) => [name, errorOf(results[name], values)]);
    return { engine, errors: Object.fromEntries(errors) as Checked['errors'] };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function refuseFallback(engine: Engine): void {
  const { layers, report } = engine.inspect();
  if (layers.some((layer) => layer.tactic === 'plugins'))
    throw new Error(`the plugin's kernels do not run: ${report.fallbacks.map((f) => f.reason).join('; ')}`);
}

function errorOf(got: Tensor | undefined, wanted: Float64Array): number {
  if (got?.size !== wanted.length) return Infinity;
  const values = readNumbers(got);
  let largest = 0;
  let error = 0;
  for (const [i, w] of wanted.entries()) {
    if (Object.is(values[i], w)) continue;
    if (Number.isFinite(w)) largest = Math.max(largest, Math.abs(w));
    const difference = Math.abs(values[i]! - w);
    if (!(difference <= error)) error = Number.isNaN(difference) ? Infinity : difference;
  }
  if (error === 0) return 0;
  if (!isFloat(got.dtype)) return Infinity;
  return error / (largest || 1);
}
