import { type RuntimeValue, Tensor } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { type Difference, differences, type Tolerance } from '../src/compare/difference.js';

const floats = (...values: number[]): Tensor => new Tensor('float32', values);

function compare(got: RuntimeValue, wanted: RuntimeValue, tolerance: Tolerance = { nrms: 1e-4 }): Difference {
  const all = differences('y', got, wanted, tolerance);
  expect(all).toHaveLength(1);
  return all[0]!;
}

describe('differences', () => {
  it('measures the error against the standard deviation', () => {
    // wanted: mean 2, deviation 1; errors 0 and 0.5: rms √(0.25 / 2).
    const d = compare(floats(1, 3.5), floats(1, 3));
    expect(d).toMatchObject({
      name: 'y',
      type: 'float32[2]',
      elements: 2,
      maxAbsolute: 0.5,
      beyond: 1,
      notFinite: 0,
      passed: false,
    });
    expect(d.nrms).toBeCloseTo(Math.sqrt(0.125), 12);
    expect(d.maxRelative).toBeCloseTo(0.5 / 3, 12);
  });

  it('is not fooled by a large mean', () => {
    const wanted = new Tensor('float64', [1e9, 1e9 + 1]);
    expect(compare(new Tensor('float64', [1e9, 1e9 + 1.5]), wanted).nrms).toBeCloseTo(Math.sqrt(0.125) / 0.5, 9);
  });

  it('measures constants by their size', () => {
    expect(compare(floats(2.5, 2.5), floats(2, 2)).nrms).toBeCloseTo(0.25, 12);
  });

  it('takes equal infinities and NaNs as equal, and others as infinitely wrong', () => {
    expect(compare(floats(NaN, Infinity, 1), floats(NaN, Infinity, 1))).toMatchObject({
      nrms: 0,
      passed: true,
      notFinite: 2,
    });
    expect(compare(floats(NaN, 1), floats(0, 1))).toMatchObject({ nrms: Infinity, passed: false, notFinite: 1 });
    expect(compare(floats(Infinity), floats(-Infinity)).passed).toBe(false);
  });

  it('holds elements to atol and rtol where they are given', () => {
    const got = floats(100.5, 0, 1);
    const wanted = floats(100, 0, 1);
    expect(compare(got, wanted, { nrms: 1, rtol: 0.01 })).toMatchObject({ passed: true, beyond: 0 });
    expect(compare(got, wanted, { nrms: 1, rtol: 0.001 })).toMatchObject({ passed: false, beyond: 1 });
    expect(compare(got, wanted, { nrms: 1, atol: 0.6 }).passed).toBe(true);
    expect(compare(got, wanted, { nrms: 1e-9, atol: 0.6 }).passed).toBe(false);
  });

  it('compares integers, booleans, narrow floats and strings', () => {
    expect(compare(new Tensor('int64', [1n, 2n]), new Tensor('int64', [1n, 2n])).passed).toBe(true);
    expect(compare(new Tensor('int64', [1n, 3n]), new Tensor('int64', [1n, 2n])).passed).toBe(false);
    expect(compare(new Tensor('bool', [1, 0]), new Tensor('bool', [1, 1])).passed).toBe(false);
    expect(compare(new Tensor('float16', [1, 2]), new Tensor('float16', [1, 4])).maxAbsolute).toBe(2);
    expect(compare(new Tensor('string', ['a', 'b']), new Tensor('string', ['a', 'c']))).toMatchObject({
      passed: false,
      beyond: 1,
    });
    expect(compare(new Tensor('string', ['a']), new Tensor('string', ['a'])).passed).toBe(true);
  });

  it('says where types differ', () => {
    expect(compare(floats(1, 2), floats(1))).toMatchObject({
      passed: false,
      reason: 'got float32[2], wanted float32[1]',
    });
    expect(compare(floats(1), new Tensor('float64', [1])).reason).toBe('got float32[1], wanted float64[1]');
    expect(differences('y', floats(1), undefined, { nrms: 1 })[0]!.reason).toBe('got float32[1], wanted nothing');
  });

  it('compares empty tensors', () => {
    expect(compare(Tensor.zeros('float32', [0, 3]), Tensor.zeros('float32', [0, 3]))).toMatchObject({
      passed: true,
      nrms: 0,
      elements: 0,
    });
  });

  it('goes into sequences, optionals and maps', () => {
    const sequence = (...items: Tensor[]): RuntimeValue => ({ kind: 'sequence', items });
    const all = differences('s', sequence(floats(1), floats(2)), sequence(floats(1), floats(3)), { nrms: 1e-4 });
    expect(all.map((d) => [d.name, d.passed])).toEqual([
      ['s[0]', true],
      ['s[1]', false],
    ]);
    expect(compare(sequence(), sequence(floats(1))).passed).toBe(false);
    const map = (key: string): RuntimeValue => ({ kind: 'map', entries: new Map([[key, floats(1)]]) });
    expect(compare(map('a'), map('a'))).toMatchObject({ name: 'y[a]', passed: true });
    expect(compare(map('a'), map('b')).passed).toBe(false);
    expect(
      differences('o', { kind: 'optional', value: undefined }, { kind: 'optional', value: undefined }, { nrms: 0 }),
    ).toEqual([]);
  });
});
