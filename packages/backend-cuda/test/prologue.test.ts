/** Maps before a convolution of single pixels: in its kernel where that can, and the same results everywhere. */

import { type DType, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { tensorTiles } from '../src/tactics/contraction/tiles.js';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

interface Scaled {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly scale: readonly number[];
  readonly columns: number;
  readonly strides?: readonly number[];
  readonly symbols?: readonly (string | undefined)[];
  readonly parameters?: Readonly<Record<string, number>>;
  /** Whether the convolution's kernel scales. Default: yes. */
  readonly inKernel?: boolean;
}

const product = 'cuda.contraction';
const fused = ['cuda.contraction.tensor'];

function scaled({
  dtype = 'float16',
  x,
  scale,
  columns,
  strides,
  symbols,
  parameters,
  inKernel = true,
}: Scaled): Promise<void> {
  const ofScale = scale[0] === x[0] ? symbols?.slice(0, 1) : undefined;
  return compare({
    inputs: [
      { dtype, dims: x, ...(symbols && { symbols }) },
      { dtype, dims: scale, ...(ofScale && { symbols: ofScale }) },
    ],
    graph: (b, image, factor) => {
      const scaledImage = b.op('mul', [image, factor]);
      const weights = smallWeights(b, dtype, [columns, x[1]!, ...x.slice(2).map(() => 1)]);
      const y = b.op('conv', [scaledImage, weights, smallWeights(b, dtype, [columns])], {
        group: 1,
        ...(strides && { strides }),
      });
      return b.op('relu', [y]);
    },
    steps: inKernel ? fused : ['cuda.map', `${product}.${dtype === 'float32' ? 'simt' : 'tensor'}`],
    pick: ({ tactic }) => tactic.startsWith(product),
    ...(parameters && { force: { tactic: 'cuda.contraction.tensor', parameters } }),
  });
}

describe.skipIf(!hasDevice)('maps before a convolution of single pixels', () => {
  it.each(tensorTiles.map((_, i) => i))('scales channels of each image with tile %i', (i) =>
    scaled({
      x: [5, 72, 7, 9],
      scale: [5, 72, 1, 1],
      columns: 40,
      parameters: { ...tensorTiles[i]!, splits: (i % 3) + 1 },
    }),
  );

  it.each([
    ['bfloat16', { dtype: 'bfloat16', x: [3, 48, 5, 7], scale: [3, 48, 1, 1], columns: 24 }],
    ['one image', { x: [1, 96, 14, 14], scale: [1, 96, 1, 1], columns: 33 }],
    ['one scale for all images', { x: [4, 40, 5, 5], scale: [1, 40, 1, 1], columns: 16 }],
    ['channels alone', { x: [4, 40, 5, 5], scale: [40, 1, 1], columns: 16 }],
    ['one number to an image', { x: [3, 32, 5, 5], scale: [3, 1, 1, 1], columns: 16 }],
    ['odd channels', { x: [3, 27, 6, 5], scale: [3, 27, 1, 1], columns: 9 }],
    ['few channels', { x: [3, 4, 6, 5], scale: [3, 4, 1, 1], columns: 9 }],
    ['strides', { x: [3, 32, 9, 10], scale: [3, 32, 1, 1], columns: 24, strides: [2, 2] }],
    ['one axis', { x: [3, 32, 21], scale: [3, 32, 1], columns: 24 }],
    ['images known at run time', { x: [3, 32, 5, 6], scale: [3, 32, 1, 1], columns: 8, symbols: ['n'] }],
  ] as [string, Scaled][])('scales channels: %s', (_, shape) => scaled(shape));

  it.each([
    ['float32', { dtype: 'float32', x: [2, 16, 5, 5], scale: [2, 16, 1, 1], columns: 8 }],
    ['images of few pixels', { x: [6, 32, 3, 3], scale: [6, 32, 1, 1], columns: 8 }],
    ['a scale of every pixel', { x: [2, 16, 5, 5], scale: [2, 16, 5, 5], columns: 8 }],
    ['a scale of rows of pixels', { x: [2, 16, 5, 5], scale: [2, 16, 5, 1], columns: 8 }],
  ] as [string, Scaled][])('leaves to a step of its own: %s', (_, shape) => scaled({ ...shape, inKernel: false }));

  it('computes any map of channels', () =>
    compare({
      inputs: [{ dtype: 'float16', dims: [2, 40, 6, 7] }],
      graph: (b, x) => {
        const normal = b.op('add', [
          b.op('mul', [x, smallWeights(b, 'float16', [40, 1, 1])]),
          smallWeights(b, 'float16', [1, 40, 1, 1]),
        ]);
        return b.op('conv', [b.op('relu', [normal]), smallWeights(b, 'float16', [24, 40, 1, 1])], { group: 1 });
      },
      steps: fused,
    }));

  it('leaves it to a map where concats share the memory of the image', () =>
    compare({
      inputs: [{ dtype: 'float16', dims: [2, 32, 6, 7] }],
      graph: (b, x) => {
        const layer = (parts: readonly Value[], channels: number): Value => {
          const image = b.op('relu', [b.op('concat', [...parts], { axis: 1 })]);
          return b.op('conv', [image, smallWeights(b, 'float16', [16, channels, 1, 1])], { group: 1 });
        };
        const first = b.op('conv', [x, smallWeights(b, 'float16', [16, 32, 1, 1])], { group: 1 });
        const second = layer([x, first], 48);
        return layer([x, first, second], 64);
      },
      steps: [...fused, 'cuda.map', ...fused, 'cuda.map', ...fused],
      pick: ({ tactic }) => tactic.startsWith(product),
      tolerance: 2e-3,
    }));

  it('leaves the image to other readers', () =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [2, 32, 6, 7] },
        { dtype: 'float16', dims: [2, 32, 1, 1] },
      ],
      graph: (b, x, s) => {
        const product = b.op('mul', [x, s]);
        return [b.op('conv', [product, smallWeights(b, 'float16', [24, 32, 1, 1])], { group: 1 }), product];
      },
      tolerance: 2e-3,
    }));
});
