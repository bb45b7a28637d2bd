import { type Attributes, type DType, type GraphBuilder, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { isHopper } from '../src/tactics/contraction/machine.js';
import { compare, type Comparison, hasDevice, type Input } from './compare.js';
import { smallWeights } from './support/small-weights.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

interface Convolution {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly w: readonly number[];
  /** Extents of the result. */
  readonly out: readonly [number, number];
  readonly attributes?: Attributes;
  readonly symbols?: readonly (string | undefined)[];
  /** rows, columns, down, across, splits */
  readonly tile?: readonly [number, number, number, number, number];
  /** rows, columns, stages, shares, splits: by warpgroups */
  readonly warpgroups?: readonly [number, number, number, number, number];
  readonly bias?: boolean;
  readonly mask?: boolean;
  readonly after?: (b: GraphBuilder, y: Value) => Value;
  /** Whether weights and bias are known at build time. Default: yes. */
  readonly known?: boolean;
  /** What the builder chooses by itself. Default: a product of `tile`. */
  readonly chosen?: string;
}

const tensorTiles = [
  [128, 128, 4, 2, 1],
  [64, 256, 2, 4, 1],
  [128, 64, 4, 2, 2],
  [64, 128, 2, 4, 1],
  [64, 64, 4, 2, 4],
  [32, 256, 1, 8, 1],
  [32, 128, 1, 8, 2],
  [64, 32, 4, 1, 1],
] as const;
const simtTiles = [
  [128, 128, 8, 8, 1],
  [64, 128, 8, 4, 2],
  [64, 64, 4, 4, 1],
  [32, 64, 4, 4, 4],
] as const;

function forced(c: Convolution): NonNullable<Comparison['force']> {
  if (c.warpgroups) {
    const [rows, columns, stages, shares, splits] = c.warpgroups;
    return { tactic: 'cuda.deformProduct.warpgroups', parameters: { rows, columns, stages, shares, splits } };
  }
  const [rows, columns, down, across, splits] = c.tile ?? (c.dtype === 'float32' ? simtTiles[2] : tensorTiles[4]);
  return { tactic: 'cuda.deformProduct', parameters: { rows, columns, down, across, splits } };
}

function convolve(c: Convolution): Promise<void> {
  const { dtype = 'float16', x, w, out, attributes = {}, symbols, bias = true, mask = true, after, known = true } = c;
  const taps = w[2]! * w[3]!;
  const offsets = ((attributes['offsetGroup'] as number | undefined) ?? 1) * taps;
  const spatial = symbols && [symbols[0], undefined, symbols[2], symbols[3]];
  const input = (dims: readonly number[], fill?: (i: number) => number): Input => ({
    dtype,
    dims,
    ...(spatial && { symbols: spatial }),
    ...(fill && { fill }),
  });
  return compare({
    inputs: [
      input(x),
      // Places between pixels and on them, some of them outside of the image.
      input([x[0]!, 2 * offsets, ...out], (i) => ((i * 37) % 41) / 8 - 2.5),
      ...(mask ? [input([x[0]!, offsets, ...out], (i) => ((i * 13) % 16) / 16)] : []),
      ...(known ? [] : [{ dtype, dims: w }]),
    ],
    graph: (b, image, offset, ...more) => {
      const scale = mask ? more[0] : undefined;
      const weights = [
        known ? smallWeights(b, dtype, w) : more.at(-1),
        bias ? smallWeights(b, dtype, [w[0]!]) : undefined,
      ] as const;
      const y = b.op('deformConv', [image, weights[0], offset, weights[1], scale], {
        ...{ group: 1, offsetGroup: 1 },
        ...attributes,
      });
      return after ? after(b, y) : y;
    },
    tolerance: dtype === 'float32' ? 4e-6 : dtype === 'float16' ? 2e-3 : 1.6e-2,
    ...(c.chosen === undefined ? { force: forced(c) } : { steps: [c.chosen] }),
  });
}

const same = { pads: [1, 1, 1, 1] };

/** Of all that a deformable convolution may be, something. */
function someConvolution(seed: number): Convolution {
  let state = seed;
  const below = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
  const pair = (from: number, count: number): [number, number] => [from + below(count), from + below(count)];
  const [group, offsetGroup] = pair(1, 3);
  const channels = group * offsetGroup * (1 + below(24));
  const [kernel, strides, dilations] = [pair(1, 3), pair(1, 2), pair(1, 2)];
  const pads = [...pair(0, 3), ...pair(0, 3)];
  const image = pair(6, 6);
  const out = image.map(
    (n, i) => Math.floor((n + pads[i]! + pads[i + 2]! - dilations[i]! * (kernel[i]! - 1) - 1) / strides[i]!) + 1,
  );
  return {
    x: [1 + below(2), channels, ...image],
    w: [group * (1 + below(40)), channels / group, ...kernel],
    out: out as [number, number],
    attributes: { strides, dilations, pads, group, offsetGroup },
    ...{ bias: below(2) === 1, mask: below(2) === 1 },
  };
}

const problems: readonly (readonly [string, number[], number[], [number, number], Attributes])[] = [
  ['odd channels', [1, 7, 6, 9], [5, 7, 3, 3], [6, 9], same],
  ['2 channels a load', [1, 6, 6, 9], [10, 6, 3, 3], [6, 9], same],
  [
    'strides and a kernel of unequal axes',
    [1, 16, 9, 8],
    [8, 16, 3, 2],
    [5, 7],
    { strides: [2, 1], pads: [1, 0, 1, 0] },
  ],
  ['dilations', [1, 16, 9, 10], [8, 16, 3, 3], [9, 10], { dilations: [2, 3], pads: [2, 3, 2, 3] }],
  ['groups', [1, 96, 5, 6], [40, 48, 3, 3], [5, 6], { ...same, group: 2 }],
  ['deformable groups', [1, 96, 5, 6], [24, 96, 3, 3], [5, 6], { ...same, offsetGroup: 4 }],
  ['groups across deformable groups', [1, 48, 5, 6], [24, 24, 3, 3], [5, 6], { ...same, group: 2, offsetGroup: 3 }],
  ['one filter a channel', [1, 12, 5, 6], [12, 1, 3, 3], [5, 6], { ...same, group: 12, offsetGroup: 2 }],
  ['one tap', [1, 16, 5, 6], [8, 16, 1, 1], [5, 6], {}],
];

describe.skipIf(!hasDevice)('deformable convolutions as products', () => {
  it.each(tensorTiles)('takes tiles of %i x %i by %i x %i warps, %i splits', (...tile) =>
    convolve({ x: [2, 72, 9, 11], w: [136, 72, 3, 3], out: [9, 11], attributes: same, tile }),
  );

  it.each(simtTiles)('takes float32 tiles of %i x %i, %i x %i sums a thread, %i splits', (...tile) =>
    convolve({ dtype: 'float32', x: [2, 40, 9, 11], w: [70, 40, 3, 3], out: [9, 11], attributes: same, tile }),
  );

  it.each(problems)('convolves %s', async (_, x, w, out, attributes) => {
    for (const dtype of ['float16', 'float32'] as const) await convolve({ dtype, x, w, out, attributes });
  });

  it.each([1, 2, 3, 4, 5, 6])('convolves something, number %i', async (seed) => {
    const problem = someConvolution(seed);
    await convolve({ ...problem, dtype: 'float32' });
    await convolve({ ...problem, tile: tensorTiles[seed % tensorTiles.length]! });
    if (isHopper()) await convolve({ ...problem, warpgroups: [64, 64, 4, 1 + (seed % 2), 1] });
  });

  it('computes bfloat16', () =>
    convolve({ dtype: 'bfloat16', x: [1, 24, 7, 5], w: [16, 24, 3, 3], out: [7, 5], attributes: same }));

  it.each([
    [true, false],
    [false, true],
    [false, false],
  ])('with bias %s, mask %s', (bias, mask) =>
    convolve({ x: [1, 16, 7, 5], w: [16, 16, 3, 3], out: [7, 5], attributes: same, bias, mask }),
  );

  it.each([
    ['float16', isHopper() ? 'cuda.deformProduct.warpgroups' : 'cuda.deformProduct', [1, 64, 16, 16], [64, 64, 3, 3]],
    ['float32', 'cuda.deformProduct', [1, 64, 16, 16], [64, 64, 3, 3]],
    ['float32', 'cuda.deformConv', [1, 4, 6, 5], [4, 4, 3, 3]],
  ] as const)('is chosen where it is faster, untimed: %s by %s', (dtype, chosen, x, w) =>
    convolve({ dtype, chosen, x, w, out: [x[2], x[3]], attributes: same }),
  );

  it('computes the maps that follow', () =>
    convolve({
      x: [1, 16, 7, 5],
      w: [16, 16, 3, 3],
      out: [7, 5],
      attributes: same,
      after: (b, y) => b.op('relu', [b.op('mul', [y, smallWeights(b, 'float16', [1, 16, 1, 1])])]),
    }));

  it.each(['rows', 'channelsLast'] as const)('computes single elements to %s', (layout) =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [2, 6, 4, 5] },
        { dtype: 'float32', dims: [2, 18, 4, 5] },
      ],
      graph: (b, x, offset) =>
        b.op('deformConv', [x, smallWeights(b, 'float32', [5, 6, 3, 3]), offset], {
          ...{ group: 1, offsetGroup: 1, pads: [1, 1, 1, 1] },
        }),
      tolerance: 4e-6,
      pick: (c) => c.tactic === 'cuda.deformConv' && c.outputs[0] === layout,
      steps: ['cuda.deformConv'],
    }),
  );

  // The reference's formula is held against ONNX Runtime's by packages/harness/test/plugins-deform-conv.test.ts.
  it.each([
    ['float32', 'deformConv', {}],
    ['float64', 'deformConv', {}],
    ['float32', 'deformProduct', {}],
    ['float16', 'deformProduct', {}],
    ...(isHopper() ? ([['float16', 'deformProduct.warpgroups', { splits: 1 }]] as const) : []),
  ] as const)('takes infinite pixels and places that are none, in %s by %s', (dtype, tactic, parameters) => {
    const places = [0, 0.5, -1, NaN, 0, Infinity, 1, -0.5, -Infinity, 6e4, 0.25];
    return compare({
      inputs: [
        { dtype, dims: [1, 16, 4, 5], fill: (i) => (i < 20 && i % 9 === 7 ? Infinity : (i % 5) - 2) },
        { dtype, dims: [1, 2, 4, 5], fill: (i) => places[i % places.length]! },
      ],
      graph: (b, x, offset) =>
        b.op('deformConv', [x, smallWeights(b, dtype, [8, 16, 1, 1]), offset], { group: 1, offsetGroup: 1 }),
      tolerance: 2e-3,
      force: { tactic: `cuda.${tactic}`, parameters },
    });
  });

  it.each([
    [
      'displacements',
      [8, 180, 1, 1],
      [
        [1, 1],
        [1, 3],
      ],
    ],
    [
      'channels',
      [12, 1, 3, 3],
      [
        [1, 1],
        [3, 1],
      ],
    ],
  ] as const)('tells groups of %s apart where weights are the same', async (_, w, both) => {
    const channels = both.map(([group]) => w[1] * group);
    const offsets = both.map(([, offsetGroup]) => offsetGroup * w[2] * w[3] * 2);
    const [height, width] = [6 - w[2], 7 - w[3]];
    for (const dtype of ['float16', 'float32'] as const)
      await compare({
        inputs: [
          ...channels.map((c) => ({ dtype, dims: [1, c, 5, 6] })),
          ...offsets.map((o) => ({ dtype, dims: [1, o, height, width] })),
        ],
        graph: (b, ...x) => {
          const weights = smallWeights(b, dtype, w);
          return both.map(([group, offsetGroup], i) =>
            b.op('deformConv', [x[i], weights, x[i + 2]], { group, offsetGroup }),
          );
        },
        tolerance: dtype === 'float32' ? 4e-6 : 2e-3,
        force: forced({ dtype, x: [], w: [], out: [0, 0] }),
      });
  });

  it('takes extents that only the run knows', () =>
    convolve({
      x: [2, 16, 8, 6],
      w: [16, 16, 3, 3],
      out: [8, 6],
      attributes: same,
      symbols: ['n', undefined, 'h', 'w'],
    }));
});

describe.skipIf(!hasDevice)('deformable convolutions of weights that only the run knows', () => {
  it.each(problems)('convolves %s', async (_, x, w, out, attributes) => {
    await convolve({ x, w, out, attributes, known: false });
    await convolve({ dtype: 'float32', x, w, out, attributes, known: false, mask: false, tile: [64, 128, 8, 4, 2] });
  });
});

describe.skipIf(!isHopper())('deformable convolutions by warpgroups', () => {
  it.each([
    [64, 256, 3, 1, 1],
    [64, 256, 3, 2, 1],
    [128, 128, 4, 1, 1],
    [128, 128, 4, 2, 2],
    [64, 128, 4, 2, 1],
    [128, 64, 4, 1, 4],
    [64, 64, 4, 1, 2],
  ] as const)('takes tiles of %i x %i, %i stages, %i shares, %i splits', (...warpgroups) =>
    convolve({ x: [2, 72, 9, 11], w: [136, 72, 3, 3], out: [9, 11], attributes: same, warpgroups }),
  );

  it.each(problems)('convolves %s', async (_, x, w, out, attributes) => {
    await convolve({ x, w, out, attributes, warpgroups: [64, 64, 4, 1, 1] });
    await convolve({ x, w, out, attributes, warpgroups: [128, 64, 4, 2, 1] });
  });

  it('computes bfloat16', () =>
    convolve({
      ...{ dtype: 'bfloat16', x: [1, 24, 7, 5], w: [16, 24, 3, 3], out: [7, 5], attributes: same },
      warpgroups: [64, 64, 4, 2, 1],
    }));

  it('computes the maps that follow, of extents that only the run knows', () =>
    convolve({
      ...{ x: [2, 16, 8, 6], w: [16, 16, 3, 3], out: [8, 6], attributes: same, mask: false, bias: false },
      symbols: ['n', undefined, 'h', 'w'],
      warpgroups: [64, 64, 4, 2, 1],
      after: (b, y) => b.op('relu', [b.op('mul', [y, smallWeights(b, 'float16', [1, 16, 1, 1])])]),
    }));
});
