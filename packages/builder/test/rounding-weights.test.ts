/** What is told of weights before rounding errors are predicted from them, in networks of any kind. */

import {
  type Attributes,
  createSymbol,
  finish,
  type Graph,
  GraphBuilder,
  symbolDim,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { describe, expect, test } from 'vitest';
import { weightsOf } from '../src/passes/numbers/rounding/contractions.js';
import { contractionsToKeep } from '../src/passes/numbers/rounding/keep.js';
import { predictedError, roundingOf } from '../src/passes/numbers/rounding/model.js';
import { numbers } from './support/whole-path.js';

const rounding = roundingOf(11);
const builder = new GraphBuilder();
const errorOf = (y: Value): number => finish(predictedError({ inputs: [], outputs: [y] }, rounding, () => true));

describe('the places where a tap meets an element', () => {
  const shares = (extent: number, taps: number, attributes: Readonly<Record<string, readonly number[]>>) => {
    const x = builder.input('x', tensorType('float32', [1, 1, extent]));
    return weightsOf(builder.op('conv', [x, builder.constant(numbers([1, 1, taps], 1))], attributes).node)!.shares;
  };
  test.each([
    [10, 3, 1, 1, [1, 1]],
    [11, 5, 2, 1, [2, 2]],
    [9, 3, 3, 2, [4, 0]],
    [4, 7, 1, 1, [3, 3]],
    [5, 2, 2, 3, [0, 5]],
  ])('%i elements, %i taps, stride %i, dilation %i, pads %j', (extent, taps, stride, dilation, pads) => {
    const padded = [
      ...Array<number>(pads[0]!).fill(0),
      ...Array<number>(extent).fill(1),
      ...Array<number>(pads[1]!).fill(0),
    ];
    const places = Math.floor((padded.length - (taps - 1) * dilation - 1) / stride) + 1;
    const met = Array.from(
      { length: taps },
      (_, tap) => Array.from({ length: places }, (_, p) => padded[p * stride + tap * dilation]!).filter(Boolean).length,
    );
    expect(shares(extent, taps, { strides: [stride], dilations: [dilation], pads })).toEqual(
      met.map((n) => n / places),
    );
  });
  test('as many as without attributes, which mean the usual ones', () => {
    expect(shares(10, 3, {})).toEqual([1, 1, 1]);
  });
});

test('pads that the run knows are counted as none', () => {
  const width = symbolDim(createSymbol('width', { min: 8 }));
  const pad = symbolDim(createSymbol('pad', { max: 4 }));
  const x = builder.input('x', tensorType('float32', [1, 3, width]));
  const y = builder.op('conv', [x, builder.constant(numbers([4, 3, 5], 2))], { pads: [pad, pad] });
  expect(weightsOf(y.node)!.shares).toEqual([1, 1, 1, 1, 1]);
  expect(errorOf(y)).toBeGreaterThan(1e-4);
});

test('the weights of a classifier in either order are the same', () => {
  const rows = numbers([6, 10], 3);
  const columns = new Tensor(
    'float32',
    Float32Array.from({ length: 60 }, (_, i) => rows.data[(i % 6) * 10 + Math.floor(i / 6)]!),
    [10, 6],
  );
  const x = builder.input('x', tensorType('float32', [2, 10]));
  const dot = (w: Tensor, rhs: string): Value =>
    builder.op('dot', [x, builder.constant(w)], { lhs: 'mk', rhs, out: 'mn' });
  const error = errorOf(dot(rows, 'nk'));
  expect(error).toBeGreaterThan(1e-4);
  expect(errorOf(dot(columns, 'kn'))).toBe(error);
});

describe('an error is a number, and something is kept or not, of', () => {
  const input = (...dims: Parameters<typeof tensorType>[1] & {}): Value =>
    builder.input('x', tensorType('float32', dims));
  const conv = (x: Value, ...[dims, attributes]: [number[], Attributes?]): Value =>
    builder.op('conv', [x, builder.constant(numbers(dims, 4))], attributes ?? {});
  const any = symbolDim(createSymbol('any'));
  const graphs: Readonly<Record<string, () => Value>> = {
    'planes of unknown extents': () => builder.op('relu', [conv(input(any, 2, any, any), [4, 2, 3, 3])]),
    'groups, and a line': () => conv(conv(input(1, 4, 9), [8, 2, 3], { group: 2 }), [8, 1, 1], { group: 8 }),
    'a volume': () => conv(input(1, 2, 5, 6, 7), [3, 2, 3, 1, 2], { strides: [2, 1, 1] }),
    'a transposed convolution': () =>
      builder.op(
        'convTranspose',
        [conv(input(1, 2, 5, 5), [3, 2, 1, 1]), builder.constant(numbers([3, 2, 2, 2], 5))],
        {},
      ),
    'no elements': () => conv(input(0, 2, 4, 4), [3, 2, 1, 1]),
    'weights that only the run knows': () => builder.op('conv', [input(1, 2, 4, 4), input(3, 2, 1, 1)], {}),
    'weights that are no numbers': () => {
      const w = new Tensor('float32', Float32Array.of(NaN, Infinity, 1, 2), [2, 2, 1, 1]);
      return builder.op('sigmoid', [builder.op('conv', [input(1, 2, 4, 4), builder.constant(w)], {})]);
    },
  };
  test.each(Object.keys(graphs))('%s', (name) => {
    const graph: Graph = { inputs: [], outputs: [graphs[name]!()] };
    const { before, after } = finish(contractionsToKeep(graph, 'float16', 1e-9, () => true));
    expect(before).toBeGreaterThanOrEqual(0);
    expect(after).toBeLessThanOrEqual(before);
  });
});
