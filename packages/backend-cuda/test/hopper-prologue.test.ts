/** Maps before a convolution of single pixels, computed in shared memory for warpgroups. */

import { type DType } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { native } from '../src/native.js';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

const usual = { together: 1, turns: 1, stages: 3, splits: 1, shares: 1, blocks: 1, swapped: 0, permuted: 1, span: 128 };
type Shape = Partial<typeof usual> & { rows: number; columns: number };
const steps = ['cuda.hopper'];

interface Scaled {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly scale: readonly number[];
  readonly columns: number;
  readonly strides?: readonly number[];
  readonly symbols?: readonly (string | undefined)[];
  readonly shape?: Partial<Shape>;
}

function scaled({ dtype = 'float16', x, scale, columns, strides, symbols, shape }: Scaled): Promise<void> {
  const ofScale = scale[0] === x[0] ? symbols?.slice(0, 1) : undefined;
  return compare({
    inputs: [
      { dtype, dims: x, ...(symbols && { symbols }) },
      { dtype, dims: scale, ...(ofScale && { symbols: ofScale }) },
    ],
    ...(symbols && { least: 1 }),
    graph: (b, image, factor) => {
      const weights = smallWeights(b, dtype, [columns, x[1]!, ...x.slice(2).map(() => 1)]);
      const y = b.op('conv', [b.op('mul', [image, factor]), weights, smallWeights(b, dtype, [columns])], {
        group: 1,
        ...(strides && { strides }),
      });
      return b.op('relu', [y]);
    },
    steps,
    force: { tactic: 'cuda.hopper', parameters: { ...usual, rows: 64, columns: 64, ...shape } },
  });
}

describe.skipIf(!hasDevice || !isHopper())('maps before a convolution of single pixels, by warpgroups', () => {
  it.each([
    { rows: 64, columns: 32 },
    { rows: 64, columns: 64, turns: 2, stages: 4 },
    { rows: 128, columns: 96, together: 2 },
    { rows: 128, columns: 64, turns: 2 },
    { rows: 256, columns: 32, together: 2, stages: 2 },
    { rows: 64, columns: 64, splits: 2 },
    { rows: 128, columns: 32, together: 2, splits: 4 },
    { rows: 64, columns: 32, shares: 2 },
    { rows: 128, columns: 96, together: 2, shares: 3 },
    { rows: 64, columns: 64, splits: 2, shares: 2, stages: 2 },
  ])('scales channels of each image, %j', (shape) =>
    scaled({ x: [5, 456, 7, 9], scale: [5, 456, 1, 1], columns: 72, shape }),
  );

  it.each([
    ['bfloat16', { dtype: 'bfloat16', x: [3, 72, 5, 7], scale: [3, 72, 1, 1], columns: 24 }],
    ['one image', { x: [1, 96, 14, 14], scale: [1, 96, 1, 1], columns: 33 }],
    ['images larger than tiles', { x: [2, 80, 14, 15], scale: [2, 80, 1, 1], columns: 40 }],
    ['one scale for all images', { x: [4, 72, 5, 5], scale: [1, 72, 1, 1], columns: 16 }],
    ['channels alone', { x: [4, 72, 5, 5], scale: [72, 1, 1], columns: 16 }],
    ['one number to an image', { x: [3, 96, 5, 5], scale: [3, 1, 1, 1], columns: 16 }],
    ['few channels', { x: [3, 24, 9, 9], scale: [3, 24, 1, 1], columns: 32, shape: { span: 64 } }],
    ['fewer channels', { x: [3, 8, 9, 9], scale: [3, 8, 1, 1], columns: 32, shape: { span: 32, rows: 128 } }],
    ['strides', { x: [3, 72, 9, 10], scale: [3, 72, 1, 1], columns: 24, strides: [2, 2] }],
    ['one axis', { x: [3, 72, 21], scale: [3, 72, 1], columns: 24 }],
    ['images known at run time', { x: [3, 72, 5, 6], scale: [3, 72, 1, 1], columns: 8, symbols: ['n'] }],
  ] as [string, Scaled][])('scales channels: %s', (_, shape) => scaled(shape));

  it('computes any map of channels, and of several operands', () =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [2, 72, 6, 7] },
        { dtype: 'float16', dims: [2, 72, 1, 1] },
      ],
      graph: (b, x, s) => {
        const normal = b.op('add', [
          b.op('mul', [b.op('mul', [x, s]), smallWeights(b, 'float16', [72, 1, 1])]),
          smallWeights(b, 'float16', [1, 72, 1, 1]),
        ]);
        return b.op('conv', [b.op('relu', [normal]), smallWeights(b, 'float16', [24, 72, 1, 1])], { group: 1 });
      },
      steps,
      force: { tactic: 'cuda.hopper', parameters: { ...usual, rows: 64, columns: 32 } },
    }));

  it('adds a residual to what it makes of a scaled image', () =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [2, 72, 6, 7] },
        { dtype: 'float16', dims: [2, 72, 1, 1] },
        { dtype: 'float16', dims: [2, 40, 6, 7] },
      ],
      graph: (b, x, s, r) => {
        const y = b.op('conv', [b.op('mul', [x, s]), smallWeights(b, 'float16', [40, 72, 1, 1])], { group: 1 });
        return b.op('add', [y, r]);
      },
      steps,
      force: { tactic: 'cuda.hopper', parameters: { ...usual, rows: 128, columns: 64, turns: 2 } },
    }));
});
