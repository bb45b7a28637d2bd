/** Squeeze and excite as one step, against its operators one by one. */

import { type DType, elementCount, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { compare, hasDevice } from './compare.js';

// Clusters of blocks; read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[], seed = 7919): Value {
  const numbers = Float64Array.from({ length: elementCount(dims) }, (_, i) => ((((i + 3) * seed) % 31) - 15) / 32);
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}

interface Block {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly hidden: number;
  readonly hard?: boolean;
  readonly bias?: boolean;
  readonly symbols?: readonly (string | undefined)[];
  readonly sharing?: Readonly<Record<string, number>>;
}

function mean(b: GraphBuilder, x: Value, pixels: number): Value {
  const axes = [2, 3].slice(0, x.type.kind === 'tensor' ? x.type.dims!.length - 2 : 0);
  const sum = b.op('reduce', [x], { monoid: 'sum', axes, keepdims: true, to: 'float32' });
  return b.op('div', [sum, b.scalar(pixels, 'float32')]);
}

function excite({ dtype = 'float16', x, hidden, hard, bias = true, symbols, sharing = {} }: Block): Promise<void> {
  const channels = x[1]!;
  return compare({
    // All positive: a mean of nothing but noise would be as small as its error.
    inputs: [{ dtype, dims: x, fill: (i) => ((i * 7919) % 1000) / 700, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const squeezed = b.op('cast', [mean(b, image, elementCount(x.slice(2)))], { to: dtype });
      const ones = x.slice(2).map(() => 1);
      const layer = (v: Value, outputs: number, inputs: number): Value =>
        b.op(
          'conv',
          [
            v,
            constant(b, dtype, [outputs, inputs, ...ones], 7907 + outputs),
            bias ? constant(b, dtype, [outputs]) : undefined,
          ],
          { group: 1 },
        );
      const down = layer(squeezed, hidden, channels);
      const inner = hard === true ? b.op('relu', [down]) : b.op('mul', [down, b.op('sigmoid', [down])]);
      const up = layer(inner, channels, hidden);
      return b.op(hard === true ? 'hardSigmoid' : 'sigmoid', [up]);
    },
    // What the reference rounds in between is not rounded.
    tolerance: dtype === 'float32' ? 1e-5 : dtype === 'float16' ? 3e-3 : 2e-2,
    steps: ['cuda.excitation'],
    force: { tactic: 'cuda.excitation', parameters: sharing },
  });
}

interface Pooled {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly taps: number;
  readonly strides?: readonly number[];
  readonly symbols?: readonly (string | undefined)[];
  /** Default: on tensor cores. */
  readonly variant?: 'rows' | 'tensor';
  readonly parameters?: Readonly<Record<string, number>>;
}

/** A depthwise convolution, its excitation, and what the image is scaled by on its way to a convolution. */
function block(pooled: Pooled): Promise<void> {
  const { dtype = 'float16', x, taps, strides = [1, 1], symbols, variant = 'tensor', parameters = {} } = pooled;
  const tactic = `cuda.pooledExcitation.${variant}`;
  const channels = x[1]!;
  const pad = (taps - 1) / 2;
  const pixels = x.slice(2).reduce((p, d, i) => p * (Math.floor((d - 1) / strides[i]!) + 1), 1);
  return compare({
    inputs: [{ dtype, dims: x, fill: (i) => ((i * 7919) % 1000) / 700, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const weights = constant(b, dtype, [channels, 1, taps, taps]);
      const attributes = { group: channels, strides, pads: [pad, pad, pad, pad] };
      const y = b.op('relu', [b.op('conv', [image, weights, constant(b, dtype, [channels])], attributes)]);
      const squeezed = b.op('cast', [mean(b, y, pixels)], { to: dtype });
      const down = b.op('relu', [b.op('conv', [squeezed, constant(b, dtype, [10, channels, 1, 1])], { group: 1 })]);
      const up = b.op('sigmoid', [b.op('conv', [down, constant(b, dtype, [channels, 10, 1, 1], 31)], { group: 1 })]);
      const scaled = b.op('mul', [up, y]);
      return b.op('conv', [scaled, constant(b, dtype, [24, channels, 1, 1]), constant(b, dtype, [24])], { group: 1 });
    },
    tolerance: dtype === 'float16' ? 4e-3 : 3e-2,
    steps: [tactic, 'cuda.contraction.tensor'],
    pick: ({ tactic }) => !tactic.startsWith('cuda.hopper'),
    force: { tactic, parameters },
  });
}

const tile = { windowsX: 1, windows: 1, patches: 1, images: 2, vectors: 1, parts: 1 };

describe.skipIf(!hasDevice)('a depthwise convolution that sums what it stores', () => {
  it.each([
    tile,
    { ...tile, vectors: 3, parts: 4 },
    { ...tile, patches: 2, images: 1, parts: 8 },
    { ...tile, windows: 2, patches: 2, parts: 2 },
    { ...tile, windowsX: 2, windows: 2, patches: 4, images: 1, vectors: 2, parts: 4 },
  ])('in tiles %j', (parameters) => block({ x: [3, 40, 11, 19], taps: 3, parameters }));

  it.each([
    ['bfloat16', { dtype: 'bfloat16', x: [2, 48, 9, 9], taps: 5 }],
    ['strides', { x: [2, 48, 13, 12], taps: 5, strides: [2, 2] }],
    ['one image', { x: [1, 64, 14, 14], taps: 3 }],
    ['images known at run time', { x: [3, 32, 6, 7], taps: 3, symbols: ['n'] }],
  ] as [string, Pooled][])('%s', (_, shape) => block(shape));

  it.each([
    { run: 4, rounds: 1, parts: 1 },
    { run: 2, rounds: 4, parts: 4 },
    { run: 8, rounds: 2, parts: 8 },
    { run: 1, rounds: 4, parts: 2 },
  ])('in rows %j', (parameters) => block({ x: [3, 40, 11, 19], taps: 3, variant: 'rows', parameters }));

  it.each([
    ['bfloat16', { dtype: 'bfloat16', x: [2, 48, 9, 9], taps: 5 }],
    ['strides', { x: [2, 48, 13, 12], taps: 5, strides: [2, 2] }],
    ['one image', { x: [1, 64, 14, 14], taps: 3 }],
    ['more channels than usual threads', { x: [2, 2056, 4, 4], taps: 3 }],
    ['images known at run time', { x: [3, 32, 6, 7], taps: 3, symbols: ['n'] }],
  ] as [string, Pooled][])('in rows: %s', (_, shape) => block({ ...shape, variant: 'rows' }));
});

describe.skipIf(!hasDevice)('squeeze and excite', () => {
  it.each([
    { parts: 1, sums: 0 },
    { parts: 2, sums: 0 },
    { parts: 4, sums: 0 },
    { parts: 8, sums: 0 },
    { parts: 1, sums: 3 },
    { parts: 4, sums: 5 },
    { parts: 8, sums: 7 },
  ])('shared by %j', (sharing) => excite({ x: [3, 136, 7, 9], hidden: 10, sharing }));

  it.each([
    ['bfloat16', { dtype: 'bfloat16', x: [2, 72, 5, 5], hidden: 6 }],
    ['float32', { dtype: 'float32', x: [2, 72, 5, 5], hidden: 6 }],
    ['float32 without clusters', { dtype: 'float32', x: [2, 70, 5, 5], hidden: 5, sharing: { parts: 1, sums: 2 } }],
    ['hard sigmoids', { x: [2, 64, 6, 6], hidden: 16, hard: true }],
    ['no biases', { x: [2, 64, 6, 6], hidden: 16, bias: false }],
    ['odd channels', { x: [3, 27, 4, 3], hidden: 3, sharing: { parts: 4, sums: 0 } }],
    ['fewer channels than blocks', { x: [2, 6, 9, 5], hidden: 2, sharing: { parts: 8, sums: 0 } }],
    ['fewer pixels than blocks', { x: [5, 48, 2, 1], hidden: 12, sharing: { parts: 8, sums: 0 } }],
    ['many channels', { x: [2, 1152, 3, 3], hidden: 48, sharing: { parts: 8, sums: 0 } }],
    ['weights beyond shared memory', { x: [1, 1152, 3, 3], hidden: 48, sharing: { parts: 1, sums: 0 } }],
    ['more channels than threads', { x: [1, 530, 3, 3], hidden: 9, sharing: { parts: 1, sums: 2 } }],
    ['one axis', { x: [2, 40, 30], hidden: 4 }],
    ['images known at run time', { x: [3, 40, 5, 6], hidden: 4, symbols: ['n'] }],
  ] as [string, Block][])('%s', (_, block) => excite(block));
});
