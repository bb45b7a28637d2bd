/** Positions written into a cache, and updates in the order that they have. */

import { type DType, Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

const small = (i: number): number => ((i * 37) % 101) / 50 - 1;

interface Problem {
  readonly dtype?: DType;
  readonly cache: readonly number[];
  readonly count: number;
  readonly axis?: number;
  readonly mode?: 'linear' | 'circular';
  /** Where each sample's positions begin. Default: none is given, and all begin at 0. */
  readonly begins?: readonly number[];
  readonly symbols?: boolean;
}

describe.skipIf(!hasDevice)('tensorScatter', () => {
  it.each([
    { cache: [2, 3, 16, 4], count: 1, begins: [5, 15] },
    { dtype: 'float16', cache: [2, 3, 16, 4], count: 4, begins: [12, 0] },
    { cache: [2, 16, 5], count: 3, begins: [13, 1], symbols: true },
    { cache: [3, 7, 2], count: 7 },
    { cache: [2, 8, 3], count: 3, mode: 'circular', begins: [6, 21] },
    { cache: [2, 4, 3], count: 11, mode: 'circular', begins: [1, 3], symbols: true },
    { cache: [2, 6, 3, 2], count: 2, axis: 1, begins: [4, 2] },
    { cache: [2, 6, 3], count: 0, begins: [1, 2], symbols: true },
  ] as Problem[])('%o', ({ dtype = 'float32', cache, count, axis = -2, mode = 'linear', begins, symbols }) => {
    const at = (axis + cache.length) % cache.length;
    return compare({
      inputs: [
        { dtype, dims: cache, fill: small },
        {
          dtype,
          dims: cache.with(at, count),
          fill: (i) => small(i + 1000),
          ...(symbols === true && { symbols: cache.map((_, k) => (k === at ? 'n' : undefined)) }),
        },
        ...(begins ? [{ dtype: 'int64' as const, dims: [begins.length], fill: (i: number) => begins[i]! }] : []),
      ],
      graph: (b, past, update, start) => {
        const present = b.op('tensorScatter', [past, update, ...(start ? [start] : [])], { axis, mode });
        return [present, b.op('add', [present, present])];
      },
    });
  });

  // The reference and the processor refuse them.
  it.each([
    { mode: 'linear', begins: [-1, 3], count: 2, expected: [10, 1, 2, 3, 4, 5, 6, 11] },
    { mode: 'linear', begins: [9, -2], count: 2, expected: [0, 1, 2, 3, 4, 5, 6, 7] },
    { mode: 'linear', begins: [0, 3], count: 5, expected: [9, 10, 11, 12, 4, 5, 6, 14] },
    { mode: 'circular', begins: [-1, 5], count: 2, expected: [10, 1, 2, 3, 4, 11, 12, 7] },
  ])(
    'leaves out positions outside of the cache: $count of them from $begins on, $mode',
    ({ mode, begins, count, expected }) =>
      compare({
        inputs: [
          { dtype: 'float32', dims: [2, 4], fill: (i) => i },
          { dtype: 'float32', dims: [2, count], fill: (i) => i + 9 },
          { dtype: 'int64', dims: [2], fill: (i) => begins[i]! },
        ],
        graph: (b, past, update, start) => b.op('tensorScatter', [past, update, start], { axis: 1, mode }),
        expected: [new Tensor('float32', expected, [2, 4])],
      }),
  );

  it('leaves what is read as it was', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [1, 2, 8, 4], fill: small },
        { dtype: 'float32', dims: [1, 2, 2, 4], fill: (i) => small(i + 500) },
        { dtype: 'int64', dims: [1], fill: () => 3 },
      ],
      graph: (b, past, update, start) => {
        const before = b.op('mul', [past, past]);
        const present = b.op('tensorScatter', [before, update, start], {});
        return [b.op('sub', [present, before]), b.op('tensorScatter', [past, update, start], {}), b.op('neg', [past])];
      },
    }));
});

describe.skipIf(!hasDevice)('updates that replace', () => {
  it.each([
    { dims: [6, 5], indices: [9, 1], updates: [9, 5], at: (i: number) => (i * 5) % 6 },
    { dims: [6, 5], indices: [4, 7, 2], updates: [4, 7], at: (i: number) => (i * 3) % 5 },
    { dims: [6, 5, 2], indices: [2, 0, 1], updates: [2, 0, 5, 2], at: () => 0 },
  ])('slices of $dims, the last of those that meet', ({ dims, indices, updates, at }) =>
    compare({
      inputs: [
        { dtype: 'float32', dims, fill: small },
        { dtype: 'int64', dims: indices, fill: at },
        { dtype: 'float32', dims: updates, fill: (i) => i },
      ],
      graph: (b, x, i, u) => [b.op('scatterND', [b.op('neg', [x]), i, u], {}), b.op('scatterND', [x, i, u], {})],
    }),
  );

  it('elements of what another step still reads', () =>
    compare({
      inputs: [
        { dtype: 'int32', dims: [7, 3] },
        { dtype: 'int64', dims: [40, 3], fill: (i) => (i * 11) % 7 },
        { dtype: 'int32', dims: [40, 3] },
      ],
      graph: (b, x, i, u) => {
        const doubled = b.op('add', [x, x]);
        const written = b.op('scatterElements', [doubled, i, u], { axis: 0 });
        const summed = b.op('scatterElements', [doubled, i, u], { axis: 0, reduction: 'add' });
        return [
          b.op('sub', [written, doubled]),
          b.op('scatterElements', [summed, i, u], { axis: 0, reduction: 'max' }),
        ];
      },
    }));
});
