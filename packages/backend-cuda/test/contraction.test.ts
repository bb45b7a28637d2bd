import { type Attributes, type DType } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { simtTiles, tensorTiles } from '../src/tactics/contraction/tiles.js';
import { compare, type Comparison, hasDevice } from './compare.js';
import { smallWeights } from './support/small-weights.js';

interface Product {
  readonly dtype: DType;
  readonly labels: readonly [lhs: string, rhs: string, out: string];
  readonly extents: Readonly<Record<string, number>>;
  readonly constant?: boolean;
  readonly symbols?: readonly string[];
  readonly force?: Comparison['force'];
}

function product({ dtype, labels, extents, constant, symbols, force }: Product): Promise<void> {
  const [lhs, rhs, out] = labels;
  const input = (side: string) => ({
    dtype,
    dims: [...side].map((l) => extents[l]!),
    symbols: [...side].map((l) => (symbols?.includes(l) === true ? l : undefined)),
  });
  const [left, right] = [input(lhs), input(rhs)];
  return compare({
    inputs: constant === true ? [left] : [left, right],
    graph: (b, x, y) => b.op('dot', [x, y ?? smallWeights(b, dtype, right.dims)], { lhs, rhs, out }),
    ...(force && { force }),
  });
}

interface Convolution {
  readonly op?: 'conv' | 'convTranspose';
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attributes?: Attributes;
  readonly symbols?: readonly (string | undefined)[];
  readonly computed?: boolean;
  readonly force?: Comparison['force'];
}

function convolve(c: Convolution): Promise<void> {
  const { op = 'conv', dtype = 'float16', x, w, attributes = {}, symbols, computed, force } = c;
  const group = (attributes['group'] as number | undefined) ?? 1;
  const biasType = dtype === 'int8' ? 'int32' : dtype;
  const outputs = op === 'conv' ? w[0]! : w[1]! * group;
  return compare({
    inputs: [{ dtype, dims: x, ...(symbols && { symbols }) }, ...(computed === true ? [{ dtype, dims: w }] : [])],
    graph: (b, image, filter) =>
      b.op(op, [image, filter ?? smallWeights(b, dtype, w), smallWeights(b, biasType, [outputs])], {
        group,
        ...attributes,
      }),
    ...(force && { force }),
  });
}

const matrices = ['mk', 'kn', 'mn'] as const;

describe.skipIf(!hasDevice)('dot', () => {
  it.each(['float16', 'bfloat16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64'] as const)(
    'multiplies %s of odd extents',
    (dtype) => product({ dtype, labels: matrices, extents: { m: 33, k: 130, n: 7 } }),
  );

  it.each([
    ['float16', 1],
    ['float16', 7],
    ['float16', 132],
    ['int8', 36],
    ['float32', 130],
  ] as const)('multiplies transposed %s of depth %i', (dtype, k) =>
    product({ dtype, labels: ['km', 'nk', 'mn'], extents: { m: 40, k, n: 24 } }),
  );

  it.each([
    [['bqhd', 'bkhd', 'bhqk'], { b: 2, q: 7, h: 3, d: 8, k: 9 }],
    [['bhqk', 'bkhd', 'bqhd'], { b: 2, q: 7, h: 3, d: 16, k: 8 }],
    [['bsxy', 'xyhe', 'bshe'], { b: 2, s: 5, x: 4, y: 6, h: 3, e: 8 }],
    [['mk', 'kn', 'nm'], { m: 33, k: 8, n: 5 }],
    [['mkb', 'knb', 'mnb'], { m: 5, k: 6, n: 9, b: 7 }],
    [['k', 'k', ''], { k: 100 }],
    [['m', 'n', 'mn'], { m: 20, n: 31 }],
    [['mk', 'kn', 'mn'], { m: 5, k: 0, n: 9 }],
    [['mk', 'kn', 'mn'], { m: 0, k: 4, n: 9 }],
  ] as [Product['labels'], Product['extents']][])('multiplies over labels %j', (labels, extents) =>
    product({ dtype: 'float16', labels, extents }),
  );

  it.each([
    ['float16', 'm'],
    ['float16', 'k'],
    ['float32', 'mkn'],
  ] as const)('multiplies %s with extents %s known at run time', (dtype, symbols) =>
    product({ dtype, labels: matrices, extents: { m: 33, k: 70, n: 24 }, symbols: symbols.split('') }),
  );

  it.each(tensorTiles.map((_, i) => i))('multiplies with tile %i of the tensor cores', (i) =>
    product({
      dtype: 'float16',
      labels: matrices,
      extents: { m: 140, k: 200, n: 136 },
      constant: i % 2 === 0,
      force: { tactic: 'cuda.contraction.tensor', parameters: { ...tensorTiles[i]!, splits: (i % 3) + 1 } },
    }),
  );

  it.each(simtTiles.map((_, i) => i))('multiplies with tile %i of ordinary arithmetic', (i) =>
    product({
      dtype: 'float32',
      labels: matrices,
      extents: { m: 70, k: 100, n: 68 },
      constant: i % 2 === 0,
      force: { tactic: 'cuda.contraction.simt', parameters: { ...simtTiles[i]!, splits: (i % 3) + 1 } },
    }),
  );

  it.each([
    ['float16', { m: 1, k: 130, n: 33 }, { columns: 1, warpsDeep: 1 }],
    ['float32', { m: 3, k: 1000, n: 65 }, { columns: 2, warpsDeep: 4 }],
    ['int8', { m: 8, k: 64, n: 7 }, { columns: 1, warpsDeep: 8 }],
    ['float16', { m: 65, k: 64, n: 2 }, { columns: 4, warpsDeep: 1 }],
  ] as const)('streams %s of extents %j', (dtype, extents, parameters) =>
    product({ dtype, labels: ['mk', 'nk', 'mn'], extents, force: { tactic: 'cuda.gemv', parameters } }),
  );

  it('multiplies unsigned by signed bytes', () =>
    compare({
      inputs: [
        { dtype: 'uint8', dims: [33, 70], fill: (i) => (i * 37) % 256 },
        { dtype: 'int8', dims: [70, 24] },
      ],
      graph: (b, x, y) => b.op('dot', [x, y], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
    }));

  it('rounds operands to tf32 where that is asked for', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [33, 70] },
        { dtype: 'float32', dims: [70, 24] },
      ],
      graph: (b, x, y) => b.op('dot', [x, y], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
      force: { tactic: 'cuda.contraction', parameters: { ...tensorTiles[6]!, splits: 1 } },
      tolerance: 1e-3,
    }));

  it('applies the maps that follow', () =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [33, 64] },
        { dtype: 'float16', dims: [40] },
        { dtype: 'float16', dims: [33, 40] },
        { dtype: 'float16', dims: [33, 1] },
      ],
      graph: (b, x, bias, residual, scale) => {
        const sum = b.op('dot', [x, smallWeights(b, 'float16', [64, 40])], { lhs: 'mk', rhs: 'kn', out: 'mn' });
        return b.op('mul', [b.op('add', [b.op('add', [sum, bias]), residual]), scale]);
      },
      // The reference rounds after every operation.
      tolerance: 3e-3,
    }));
});

describe.skipIf(!hasDevice)('conv', () => {
  const same = { pads: [1, 1, 1, 1] };

  it.each(['float16', 'float32', 'int8'] as const)('convolves %s', (dtype) =>
    convolve({ dtype, x: [2, 16, 9, 7], w: [24, 16, 3, 3], attributes: same }),
  );

  it.each([
    ['one tap', [2, 16, 5, 7], [24, 16, 1, 1], {}],
    ['strides', [2, 16, 5, 7], [24, 16, 1, 1], { strides: [2, 2] }],
    ['uneven pads', [1, 16, 9, 7], [24, 16, 3, 3], { pads: [0, 2, 1, 0], strides: [2, 1], dilations: [1, 2] }],
    ['negative pads', [1, 16, 9, 7], [8, 16, 3, 2], { pads: [-1, 0, 0, -1] }],
    ['odd channels', [1, 6, 9, 9], [7, 6, 3, 3], same],
    ['one axis', [2, 8, 30], [12, 8, 5], { pads: [2, 2] }],
    ['three axes', [1, 8, 5, 6, 7], [16, 8, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1], strides: [1, 2, 1] }],
    ['narrow groups', [2, 16, 6, 6], [24, 4, 3, 3], { ...same, group: 4 }],
    ['wide groups', [1, 96, 5, 5], [96, 48, 3, 3], { ...same, group: 2 }],
    ['two filters a channel', [1, 8, 9, 6], [16, 1, 3, 3], { ...same, group: 8 }],
  ] as [string, number[], number[], Attributes][])('convolves with %s', (_, x, w, attributes) =>
    convolve({ x, w, attributes }),
  );

  it('convolves with computed weights', () =>
    convolve({ x: [1, 16, 6, 6], w: [8, 16, 3, 3], attributes: same, computed: true }));

  it('convolves images of extents known at run time', () =>
    convolve({ x: [2, 8, 9, 7], w: [16, 8, 3, 3], attributes: same, symbols: ['n', undefined, 'h', 'w'] }));

  it.each([
    ['float16', [2, 3, 19, 17], [16, 3, 7, 7], { pads: [3, 3, 3, 3], strides: [2, 2] }, 1],
    ['int8', [1, 4, 19, 17], [20, 4, 5, 5], { pads: [1, 0, 3, 3], strides: [1, 3], dilations: [2, 1] }, 2],
    ['bfloat16', [2, 1, 70], [20, 1, 9], { pads: [1, 0] }, 1],
    ['float16', [2, 3, 40, 56], [24, 3, 8, 8], { strides: [8, 8] }, 2],
    ['float16', [1, 3, 35, 37], [40, 3, 16, 16], { strides: [16, 16] }, 1],
  ] as [DType, number[], number[], Attributes, number][])('convolves stems of %s', (dtype, x, w, attributes, splits) =>
    convolve({ dtype, x, w, attributes, force: { tactic: 'cuda.contraction.stem', parameters: { splits } } }),
  );

  it.each([
    ['float16', [2, 16, 9, 6], [16, 1, 3, 3], { ...same, group: 16 }, 4],
    ['float32', [2, 24, 9, 6], [24, 1, 3, 3], { ...same, group: 24, strides: [2, 2] }, 2],
    ['int8', [1, 9, 12, 11], [9, 1, 5, 5], { pads: [2, 2, 2, 3], group: 9, dilations: [2, 1] }, 8],
    ['float16', [1, 4, 12, 21], [4, 1, 3, 3], { pads: [0, 2, 2, -1], group: 4, dilations: [1, 3], strides: [1, 2] }, 4],
    ['float16', [2, 8, 30], [8, 1, 5], { pads: [2, 2], group: 8 }, 1],
    ['float32', [1, 8, 5, 6, 7], [8, 1, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1], strides: [1, 2, 1], group: 8 }, 4],
  ] as [DType, number[], number[], Attributes, number][])(
    'filters channels of %s %j with %j',
    (dtype, x, w, attributes, run) =>
      convolve({ dtype, x, w, attributes, force: { tactic: 'cuda.depthwise.rows', parameters: { run } } }),
  );
});

describe.skipIf(!hasDevice)('convTranspose', () => {
  it.each([
    ['unit strides', [1, 8, 5, 6], [8, 8, 3, 3], { pads: [1, 1, 1, 1] }],
    ['strides', [2, 8, 5, 6], [8, 16, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], outputPadding: [1, 1] }],
    ['windows side by side', [1, 8, 5, 6], [8, 8, 2, 2], { strides: [2, 2] }],
    ['dilations', [1, 8, 4, 5], [8, 4, 4, 3], { strides: [3, 2], dilations: [2, 2], pads: [0, 1, 2, 0], group: 2 }],
    ['one axis', [2, 8, 9], [8, 8, 4], { strides: [4], pads: [1, 1] }],
  ] as [string, number[], number[], Attributes][])('convolves with %s', (_, x, w, attributes) =>
    convolve({ op: 'convTranspose', x, w, attributes }),
  );

  it('convolves with computed weights', () =>
    convolve({
      op: 'convTranspose',
      dtype: 'float32',
      x: [1, 8, 4, 5],
      w: [8, 4, 4, 3],
      attributes: { strides: [3, 2], pads: [0, 1, 2, 0] },
      computed: true,
    }));
});
