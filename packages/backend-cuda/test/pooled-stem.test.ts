/** First convolutions that are pooled in the same step, against their operators one by one. */

import { type Attributes, type DType, type GraphBuilder, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { compare, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

// Warpgroups; read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

interface Pooled {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly conv?: Attributes;
  readonly pool?: Attributes;
  readonly symbols?: readonly (string | undefined)[];
  /** Of the tile: warpsX, warpsY, warpsN, rows, passes, columns. */
  readonly tile?: readonly [number, number, number, number, number, number];
  /** Default: no. */
  readonly warpgroups?: boolean;
  readonly bias?: boolean;
  readonly activate?: (b: GraphBuilder, y: Value) => Value;
  /** Default: as it is convolved. */
  readonly pixels?: { readonly dtype: DType; readonly scale: number };
}

const usualConv: Attributes = { pads: [3, 3, 3, 3], strides: [2, 2] };
const usualPool: Attributes = { kernelShape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] };
const relu = (b: GraphBuilder, y: Value): Value => b.op('relu', [y]);

function pooled(p: Pooled): Promise<void> {
  const { dtype = 'float16', x, w, conv = usualConv, pool = usualPool, symbols, bias = true, activate = relu } = p;
  const [warpsX, warpsY, warpsN, rows, passes, columns] = p.tile ?? [1, 2, Math.ceil(w[0]! / 32), 1, 2, 4];
  const tactic = p.warpgroups === true ? 'cuda.pooledStem.warpgroups' : 'cuda.pooledStem';
  return compare({
    inputs: [{ dtype: p.pixels?.dtype ?? dtype, dims: x, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const scaled = p.pixels
        ? b.op('cast', [b.op('mul', [b.op('cast', [image], { to: 'float32' }), b.scalar(p.pixels.scale, 'float32')])], {
            to: dtype,
          })
        : image;
      const operands = [scaled, smallWeights(b, dtype, w), ...(bias ? [smallWeights(b, dtype, [w[0]!])] : [])];
      const y = activate(b, b.op('conv', operands, { group: 1, ...conv }));
      return b.op('pool', [y], { kind: 'max', ...pool });
    },
    steps: [tactic],
    pick: (c) => c.tactic === tactic,
    force: { tactic, parameters: { warpsX, warpsY, warpsN, rows, passes, columns } },
  });
}

describe.skipIf(!hasDevice)('pooled stems', () => {
  it.each([
    ['7x7, stride 2, of odd extents', { x: [3, 3, 45, 37], w: [64, 3, 7, 7] }],
    ['7x7, stride 2, of vectors', { x: [2, 3, 50, 72], w: [64, 3, 7, 7] }],
    ['7x7, stride 2, of pairs', { x: [1, 3, 31, 70], w: [32, 3, 7, 7] }],
    ['3x3, stride 2', { x: [1, 3, 43, 64], w: [32, 3, 3, 3], conv: { pads: [1, 1, 1, 1], strides: [2, 2] } }],
    ['3x3', { x: [1, 3, 19, 36], w: [24, 3, 3, 3], conv: { pads: [1, 1, 1, 1] } }],
    ['11x11, stride 4', { x: [1, 3, 83, 64], w: [64, 3, 11, 11], conv: { pads: [2, 2, 2, 2], strides: [4, 4] } }],
    ['5x5 of one channel', { x: [3, 1, 21, 21], w: [6, 1, 5, 5], conv: { pads: [2, 2, 2, 2] } }],
    ['strides of 3', { x: [1, 2, 20, 90], w: [20, 2, 2, 8], conv: { pads: [0, 2, 2, -1], strides: [1, 3] } }],
    ['no bias', { x: [1, 3, 21, 35], w: [21, 3, 3, 3], bias: false, activate: (_: GraphBuilder, y: Value) => y }],
  ] as [string, Pooled][])('convolve %s', (_, p) => pooled(p));

  it.each([
    ['2x2', { kernelShape: [2, 2], strides: [2, 2] }],
    ['3x3 without pads', { kernelShape: [3, 3], strides: [2, 2] }],
    ['3x3 with more at the end', { kernelShape: [3, 3], strides: [2, 2], ceilMode: true }],
    ['2x2 with pads', { kernelShape: [2, 2], strides: [2, 2], pads: [1, 0, 1, 1] }],
    ['rows of their own', { kernelShape: [1, 3], strides: [1, 2], pads: [0, 1, 0, 1] }],
    ['three rows apart', { kernelShape: [5, 2], strides: [3, 2], pads: [2, 0, 2, 0] }],
  ] as [string, Attributes][])('pool %s', (_, pool) => pooled({ x: [2, 3, 39, 46], w: [32, 3, 7, 7], pool }));

  it.each([
    [2, 1, 2, 1, 4, 4],
    [1, 1, 1, 1, 1, 8],
    [4, 1, 1, 1, 2, 8],
    [1, 4, 2, 2, 1, 4],
    [2, 2, 2, 2, 2, 4],
  ] as [number, number, number, number, number, number][])(
    'take tiles of %i by %i by %i warps, %i rows in %i passes, %i columns',
    (...tile) => pooled({ x: [2, 3, 52, 88], w: [64, 3, 7, 7], tile }),
  );

  it.each([
    ['one row at a time', { x: [2, 3, 61, 147], w: [64, 3, 7, 7], tile: [4, 1, 1, 1, 4, 8] }],
    ['two rows at a time, of vectors', { x: [1, 3, 70, 128], w: [64, 3, 7, 7], tile: [4, 2, 1, 2, 2, 8] }],
    ['eight warps beside each other', { x: [1, 3, 33, 232], w: [64, 3, 7, 7], tile: [8, 1, 1, 1, 7, 8] }],
    ['bfloat16', { dtype: 'bfloat16', x: [3, 3, 40, 52], w: [64, 3, 7, 7], tile: [4, 1, 1, 1, 2, 8] }],
    ['channels to fill up', { x: [1, 3, 35, 60], w: [21, 3, 7, 7], tile: [4, 1, 1, 2, 1, 4] }],
    ['128 channels', { x: [1, 3, 35, 60], w: [128, 3, 7, 7], tile: [4, 1, 1, 1, 2, 16] }],
    ['3x3', { x: [1, 4, 27, 66], w: [32, 4, 3, 3], conv: { pads: [1, 1, 1, 1] }, tile: [4, 1, 1, 1, 3, 4] }],
    [
      'windows that do not overlap',
      {
        x: [1, 3, 50, 130],
        w: [64, 3, 7, 7],
        pool: { kernelShape: [2, 2], strides: [2, 2] },
        tile: [4, 2, 1, 2, 2, 8],
      },
    ],
    [
      'extents that only the run knows',
      { x: [2, 3, 45, 38], w: [64, 3, 7, 7], symbols: ['n', undefined, 'h', 'w'], tile: [4, 1, 1, 1, 4, 8] },
    ],
  ] as [string, Pooled][])('multiply by warpgroups: %s', (_, p) => pooled({ ...p, warpgroups: true }));

  it('compute bfloat16', () => pooled({ dtype: 'bfloat16', x: [1, 3, 33, 40], w: [32, 3, 7, 7] }));

  it('take extents that only the run knows', () =>
    pooled({ x: [2, 3, 45, 38], w: [32, 3, 5, 5], symbols: ['n', undefined, 'h', 'w'] }));

  it('take images whose number only the run knows', () =>
    pooled({ x: [3, 3, 40, 48], w: [40, 3, 7, 7], symbols: ['n'] }));

  it('read pixels of another type through maps', () =>
    pooled({ x: [2, 3, 41, 60], w: [32, 3, 7, 7], pixels: { dtype: 'uint8', scale: 1 / 255 } }));

  it('pool what falls as its sums rise', () =>
    pooled({ x: [1, 3, 30, 44], w: [24, 3, 7, 7], activate: (b, y) => b.op('neg', [b.op('tanh', [y])]) }));
});
