/** Philox against the known answers of its authors (Random123, kat_vectors), and the distributions against their moments. */

import { GraphBuilder, evaluateGraph, readNumbers, type Tensor } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { philox } from '../src/philox.js';

it('gives the published numbers', () => {
  const all = 0xffffffff;
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(philox([all, all, all, all], [all, all])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

function draw(op: string, attributes: Record<string, number>): Float64Array {
  const builder = new GraphBuilder();
  const value = builder.op(op, [], { dims: [20000], ...attributes });
  return readNumbers(evaluateGraph({ inputs: [], outputs: [value] }, [])[0] as Tensor);
}

function moments(values: Float64Array): { mean: number; deviation: number } {
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length) };
}

it('draws normal and uniform numbers, the same for the same seed', () => {
  const normal = draw('randomNormal', { mean: 3, scale: 2, seed: 7 });
  expect(moments(normal).mean).toBeCloseTo(3, 1);
  expect(moments(normal).deviation).toBeCloseTo(2, 1);
  const uniform = draw('randomUniform', { low: -1, high: 5, seed: 7 });
  expect(moments(uniform).mean).toBeCloseTo(2, 1);
  expect(moments(uniform).deviation).toBeCloseTo(6 / Math.sqrt(12), 1);
  expect(Math.min(...uniform)).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...uniform)).toBeLessThan(5);
  expect(draw('randomNormal', { mean: 3, scale: 2, seed: 7 })).toEqual(normal);
  expect(draw('randomNormal', { mean: 3, scale: 2, seed: 8 })).not.toEqual(normal);
});
