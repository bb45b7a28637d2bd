/** The activations that recurrent layers name in an attribute. */

import type { EvaluateContext, InferContext } from '../operator.js';

export type Activation = (x: number) => number;

/** Default alpha and beta, and the function. */
const table: Record<string, { alpha?: number; beta?: number; make(alpha: number, beta: number): Activation }> = {
  relu: { make: () => (x) => Math.max(0, x) },
  tanh: { make: () => Math.tanh },
  sigmoid: { make: () => (x) => 1 / (1 + Math.exp(-x)) },
  affine: { alpha: 1, beta: 0, make: (a, b) => (x) => a * x + b },
  leakyrelu: { alpha: 0.01, make: (a) => (x) => (x >= 0 ? x : a * x) },
  thresholdedrelu: { alpha: 1, make: (a) => (x) => (x >= a ? x : 0) },
  scaledtanh: { alpha: 1, beta: 1, make: (a, b) => (x) => a * Math.tanh(b * x) },
  hardsigmoid: { alpha: 0.2, beta: 0.5, make: (a, b) => (x) => Math.min(Math.max(a * x + b, 0), 1) },
  elu: { alpha: 1, make: (a) => (x) => (x >= 0 ? x : a * Math.expm1(x)) },
  softsign: { make: () => (x) => x / (1 + Math.abs(x)) },
  softplus: { make: () => (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))) },
};

/**
 * The functions of every direction. Alphas and betas are listed for the activations that take one, in order.
 * `clip` bounds every argument.
 */
export function recurrentActivations(
  c: InferContext | EvaluateContext,
  defaults: readonly string[],
  directions: number,
): Activation[][] {
  const names =
    (c.attributes['activations'] as readonly string[] | undefined) ??
    Array.from({ length: directions }, () => defaults).flat();
  if (names.length !== defaults.length * directions)
    c.fail(`${String(defaults.length * directions)} activations are needed, ${String(names.length)} given`);
  const alphas = [...((c.attributes['activationAlpha'] as readonly number[] | undefined) ?? [])];
  const betas = [...((c.attributes['activationBeta'] as readonly number[] | undefined) ?? [])];
  const clip = c.attributes['clip'] as number | undefined;
  const all = names.map((name) => {
    const entry = table[name.toLowerCase()] ?? c.fail(`unknown activation '${name}'`);
    const alpha = entry.alpha === undefined ? 0 : (alphas.shift() ?? entry.alpha);
    const beta = entry.beta === undefined ? 0 : (betas.shift() ?? entry.beta);
    const f = entry.make(alpha, beta);
    return clip === undefined || clip === 0 ? f : (x: number) => f(Math.min(Math.max(x, -clip), clip));
  });
  return Array.from({ length: directions }, (_, d) => all.slice(d * defaults.length, (d + 1) * defaults.length));
}
