/** Narrow floats against the tables of their definitions: OCP 8-bit floats and MX formats, IEEE 754, ONNX's Cast. */

import { decodeFloat, encodeFloat, type NarrowFloat, roundHalfEven } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';

const limits: Record<Exclude<NarrowFloat, 'float8e8m0'>, { max: number; smallest: number; bits: number }> = {
  float16: { max: 65504, smallest: 2 ** -24, bits: 16 },
  bfloat16: { max: (2 - 2 ** -7) * 2 ** 127, smallest: 2 ** -133, bits: 16 },
  float8e4m3fn: { max: 448, smallest: 2 ** -9, bits: 8 },
  float8e4m3fnuz: { max: 240, smallest: 2 ** -10, bits: 8 },
  float8e5m2: { max: 57344, smallest: 2 ** -16, bits: 8 },
  float8e5m2fnuz: { max: 57344, smallest: 2 ** -17, bits: 8 },
  float4e2m1: { max: 6, smallest: 0.5, bits: 4 },
};
const formats = Object.keys(limits) as (keyof typeof limits)[];

describe('every pattern', () => {
  it.each(formats)('%s: largest, smallest and round trip', (dtype) => {
    const { max, smallest, bits } = limits[dtype];
    const values = Array.from({ length: 2 ** bits }, (_, b) => decodeFloat(dtype, b));
    const finite = values.filter(Number.isFinite);
    expect(finite.reduce((a, b) => Math.max(a, b))).toBe(max);
    expect(finite.filter((v) => v > 0).reduce((a, b) => Math.min(a, b))).toBe(smallest);
    expect(values.map((v, b) => (Number.isNaN(v) ? b : encodeFloat(dtype, v, { saturate: false })))).toEqual(
      values.map((_, b) => b),
    );
  });

  it.each(formats)('%s: halfway between neighbours goes to the even pattern', (dtype) => {
    const { bits } = limits[dtype];
    const [got, want]: [number[], number[]] = [[], []];
    for (let b = 0; b < Math.min(2 ** (bits - 1) - 2, 2000); b++) {
      const [low, high] = [decodeFloat(dtype, b), decodeFloat(dtype, b + 1)];
      if (!Number.isFinite(high)) continue;
      const middle = (low + high) / 2;
      got.push(...[middle, middle * (1 + 2 ** -40), middle * (1 - 2 ** -40)].map((v) => encodeFloat(dtype, v)));
      want.push(b % 2 === 0 ? b : b + 1, b + 1, b);
    }
    expect(got).toEqual(want);
  });
});

describe('out of range, by the tables of Cast', () => {
  // value → [saturate, not] for E4M3FN, E4M3FNUZ, E5M2, E5M2FNUZ.
  const cases: [number, [number, number][]][] = [
    [
      Infinity,
      [
        [448, NaN],
        [240, NaN],
        [57344, Infinity],
        [57344, NaN],
      ],
    ],
    [
      -Infinity,
      [
        [-448, NaN],
        [-240, NaN],
        [-57344, -Infinity],
        [-57344, NaN],
      ],
    ],
    [
      1e6,
      [
        [448, NaN],
        [240, NaN],
        [57344, Infinity],
        [57344, NaN],
      ],
    ],
    [
      -1e6,
      [
        [-448, NaN],
        [-240, NaN],
        [-57344, -Infinity],
        [-57344, NaN],
      ],
    ],
    [
      NaN,
      [
        [NaN, NaN],
        [NaN, NaN],
        [NaN, NaN],
        [NaN, NaN],
      ],
    ],
    [
      -0,
      [
        [-0, -0],
        [0, 0],
        [-0, -0],
        [0, 0],
      ],
    ],
  ];
  it.each(cases)('%s', (value, expected) => {
    (['float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2', 'float8e5m2fnuz'] as const).forEach((dtype, i) => {
      const [saturated, not] = expected[i]!;
      expect(decodeFloat(dtype, encodeFloat(dtype, value))).toBe(saturated);
      expect(decodeFloat(dtype, encodeFloat(dtype, value, { saturate: false }))).toBe(not);
    });
  });

  it('rounds before it overflows', () => {
    expect(decodeFloat('float8e4m3fn', encodeFloat('float8e4m3fn', 463, { saturate: false }))).toBe(448);
    expect(decodeFloat('float8e4m3fn', encodeFloat('float8e4m3fn', 465, { saturate: false }))).toBe(NaN);
    expect(decodeFloat('float16', encodeFloat('float16', 65519))).toBe(65504);
    expect(decodeFloat('float16', encodeFloat('float16', 65520))).toBe(Infinity);
  });

  it('float4e2m1 saturates always', () => {
    expect(
      [5.1, 100, Infinity, -7].map((v) => decodeFloat('float4e2m1', encodeFloat('float4e2m1', v, { saturate: false }))),
    ).toEqual([6, 6, 6, -6]);
  });
});

describe('float8e8m0', () => {
  const cast = (value: number, options: Parameters<typeof encodeFloat>[2] = {}): number =>
    decodeFloat('float8e8m0', encodeFloat('float8e8m0', value, options));
  it('rounds up, down and to the nearest power of two', () => {
    expect([1, 1.1, 1.5, 1.9, 3].map((v) => cast(v))).toEqual([1, 2, 2, 2, 4]);
    expect([1, 1.1, 1.5, 1.9, 3].map((v) => cast(v, { roundMode: 'down' }))).toEqual([1, 1, 1, 1, 2]);
    expect([1, 1.1, 1.5, 1.9, 2.9].map((v) => cast(v, { roundMode: 'nearest' }))).toEqual([1, 1, 2, 2, 2]);
  });
  it('saturates, or gives NaN', () => {
    expect([0, 1e-45, 3e38, Infinity].map((v) => cast(v))).toEqual([2 ** -127, 2 ** -127, 2 ** 127, 2 ** 127]);
    expect([0, 1e-45, 3e38, Infinity, NaN].map((v) => cast(v, { saturate: false, roundMode: 'nearest' }))).toEqual([
      NaN,
      NaN,
      NaN,
      NaN,
      NaN,
    ]);
  });
});

it('rounds half to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, 1e300].map(roundHalfEven)).toEqual([0, 2, 2, -0, -2, -2, 2, 1e300]);
});
