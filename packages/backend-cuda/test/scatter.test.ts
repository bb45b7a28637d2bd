/** Updates that meet at one place: sums that do not round, atomics, lists. */

import { type DType, tensorFromNumbers } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';

const scattered = (i: number): number => ((i * 2654435761) >>> 8) % 100_003;
const unit = (i: number): number => scattered(i + 17) / 50_000 - 1;

interface Problem {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly updates: readonly number[];
  readonly axis?: number;
  readonly reduction: string;
  readonly fill?: (i: number) => number;
  readonly at?: (i: number) => number;
  readonly symbols?: Input['symbols'];
}

/** Elements along an axis. */
function elements({
  dtype,
  dims,
  updates,
  axis = 0,
  reduction,
  fill = unit,
  at = scattered,
  symbols,
}: Problem): Promise<void> {
  const extent = dims.at(axis)!;
  return compare({
    inputs: [
      { dtype, dims, fill: (i) => fill(i + 1_000_000) },
      { dtype: 'int64', dims: updates, fill: (i) => (at(i) % (2 * extent)) - extent, ...(symbols && { symbols }) },
      { dtype, dims: updates, fill, ...(symbols && { symbols }) },
    ],
    graph: (b, x, i, u) => b.op('scatterElements', [x, i, u], { axis, reduction }),
    steps: ['cuda.scatter'],
  });
}

describe.skipIf(!hasDevice)('sums of updates', () => {
  const wide = (i: number): number => unit(i) * 10 ** ((i % 9) * 2 - 8);
  const odd = (i: number): number => (i % 11 === 0 ? [NaN, Infinity, -Infinity][i % 3]! : unit(i));
  it.each([
    { dtype: 'float32', dims: [10, 8], updates: [300, 8] },
    { dtype: 'float16', dims: [10, 8], updates: [300, 8] },
    { dtype: 'bfloat16', dims: [10, 8], updates: [300, 8] },
    { dtype: 'float32', dims: [40], updates: [400], fill: wide },
    { dtype: 'float32', dims: [50], updates: [70], fill: odd },
    { dtype: 'float16', dims: [50], updates: [70], fill: odd },
    { dtype: 'float16', dims: [5], updates: [40], fill: (i: number) => 60000 * Math.sign(unit(i)) },
    { dtype: 'float32', dims: [20], updates: [60], fill: (i: number) => unit(i) * 1e-42 },
    { dtype: 'float16', dims: [20], updates: [60], fill: (i: number) => unit(i) * 1e-6 },
    { dtype: 'float32', dims: [3, 5], updates: [3, 1000], axis: 1, at: () => 7 },
    { dtype: 'float32', dims: [7, 4], updates: [30, 4], symbols: ['n', undefined] },
    { dtype: 'float16', dims: [7, 4], updates: [0, 4] },
  ] as Omit<Problem, 'reduction'>[])('$updates of $dtype to $dims', (problem) =>
    elements({ ...problem, reduction: 'add' }),
  );

  // Exponents from one end to the other, each place looked at by its own.
  it.each(['float32', 'bfloat16'] as const)('%s of any size', (dtype) => {
    const scale = (i: number): number => 10 ** ((i % 10) * 8 - 37);
    const sized = (i: number): number => unit(i) * scale(i);
    const places = Float64Array.from({ length: 10 }, (_, i) => scale(i));
    return compare({
      inputs: [
        { dtype, dims: [10], fill: sized },
        { dtype: 'int64', dims: [400], fill: (i) => i % 10 },
        { dtype, dims: [400], fill: sized },
      ],
      graph: (b, x, i, u) => {
        const sums = b.op('cast', [b.op('scatterElements', [x, i, u], { axis: 0, reduction: 'add' })], {
          to: 'float32',
        });
        return b.op('div', [sums, b.constant(tensorFromNumbers('float32', places, [10]))]);
      },
      ...(dtype === 'bfloat16' && { tolerance: 0.02 }),
    });
  });

  // Just above the middle between two neighbours, by less than float32 can tell.
  it.each([
    ['float16', 2 ** -11, 2 ** -24, 1 + 2 ** -10],
    ['bfloat16', 2 ** -8, 2 ** -32, 1 + 2 ** -7],
    ['float32', 2 ** -24, 2 ** -50, 1 + 2 ** -23],
  ] as const)('of %s, rounded once', (dtype, half, little, sum) =>
    compare({
      inputs: [
        { dtype, dims: [3], fill: () => 1 },
        { dtype: 'int64', dims: [6], fill: (i) => i % 3 },
        { dtype, dims: [6], fill: (i) => (i < 3 ? half : little) },
      ],
      graph: (b, x, i, u) => {
        const y = b.op('scatterElements', [x, i, u], { axis: 0, reduction: 'add' });
        return b.op('equal', [y, b.constant(tensorFromNumbers(dtype, [sum], [1]))]);
      },
      expected: [tensorFromNumbers('bool', [1, 1, 1], [3])],
    }),
  );

  it.each(['add', 'max', 'none'])('%s into nothing', (reduction) =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [0, 4], symbols: ['n', undefined] },
        { dtype: 'int64', dims: [70, 4], fill: () => 0 },
        { dtype: 'float32', dims: [70, 4] },
      ],
      graph: (b, x, i, u) => b.op('scatterElements', [x, i, u], { axis: 0, reduction }),
      unchecked: true,
    }),
  );

  it('in slices', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [6, 5, 3] },
        { dtype: 'int32', dims: [40, 2], fill: (i) => scattered(i) % 5 },
        { dtype: 'float32', dims: [40, 3] },
      ],
      graph: (b, x, i, u) => b.op('scatterND', [x, i, u], { reduction: 'add' }),
    }));
});

describe.skipIf(!hasDevice)('atomics', () => {
  const dtypes: DType[] = ['int8', 'uint8', 'int16', 'int32', 'int64', 'float32', 'float16', 'bfloat16'];
  const odd = (i: number): number => (i % 13 === 0 ? [NaN, Infinity, -Infinity][i % 3]! : unit(i));
  it.each(
    dtypes.flatMap((dtype) =>
      (dtype.includes('float') ? ['max', 'min'] : ['max', 'min', 'add', 'mul']).map((reduction) => ({
        dtype,
        reduction,
      })),
    ),
  )('$reduction of $dtype', ({ dtype, reduction }) =>
    elements({
      dtype,
      reduction,
      dims: [9, 3],
      updates: [30, 3],
      fill: dtype.includes('float') ? odd : dtype === 'uint8' ? (i) => scattered(i) % 5 : (i) => (scattered(i) % 7) - 3,
    }),
  );
});

describe.skipIf(!hasDevice)('lists', () => {
  it.each([
    { dtype: 'float32', dims: [10, 8], updates: [60, 8], reduction: 'mul' },
    { dtype: 'float32', dims: [5], updates: [200], reduction: 'mul' },
    { dtype: 'float64', dims: [30], updates: [200], reduction: 'add' },
    { dtype: 'float32', dims: [300, 3], updates: [12, 3], reduction: 'add' },
    { dtype: 'float64', dims: [30], updates: [100], reduction: 'max' },
    { dtype: 'float16', dims: [30], updates: [100], reduction: 'none' },
  ] as Problem[])('$reduction, $updates of $dtype to $dims', elements);
});
