import { type DType, GraphBuilder, type Node, Tensor, tensorFromNumbers, tensorType } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { closenessOf, disagreement } from '../src/choose/agree.js';

const b = new GraphBuilder();
const node = (op: string, dtype: DType): Node => b.op(op, [b.input('x', tensorType(dtype, [1000]))]).node;
const numbers = (dtype: DType, value: (i: number) => number): Tensor =>
  tensorFromNumbers(
    dtype,
    Float64Array.from({ length: 1000 }, (_, i) => value(i)),
    [1000],
  );
const wave = (i: number): number => Math.sin(i) + 0.01;

describe('results agree', () => {
  it.each([
    ['float32', 1e-5, 0.01],
    ['float16', 2e-3, 0.2],
    ['bfloat16', 0.02, 1],
    ['float64', 1e-13, 1e-6],
  ] as const)('in %s up to the rounding of sums, and no further', (dtype, rounding, mistake) => {
    const closeness = closenessOf(node('exp', dtype), false);
    const expected = numbers(dtype, wave);
    expect(
      disagreement(
        numbers(dtype, (i) => wave(i) + rounding * (i % 2)),
        expected,
        closeness,
      ),
    ).toBeUndefined();
    const one = numbers(dtype, (i) => wave(i) + (i === 500 ? mistake : 0));
    expect(disagreement(one, expected, closeness)).toMatch(/^1 of 1000 elements differ, the first at 500: /);
  });

  it('where both are no numbers or infinite, not where one is', () => {
    const closeness = closenessOf(node('log', 'float32'), false);
    const odd = (i: number): number => [NaN, Infinity, -Infinity, 1][i % 4]!;
    const expected = numbers('float32', odd);
    expect(disagreement(numbers('float32', odd), expected, closeness)).toBeUndefined();
    for (const wrong of [0, NaN, -Infinity])
      expect(
        disagreement(
          numbers('float32', (i) => (i === 1 ? wrong : odd(i))),
          expected,
          closeness,
        ),
      ).toMatch(/^1 of/);
  });

  it('where jumps fall to either side in a few elements', () => {
    const closeness = closenessOf(node('round', 'float32'), false);
    const expected = numbers('float32', wave);
    const jumps = (every: number): Tensor => numbers('float32', (i) => wave(i) + (i % every === 0 ? 1 : 0));
    expect(disagreement(jumps(200), expected, closeness)).toBeUndefined();
    expect(disagreement(jumps(50), expected, closeness)).toMatch(/^20 of 1000/);
  });

  it('in bytes that were quantized, up to one', () => {
    const closeness = { tolerance: 0, elements: 0 };
    const expected = numbers('int8', (i) => (i % 200) - 100);
    expect(
      disagreement(
        numbers('int8', (i) => (i % 200) - 99),
        expected,
        closeness,
      ),
    ).toBeUndefined();
    expect(
      disagreement(
        numbers('int8', (i) => (i % 200) - 98),
        expected,
        closeness,
      ),
    ).toMatch(/^1000 of 1000/);
    expect(
      disagreement(
        numbers('int32', () => 1),
        numbers('int32', () => 2),
        closeness,
      ),
    ).toMatch(/^1000 of 1000/);
  });

  it('more loosely where products may round to tf32', () => {
    expect(closenessOf(node('exp', 'float32'), true).tolerance).toBeGreaterThan(
      closenessOf(node('exp', 'float32'), false).tolerance,
    );
  });

  it('only in the same shape', () => {
    const closeness = closenessOf(node('exp', 'float32'), false);
    const flat = new Tensor('float32', new Float32Array(4), [4]);
    expect(disagreement(flat, new Tensor('float32', new Float32Array(4), [2, 2]), closeness)).toBe(
      'it gives float32[4], not float32[2, 2]',
    );
  });
});
