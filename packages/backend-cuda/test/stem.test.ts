import { type Attributes, type DType, type GraphBuilder, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

interface Convolution {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attributes?: Attributes;
  readonly symbols?: readonly (string | undefined)[];
  /** Of the tile: warpsX, warpsY, warpsN, rows, columns. */
  readonly tile?: readonly [number, number, number, number, number];
  readonly after?: (b: GraphBuilder, y: Value) => Value;
}

function convolve({ dtype = 'float16', x, w, attributes = {}, symbols, tile, after }: Convolution): Promise<void> {
  const [warpsX, warpsY, warpsN, rows, columns] = tile ?? [1, 2, Math.ceil(w[0]! / 32), 2, 4];
  return compare({
    inputs: [{ dtype, dims: x, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const y = b.op('conv', [image, smallWeights(b, dtype, w), smallWeights(b, dtype, [w[0]!])], {
        group: 1,
        ...attributes,
      });
      return after ? after(b, y) : y;
    },
    force: { tactic: 'cuda.stem', parameters: { warpsX, warpsY, warpsN, rows, columns } },
  });
}

describe.skipIf(!hasDevice)('stems', () => {
  it.each([
    ['7x7, stride 2', [2, 3, 29, 37], [64, 3, 7, 7], { pads: [3, 3, 3, 3], strides: [2, 2] }],
    ['3x3, stride 2', [1, 3, 30, 33], [32, 3, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['3x3', [1, 3, 11, 35], [64, 3, 3, 3], { pads: [1, 1, 1, 1] }],
    ['4x4, stride 4', [1, 3, 24, 28], [96, 3, 4, 4], { strides: [4, 4] }],
    ['5x5 of one channel', [2, 1, 14, 14], [6, 1, 5, 5], { pads: [2, 2, 2, 2] }],
    ['one tap', [1, 4, 9, 20], [20, 4, 1, 1], {}],
    ['strides of 3', [1, 2, 20, 70], [24, 2, 2, 8], { pads: [0, 2, 2, -1], strides: [1, 3] }],
    ['dilations along y', [1, 3, 20, 20], [16, 3, 3, 3], { pads: [2, 1, 2, 1], dilations: [2, 1] }],
    ['11x11, stride 4', [1, 3, 43, 43], [64, 3, 11, 11], { pads: [2, 2, 2, 2], strides: [4, 4] }],
    ['many channels', [1, 8, 9, 18], [40, 8, 3, 3], { pads: [1, 1, 1, 1] }],
  ] as [string, number[], number[], Attributes][])('convolves %s', (_, x, w, attributes) =>
    convolve({ x, w, attributes }),
  );

  it.each([
    [2, 1, 2, 4, 4],
    [1, 1, 1, 4, 8],
    [4, 1, 1, 1, 8],
    [1, 2, 2, 2, 4],
    [7, 1, 2, 1, 4],
  ] as [number, number, number, number, number][])(
    'takes tiles of %i by %i by %i warps, %i rows, %i columns',
    (...tile) =>
      convolve({ x: [2, 3, 25, 39], w: [64, 3, 7, 7], attributes: { pads: [3, 3, 3, 3], strides: [2, 2] }, tile }),
  );

  it('computes bfloat16', () =>
    convolve({ dtype: 'bfloat16', x: [1, 3, 17, 19], w: [32, 3, 3, 3], attributes: { pads: [1, 1, 1, 1] } }));

  it('takes extents that only the run knows', () =>
    convolve({
      x: [2, 3, 21, 30],
      w: [32, 3, 5, 5],
      attributes: { pads: [2, 2, 2, 2], strides: [2, 2] },
      symbols: ['n', undefined, 'h', 'w'],
    }));

  it('reads pixels of another type through maps', () => {
    const [x, w] = [
      [2, 3, 21, 30],
      [32, 3, 7, 7],
    ];
    return compare({
      inputs: [{ dtype: 'uint8', dims: x }],
      graph: (b, image) => {
        const attributes = { group: 1, pads: [3, 3, 3, 3], strides: [2, 2] };
        const scaled = b.op('mul', [b.op('cast', [image], { to: 'float32' }), b.scalar(1 / 255, 'float32')]);
        const half = b.op('cast', [scaled], { to: 'float16' });
        return b.op('relu', [
          b.op('conv', [half, smallWeights(b, 'float16', w), smallWeights(b, 'float16', [32])], attributes),
        ]);
      },
      pick: (c) => c.tactic === 'cuda.stem',
    });
  });

  it('activates', () =>
    convolve({
      x: [1, 3, 16, 16],
      w: [24, 3, 3, 3],
      attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
      after: (b, y) => b.op('mul', [y, b.op('sigmoid', [y])]),
    }));
});
