/** The activations that recurrent layers name in an attribute, as functions of the kernel text. */

import type { Attributes } from '@tensorwright/core';

/** Default alpha and beta, and the value for `v`. */
interface Entry {
  readonly alpha?: number;
  readonly beta?: number;
  readonly value: (alpha: string, beta: string) => string;
}

const table: Readonly<Record<string, Entry>> = {
  relu: { value: () => 'v > 0 ? v : Real(0)' },
  tanh: { value: () => 'scalar_tanh(v)' },
  sigmoid: { value: () => 'scalar_sigmoid(v)' },
  affine: { alpha: 1, beta: 0, value: (a, b) => `${a} * v + ${b}` },
  leakyrelu: { alpha: 0.01, value: (a) => `v >= 0 ? v : ${a} * v` },
  thresholdedrelu: { alpha: 1, value: (a) => `v >= ${a} ? v : Real(0)` },
  scaledtanh: { alpha: 1, beta: 1, value: (a, b) => `${a} * scalar_tanh(${b} * v)` },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    value: (a, b) => `scalar_min(scalar_max(${a} * v + ${b}, Real(0)), Real(1))`,
  },
  elu: { alpha: 1, value: (a) => `v >= 0 ? v : ${a} * Real(expm1(v))` },
  softsign: { value: () => 'v / (1 + scalar_abs(v))' },
  softplus: { value: () => 'v > 0 ? v + Real(log1p(exp(-v))) : Real(log1p(exp(v)))' },
};

/**
 * Functions `activation0`, `activation1` … of a value and a direction, one for each function of a cell. Alphas and
 * betas are listed for the activations that take one, in order; `clip` bounds every argument.
 * @returns undefined when one of the names is unknown
 */
export function activationFunctions(
  attributes: Attributes,
  defaults: readonly string[],
  directions: number,
): string | undefined {
  const names =
    (attributes['activations'] as readonly string[] | undefined) ??
    Array.from({ length: directions }, () => defaults).flat();
  const alphas = [...((attributes['activationAlpha'] as readonly number[] | undefined) ?? [])];
  const betas = [...((attributes['activationBeta'] as readonly number[] | undefined) ?? [])];
  const clip = (attributes['clip'] as number | undefined) ?? 0;
  const values: string[] = [];
  for (const name of names) {
    const entry = table[name.toLowerCase()];
    if (!entry) return undefined;
    const alpha = entry.alpha === undefined ? 0 : (alphas.shift() ?? entry.alpha);
    const beta = entry.beta === undefined ? 0 : (betas.shift() ?? entry.beta);
    values.push(entry.value(`Real(${String(alpha)})`, `Real(${String(beta)})`));
  }
  const bounded = clip === 0 ? '' : `  v = scalar_min(scalar_max(v, Real(${String(-clip)})), Real(${String(clip)}));\n`;
  return defaults
    .map((_, k) => {
      const [first, second] = [values[k]!, values[defaults.length + k]];
      const other = second === undefined || second === first ? '' : `  if (direction == 1) return ${second};\n`;
      return `TW_DEVICE Real activation${String(k)}(Real v, int direction) {\n  (void)direction;\n${bounded}${other}  return ${first};\n}`;
    })
    .join('\n');
}
