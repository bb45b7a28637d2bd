import { ConstantData, type DType, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { native } from '../src/native.js';
import { compare, hasDevice, type Input } from './compare.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[]): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  const isInteger = dtype.includes('int');
  const values = Float64Array.from({ length: count }, (_, i) => {
    const n = (i * 7919 + 13) % 1009;
    return isInteger ? (dtype === 'uint8' ? n % 256 : (n % 255) - 127) : n / 504 - 1;
  });
  return b.constant(ConstantData.of(tensorFromNumbers(dtype, values, dims)));
}

const usual = { together: 1, turns: 1, stages: 3, splits: 1, shares: 1, blocks: 1, swapped: 0, permuted: 1, span: 128 };
type Shape = Partial<typeof usual> & { rows: number; columns: number };
const swapped = { swapped: 1, permuted: 0 };

function run(
  shape: Shape,
  inputs: readonly Input[],
  graph: (b: GraphBuilder, ...v: Value[]) => Value,
  tolerance?: number,
): Promise<void> {
  const force = { tactic: 'cuda.hopper', parameters: { ...usual, ...shape } };
  return compare({ inputs, graph, force, ...(tolerance !== undefined && { tolerance }) });
}

function product(dtype: DType, shape: Shape, x: readonly number[], w: readonly number[]): Promise<void> {
  return run(shape, [{ dtype, dims: x }], (b, v) =>
    b.op('dot', [v, constant(b, dtype, w)], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
  );
}

const shapes: readonly Shape[] = [
  { rows: 64, columns: 32 },
  { rows: 64, columns: 64, turns: 2, stages: 4 },
  { rows: 128, columns: 96, together: 2 },
  { rows: 128, columns: 64, turns: 2 },
  { rows: 256, columns: 32, together: 2, stages: 2 },
  { rows: 64, columns: 64, splits: 2 },
  { rows: 128, columns: 32, together: 2, splits: 4 },
  { rows: 64, columns: 16, ...swapped },
  { rows: 128, columns: 24, together: 2, splits: 2, ...swapped },
  { rows: 64, columns: 32, shares: 2 },
  { rows: 64, columns: 64, turns: 2, shares: 4 },
  { rows: 128, columns: 96, together: 2, shares: 3 },
  { rows: 64, columns: 64, splits: 2, shares: 4, stages: 2 },
  { rows: 64, columns: 16, shares: 2, ...swapped },
  { rows: 64, columns: 32, splits: 4, shares: 2, stages: 8, ...swapped },
];

interface Convolution {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attributes?: Record<string, unknown>;
  readonly shape?: Partial<Shape>;
}

const convolutions: readonly [string, Convolution][] = [
  ['3 by 3', { x: [2, 64, 9, 7], w: [40, 64, 3, 3], attributes: { pads: [1, 1, 1, 1] } }],
  ['with strides', { x: [2, 72, 11, 12], w: [48, 72, 3, 3], attributes: { pads: [1, 1, 0, 1], strides: [2, 3] } }],
  ['with dilations', { x: [1, 80, 14, 12], w: [33, 80, 3, 2], attributes: { pads: [2, 0, 2, 1], dilations: [2, 3] } }],
  ['1 by 1', { x: [2, 96, 7, 7], w: [64, 96, 1, 1], shape: { rows: 128, together: 2 } }],
  ['shared filters', { x: [2, 64, 9, 7], w: [40, 64, 3, 3], shape: { shares: 2, splits: 2 } }],
  ['filters shared beyond the image', { x: [1, 64, 11, 9], w: [70, 64, 3, 3], shape: { shares: 4, turns: 2 } }],
  ['1 by 1 with strides', { x: [3, 64, 9, 8], w: [64, 64, 1, 1], attributes: { strides: [2, 2] } }],
  ['few channels', { x: [2, 24, 9, 9], w: [32, 24, 3, 3], shape: { span: 64 } }],
  ['fewer channels', { x: [2, 8, 9, 9], w: [32, 8, 5, 5], attributes: { pads: [2, 2, 2, 2] }, shape: { span: 32 } }],
  // Of narrow lines the ring is smaller than the sums that take its place.
  ['few channels, split', { x: [2, 8, 9, 9], w: [32, 8, 5, 5], shape: { span: 32, splits: 2, stages: 2 } }],
  ['few channels, shared', { x: [2, 8, 9, 9], w: [32, 8, 5, 5], shape: { span: 32, splits: 2, shares: 2 } }],
  ['swapped', { x: [1, 128, 7, 7], w: [200, 128, 3, 3], shape: { columns: 56, ...swapped, splits: 4 } }],
  ['one axis', { x: [2, 64, 50], w: [64, 64, 5], attributes: { pads: [2, 2], strides: [2], dilations: [1] } }],
  [
    'three axes',
    {
      x: [2, 64, 4, 5, 6],
      w: [32, 64, 2, 3, 3],
      attributes: { pads: [0, 1, 1, 1, 1, 0], strides: [1, 2, 1], dilations: [1, 1, 1] },
      shape: { turns: 2 },
    },
  ],
];

describe.skipIf(!hasDevice || !isHopper())('products of warpgroups', () => {
  it.each(shapes)('float16, %j', (shape) => product('float16', shape, [150, 456], [456, 104]));
  it.each(['int8', 'uint8'] as const)('%s', (dtype) =>
    product(dtype, { rows: 64, columns: 64, turns: 2 }, [70, 208], [208, 136]),
  );
  it('int8, exchanged and split', () =>
    product('int8', { rows: 64, columns: 16, ...swapped, splits: 2, shares: 2 }, [15, 528], [528, 136]));
  it.each([
    { rows: 64, columns: 64 },
    { rows: 64, columns: 32, splits: 2, shares: 2 },
  ])('tf32, %j', (shape) =>
    run(
      shape,
      [{ dtype: 'float32', dims: [70, 200] }],
      (b, v) => b.op('dot', [v, constant(b, 'float32', [200, 72])], { lhs: 'mk', rhs: 'kn', out: 'mn', tf32: true }),
      2e-3,
    ),
  );
  it('bfloat16', () => product('bfloat16', { rows: 64, columns: 64, turns: 2 }, [70, 200], [200, 130]));
  it.each([{ shares: 2 }, { splits: 2, shares: 2 }, { shares: 4, turns: 2, stages: 4 }])(
    'of rows known at run time, %j',
    (shape) =>
      compare({
        inputs: [{ dtype: 'float16', dims: [90, 200], symbols: ['m', undefined] }],
        least: 1,
        graph: (b, v) => b.op('dot', [v, constant(b, 'float16', [200, 136])], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
        force: { tactic: 'cuda.hopper', parameters: { ...usual, rows: 64, columns: 64, ...shape } },
      }),
  );
  it('of one column', () => product('float16', { rows: 64, columns: 32 }, [70, 200], [200, 1]));
  it('shallow', () => product('float16', { rows: 128, columns: 32, together: 2, stages: 8 }, [300, 8], [8, 70]));

  it.each([
    { rows: 64, columns: 32 },
    { rows: 64, columns: 64, turns: 2 },
    { rows: 64, columns: 32, splits: 2 },
  ])('with a residual and a bias, %j', (shape) =>
    run(
      shape,
      [
        { dtype: 'float16', dims: [2, 50, 136] },
        { dtype: 'float16', dims: [2, 50, 72] },
      ],
      (b, x, r) => {
        const y = b.op('dot', [x, constant(b, 'float16', [136, 72])], { lhs: 'bmk', rhs: 'kn', out: 'bmn' });
        return b.op('relu', [b.op('add', [b.op('add', [y, constant(b, 'float16', [72])]), r])]);
      },
    ),
  );

  it.each([
    ['bmk', 'bnk', { rows: 64, columns: 24, permuted: 0 }],
    ['mbk', 'nbk', { rows: 64, columns: 32, permuted: 0, splits: 2 }],
    ['bmk', 'bnk', { rows: 64, columns: 32, permuted: 0, shares: 2 }],
  ])('batches of %s by %s', (lhs, rhs, shape) => {
    const extents: Record<string, number> = { b: 3, m: 70, n: 40, k: 72 };
    const dims = (labels: string): number[] => [...labels].map((l) => extents[l]!);
    return run(
      shape,
      [
        { dtype: 'float16', dims: dims(lhs) },
        { dtype: 'float16', dims: dims(rhs) },
      ],
      (b, x, y) => b.op('dot', [x, y], { lhs, rhs, out: 'bmn' }),
    );
  });

  it.each(convolutions)('convolution %s', (_, { x, w, attributes, shape }) =>
    run({ rows: 64, columns: 64, ...shape }, [{ dtype: 'float16', dims: x }], (b, v) =>
      b.op('conv', [v, constant(b, 'float16', w), constant(b, 'float16', [w[0]!])], {
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0, 0, 0, 0],
        group: 1,
        ...attributes,
      }),
    ),
  );
});
