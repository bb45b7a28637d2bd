import { type Attributes, type DType, type GraphBuilder, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

interface Convolution {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly kernel: readonly number[];
  readonly attributes?: Attributes;
  readonly symbols?: readonly (string | undefined)[];
  /** Of the tile: windowsX, windows, patches, images, vectors. */
  readonly tile?: readonly [number, number, number, number, number];
  readonly after?: (b: GraphBuilder, y: Value, x: Value) => Value;
}

function convolve({ dtype = 'float16', x, kernel, attributes = {}, symbols, tile, after }: Convolution): Promise<void> {
  const channels = x[1]!;
  const [windowsX, windows, patches, images, vectors] = tile ?? [1, 2, 2, 1, 2];
  return compare({
    inputs: [{ dtype, dims: x, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const operands = [image, smallWeights(b, dtype, [channels, 1, ...kernel]), smallWeights(b, dtype, [channels])];
      const y = b.op('conv', operands, { ...attributes, group: channels });
      return after ? after(b, y, image) : y;
    },
    force: { tactic: 'cuda.depthwise.tensor', parameters: { windowsX, windows, patches, images, vectors } },
  });
}

describe.skipIf(!hasDevice)('depthwise convolution on tensor cores', () => {
  it.each([
    ['3x3', [2, 16, 9, 21], [3, 3], { pads: [1, 1, 1, 1] }],
    ['5x5', [1, 40, 17, 8], [5, 5], { pads: [2, 2, 2, 2] }],
    ['7x7', [1, 24, 14, 14], [7, 7], { pads: [3, 3, 3, 3] }],
    ['9x9', [1, 8, 11, 10], [9, 9], { pads: [4, 4, 4, 4] }],
    ['no padding', [1, 8, 12, 12], [3, 5], {}],
    ['odd padding', [1, 8, 13, 12], [4, 2], { pads: [0, 2, 3, -1] }],
    ['stride 2', [2, 16, 15, 18], [3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['stride 2 of 5x5', [1, 16, 29, 30], [5, 5], { pads: [2, 2, 2, 2], strides: [2, 2] }],
    ['stride 2 along x', [1, 8, 9, 40], [3, 7], { pads: [1, 3, 1, 3], strides: [1, 2] }],
    ['stride 2 along y', [1, 8, 21, 9], [3, 3], { pads: [1, 1, 1, 1], strides: [2, 1] }],
    ['dilations', [1, 8, 20, 20], [3, 3], { pads: [2, 4, 2, 4], dilations: [2, 4] }],
    ['dilations and strides', [1, 8, 20, 20], [3, 3], { pads: [3, 3, 3, 3], dilations: [3, 3], strides: [2, 2] }],
    ['a single pixel', [3, 8, 1, 1], [7, 7], { pads: [3, 3, 3, 3] }],
  ] as [string, number[], number[], Attributes][])('computes %s', (_, x, kernel, attributes) =>
    convolve({ x, kernel, attributes }),
  );

  it.each([
    [1, 1, 1, 2, 1],
    [1, 1, 1, 4, 3],
    [1, 1, 2, 1, 4],
    [1, 2, 2, 2, 2],
    [1, 2, 4, 1, 6],
    [2, 2, 2, 1, 2],
    [2, 2, 4, 1, 1],
    [4, 2, 2, 1, 2],
    [1, 2, 2, 1, 8],
  ] as [number, number, number, number, number][])(
    'takes tiles of %i · %i windows, %i patches, %i images, %i vectors',
    (...tile) => convolve({ x: [3, 56, 19, 35], kernel: [5, 5], attributes: { pads: [2, 2, 2, 2] }, tile }),
  );

  it.each([[[1, 1, 1, 4, 2]], [[2, 2, 2, 1, 2]]] as [[number, number, number, number, number]][])(
    'strides by 2 in tiles %j',
    (tile) =>
      convolve({ x: [3, 24, 17, 33], kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], strides: [2, 2] }, tile }),
  );

  it('computes bfloat16', () =>
    convolve({ dtype: 'bfloat16', x: [2, 16, 14, 11], kernel: [7, 7], attributes: { pads: [3, 3, 3, 3] } }));

  it('takes extents that only the run knows', () =>
    convolve({
      x: [3, 16, 13, 22],
      kernel: [5, 5],
      attributes: { pads: [2, 2, 2, 2], strides: [2, 1] },
      symbols: ['n', undefined, 'h', 'w'],
    }));

  it('adds, activates and widens', () =>
    convolve({
      x: [1, 16, 14, 9],
      kernel: [3, 3],
      attributes: { pads: [1, 1, 1, 1] },
      after: (b, y, x) => b.op('relu', [b.op('add', [y, x])]),
    }));
});
