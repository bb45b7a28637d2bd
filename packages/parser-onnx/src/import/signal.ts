/** DFT, STFT, MelWeightMatrix, window functions, Det. */

import type { DType, Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { cast, element, iota, scale } from './shorthand.js';

function dft(c: ImportContext, axis: number | undefined): Value {
  const flags = { inverse: c.int('inverse', 0) !== 0, onesided: c.int('onesided', 0) !== 0 };
  if (axis === undefined) return c.op('dft', [c.input(0), c.optional(1), c.input(2)], flags);
  return c.op('dft', [c.input(0), c.optional(1)], { axis: c.axis(axis, c.rank(c.input(0))), ...flags });
}

/** The axis is an input since opset 20; undefined when only the run tells. */
function axisInput(c: ImportContext): number | undefined {
  const input = c.optional(2);
  if (!input) return -2;
  const axis = c.fact(input)?.[0];
  return typeof axis === 'number' ? axis : undefined;
}

/** Σ coefficients[k] · cos(2πk · i / N), N the size, or one less for symmetric windows. */
function cosineWindow(c: ImportContext, coefficients: readonly number[]): Value {
  const dtype: DType = c.dtype('output_datatype') ?? 'float32';
  // Narrow types would lose the angle: computed in float32 and rounded at the end.
  const wide: DType = dtype === 'float64' ? 'float64' : 'float32';
  const size = element(c, c.input(0), 0);
  const count = cast(c, size, wide);
  const period = c.int('periodic', 1) === 0 ? c.op('sub', [count, c.scalar(1, wide)]) : count;
  const angle = c.op('div', [scale(c, iota(c, size, wide), 2 * Math.PI), period]);
  const terms = coefficients.map((a, k) =>
    k === 0 ? c.scalar(a, wide) : scale(c, c.op('cos', [scale(c, angle, k)]), a),
  );
  return cast(
    c,
    terms.reduce((sum, t) => c.op('add', [sum, t])),
    dtype,
  );
}

export const signalImporters: ImporterTable = {
  DFT: { 17: (c) => dft(c, c.int('axis', 1)), 20: (c) => dft(c, axisInput(c)) },
  STFT: (c) =>
    c.op('stft', [c.input(0), c.input(1), c.optional(2), c.optional(3)], { onesided: c.int('onesided', 1) !== 0 }),
  MelWeightMatrix: (c) => c.op('melWeightMatrix', c.inputs(), { dtype: c.dtype('output_datatype') ?? 'float32' }),
  HannWindow: (c) => cosineWindow(c, [0.5, -0.5]),
  HammingWindow: (c) => cosineWindow(c, [25 / 46, -21 / 46]),
  BlackmanWindow: (c) => cosineWindow(c, [0.42, -0.5, 0.08]),
  Det: (c) => c.op('det', [c.input(0)]),
};
