/** Coarse functions: where they may stand, and how far they are from the formula (on the emulated device or a real one). */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, readNumbers, type Scalar, tensorFromNumbers } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { coarseOperations } from '../src/print/coarse.js';

const x: Scalar = { op: 'arg', index: 0, dtype: 'float32' };
const exp: Scalar = { op: 'exp', args: [x], dtype: 'float32' };
const half = (e: Scalar): Scalar => ({ op: 'cast', args: [e], dtype: 'float16', saturate: true });
const sum: Scalar = { op: 'add', args: [exp, exp], dtype: 'float32' };
const floored: Scalar = { op: 'floor', args: [half(exp)], dtype: 'float16' };

describe('which operations may be coarse', () => {
  it.each([
    ['what ends in 16 bits', [half(sum)], true],
    ['what ends in 32 bits', [sum], false],
    ['what ends in both', [half(sum), exp], false],
    ['16 bits on the way to 32', [{ op: 'cast', args: [half(exp)], dtype: 'float32', saturate: true }], true],
    ['what is rounded to whole numbers', [floored], false],
  ] as [string, Scalar[], boolean][])('%s', (_, expressions, coarse) => {
    expect(coarseOperations(expressions).has(exp)).toBe(coarse);
  });
});

/** Abramowitz and Stegun 7.1.5: the series, which converges in float64 for the arguments here. */
function erf(v: number): number {
  if (Math.abs(v) > 5) return Math.sign(v);
  let term = v;
  let total = v;
  for (let n = 1; Math.abs(term) > 1e-18; n++) {
    term *= (-v * v) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

describe.skipIf(cudaBackend.device() === undefined)('functions of 16-bit results', () => {
  const values = Float64Array.from({ length: 4001 }, (_, i) => Math.fround((i - 2000) / 200));
  for (let i = 0; i < 40; i++) values[i] = (i % 2 ? 1 : -1) * 2 ** -(i / 4);

  it.each([
    ['exp', (n, t) => n.addUnary(t, 'exp'), Math.exp],
    ['erf', (n, t) => n.addUnary(t, 'erf'), erf],
    ['tanh', (n, t) => n.addActivation(t, 'tanh'), Math.tanh],
    ['sigmoid', (n, t) => n.addActivation(t, 'sigmoid'), (v) => 1 / (1 + Math.exp(-v))],
  ] as [string, (n: NetworkDefinition, t: NetworkTensor) => NetworkTensor, (v: number) => number][])(
    '%s',
    async (...row) => {
      const [name, add, formula] = row;
      const n = new NetworkDefinition(name);
      const input = n.addInput('x', 'bfloat16', [values.length]);
      n.markOutput(add(n, input), 'y');
      const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
      await using engine = await Runtime.load(await plan.toBytes());
      await using context = engine.createContext();
      const given = tensorFromNumbers('bfloat16', values, [values.length]);
      const { y } = await context.run({ x: given });
      const arguments_ = readNumbers(given);
      readNumbers(y!).forEach((v, i) => {
        const expected = formula(arguments_[i]!);
        expect(Math.abs(v - expected)).toBeLessThanOrEqual(2 ** -8 * 1.01 * Math.abs(expected));
      });
    },
  );
});
