/** Blocks of squeeze-excite networks whose image is expanded, filtered and summed in one kernel, against their parts. */

import { type DType, elementCount, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, expect, it, vi } from 'vitest';
import { compare, hasDevice } from './compare.js';

// Clusters of blocks; read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[], seed = 7919): Value {
  const numbers = Float64Array.from({ length: elementCount(dims) }, (_, i) => ((((i + 3) * seed) % 31) - 13) / 32);
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}

interface Block {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly expanded: number;
  readonly taps: number;
  readonly stride?: number;
  readonly symbols?: readonly (string | undefined)[];
  readonly shape?: Readonly<Record<string, number>>;
}

async function run({ dtype = 'float16', x, expanded, taps, stride = 1, symbols, shape = {} }: Block): Promise<void> {
  const offered = new Set<string>();
  const pad = (taps - 1) / 2;
  const tactic = 'cuda.expandedExcitation';
  const pixels = x.slice(2).reduce((p, d) => p * (Math.floor((d - 1) / stride) + 1), 1);
  await compare({
    inputs: [{ dtype, dims: x, fill: (i) => ((i * 7919) % 1000) / 700, ...(symbols && { symbols }) }],
    graph: (b, image) => {
      const single = (v: Value, outputs: number, inputs: number): Value =>
        b.op('conv', [v, constant(b, dtype, [outputs, inputs, 1, 1], 7907 + outputs), constant(b, dtype, [outputs])], {
          group: 1,
        });
      const wide = single(image, expanded, x[1]!);
      const filtered = b.op(
        'conv',
        [
          b.op('mul', [wide, b.op('sigmoid', [wide])]),
          constant(b, dtype, [expanded, 1, taps, taps]),
          constant(b, dtype, [expanded]),
        ],
        { group: expanded, strides: [stride, stride], pads: [pad, pad, pad, pad] },
      );
      const y = b.op('relu', [filtered]);
      const sum = b.op('reduce', [y], { monoid: 'sum', axes: [2, 3], keepdims: true, to: 'float32' });
      const mean = b.op('cast', [b.op('div', [sum, b.scalar(pixels, 'float32')])], { to: dtype });
      const up = b.op('sigmoid', [single(b.op('relu', [single(mean, 10, expanded)]), expanded, 10)]);
      return b.op('conv', [b.op('mul', [up, y]), constant(b, dtype, [24, expanded, 1, 1])], { group: 1 });
    },
    tolerance: dtype === 'float16' ? 5e-3 : 4e-2,
    steps: [tactic, 'cuda.contraction.tensor'],
    pick: ({ tactic: name }) => {
      offered.add(name.split('.')[1]!);
      return !name.startsWith('cuda.hopper');
    },
    force: { tactic, parameters: shape },
  });
  // Its first two convolutions are a problem of their own, which no other tactic may take for the chain's.
  expect(offered).not.toContain('invertedResidual');
}

const plain = {
  ...{
    tileY: 8,
    tileX: 8,
    warps: 4,
    warpsDown: 1,
    rows: 1,
    columns: 2,
    run: 8,
    chunk: 32,
    stages: 2,
    splits: 1,
  },
  parts: 1,
};

describe.skipIf(!hasDevice)('an expanded image that excites', () => {
  it.each([
    plain,
    { ...plain, tileY: 7, tileX: 7, run: 7, warps: 8, chunk: 48, splits: 2, stages: 1, parts: 4 },
    { ...plain, tileY: 2, tileX: 7, run: 7, splits: 3, stages: 1 },
    { ...plain, tileX: 16, chunk: 16, stages: 3, parts: 2 },
  ])('cut as %j', (shape) => run({ x: [2, 16, 11, 13], expanded: 96, taps: 3, shape }));

  it.each([
    ['windows of five', { x: [2, 24, 10, 7], expanded: 72, taps: 5 }],
    ['windows of five and a stride of two', { x: [3, 24, 11, 8], expanded: 64, taps: 5, stride: 2 }],
    ['bfloat16', { dtype: 'bfloat16', x: [1, 16, 8, 9], expanded: 64, taps: 3 }],
    ['channels that fill no chunk', { x: [1, 8, 9, 9], expanded: 40, taps: 3 }],
    ['images known at run time', { x: [3, 16, 6, 7], expanded: 64, taps: 3, symbols: ['n'] }],
  ] as [string, Block][])('computes %s', (_, block) => run(block));
});
