/** Blocks of mobile networks as one step, against their convolutions one by one. */

import { type DType, elementCount, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { compare, hasDevice } from './compare.js';

// Clusters of blocks; read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[], seed: number, scale = 1): Value {
  const numbers = Float64Array.from(
    { length: elementCount(dims) },
    (_, i) => (((((i + 3) * seed) % 31) - 15) / 16) * scale,
  );
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}

interface Block {
  readonly dtype?: DType;
  readonly x: readonly number[];
  /** Default: none, the image itself is filtered. */
  readonly expanded?: number;
  readonly outputs: number;
  readonly taps?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly activation?: 'relu6' | 'silu';
  readonly symbols?: readonly (string | undefined)[];
  readonly shape?: Readonly<Record<string, number>>;
}

function run(block: Block): Promise<void> {
  const { dtype = 'float16', x, expanded, outputs, taps = 3, stride = 1, dilation = 1, symbols, shape = {} } = block;
  const { bias = true, residual = false, activation = 'relu6' } = block;
  const channels = expanded ?? x[1]!;
  const tactic = 'cuda.invertedResidual';
  return compare({
    inputs: [{ dtype, dims: x, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const conv = (v: Value, dims: readonly number[], scale: number, attributes: Record<string, unknown>): Value => {
        const biases = bias ? constant(b, dtype, [dims[0]!], 7907, 0.5) : undefined;
        return b.op('conv', [v, constant(b, dtype, dims, 7919, scale), biases], attributes as never);
      };
      const activate = (v: Value): Value =>
        activation === 'silu'
          ? b.op('mul', [v, b.op('sigmoid', [v])])
          : b.op('min', [b.op('max', [v, b.scalar(0, dtype)]), b.scalar(6, dtype)]);
      const wide =
        expanded === undefined
          ? image
          : activate(conv(image, [channels, x[1]!, 1, 1], 4 / Math.sqrt(x[1]!), { group: 1 }));
      const pad = ((taps - 1) / 2) * dilation;
      const filtered = activate(
        conv(wide, [channels, 1, taps, taps], 2 / taps, {
          group: channels,
          strides: [stride, stride],
          dilations: [dilation, dilation],
          pads: [pad, pad, pad, pad],
        }),
      );
      const projected = conv(filtered, [outputs, channels, 1, 1], 1 / Math.sqrt(channels), { group: 1 });
      return residual ? b.op('add', [projected, image]) : projected;
    },
    // What the reference rounds in between may be rounded the other way.
    tolerance: dtype === 'float16' ? 3e-3 : 2e-2,
    steps: [tactic],
    force: { tactic, parameters: shape },
  });
}

const plain = {
  ...{
    tileY: 8,
    tileX: 8,
    warps: 4,
    warpsDown: 2,
    rows: 1,
    columns: 2,
    run: 8,
    chunk: 32,
    stages: 2,
    splits: 1,
  },
};

describe.skipIf(!hasDevice)('an inverted residual', () => {
  it.each([
    plain,
    { ...plain, tileY: 4, rows: 2, run: 4 },
    { ...plain, tileX: 7, tileY: 7, run: 7, warps: 8, warpsDown: 4, columns: 4, splits: 2 },
    { ...plain, tileY: 2, tileX: 14, run: 7, warps: 8, warpsDown: 1, stages: 3 },
    { ...plain, chunk: 48, stages: 2, columns: 2, rows: 2, warps: 8, warpsDown: 4, splits: 2 },
    { ...plain, chunk: 96, stages: 1, columns: 4, splits: 1 },
    { ...plain, tileY: 2, tileX: 7, run: 7, warpsDown: 1, chunk: 32, stages: 1, splits: 3 },
    { ...plain, chunk: 16, stages: 3, splits: 4 },
  ])('cut as %j', (shape) => run({ x: [2, 16, 11, 13], expanded: 96, outputs: 24, shape }));

  it.each([
    ['a residual', { x: [3, 24, 7, 9], expanded: 144, outputs: 24, residual: true }],
    ['a stride of two', { x: [3, 24, 9, 13], expanded: 144, outputs: 32, stride: 2 }],
    ['an even extent and a stride of two', { x: [1, 16, 14, 12], expanded: 96, outputs: 24, stride: 2 }],
    ['few pixels of many channels', { x: [1, 96, 7, 7], expanded: 576, outputs: 96, residual: true }],
    ['windows of five', { x: [2, 24, 10, 7], expanded: 72, outputs: 40, taps: 5 }],
    ['windows of five and a stride of two', { x: [1, 24, 11, 8], expanded: 72, outputs: 40, taps: 5, stride: 2 }],
    ['dilated windows', { x: [1, 16, 12, 9], expanded: 64, outputs: 16, dilation: 2, residual: true }],
    ['bfloat16', { dtype: 'bfloat16', x: [2, 16, 8, 9], expanded: 96, outputs: 16, residual: true }],
    ['no biases', { x: [2, 16, 8, 9], expanded: 64, outputs: 16, bias: false }],
    ['another activation', { x: [1, 16, 8, 9], expanded: 64, outputs: 16, activation: 'silu' }],
    ['channels that fill no chunk', { x: [1, 8, 9, 9], expanded: 40, outputs: 8 }],
    ['images known at run time', { x: [3, 16, 6, 7], expanded: 96, outputs: 16, symbols: ['n'] }],
    [
      'extents known at run time',
      { x: [2, 16, 9, 10], expanded: 64, outputs: 16, symbols: ['n', undefined, 'h', 'w'] },
    ],
    ['one pixel', { x: [2, 16, 1, 1], expanded: 64, outputs: 16, residual: true }],
  ] as [string, Block][])('computes %s', (_, block) => run(block));
});

describe.skipIf(!hasDevice)('a convolution of every channel and a projection', () => {
  it.each([
    ['a block without an expansion', { x: [2, 32, 12, 11], outputs: 16 }],
    ['a stride of two', { x: [3, 64, 13, 9], outputs: 128, stride: 2 }],
    ['bfloat16', { dtype: 'bfloat16', x: [1, 48, 8, 9], outputs: 48, residual: true }],
    ['windows of five', { x: [1, 40, 10, 7], outputs: 24, taps: 5 }],
    ['splits', { x: [1, 96, 9, 9], outputs: 24, shape: { ...plain, splits: 3, stages: 1 } }],
    ['three stages', { x: [1, 96, 9, 9], outputs: 24, shape: { ...plain, chunk: 16, stages: 3 } }],
  ] as [string, Block][])('computes %s', (_, block) => run(block));
});
