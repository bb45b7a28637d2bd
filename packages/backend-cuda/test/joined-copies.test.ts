/** Operands of concats that are copied: many small ones in one launch, wherever they lie and whatever their size. */

import type { DType, GraphBuilder, Value } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { joinCopies } from '../src/tactics/joined-copies.js';
import { compare, hasDevice, type Input } from './compare.js';

const inputsOf = (dtype: DType, shapes: readonly (readonly number[])[]): Input[] =>
  shapes.map((dims) => ({ dtype, dims }));

const concat =
  (axis: number) =>
  (b: GraphBuilder, ...parts: Value[]): Value =>
    b.op('concat', parts, { axis });

describe.skipIf(!hasDevice)('operands of one concat', () => {
  it.each([
    ['float32', 0, [[3], [1], [0], [7], [2]]],
    [
      'float16',
      1,
      [
        [2, 3],
        [2, 1],
        [2, 5],
      ],
    ],
    [
      'int64',
      0,
      [
        [4, 3],
        [1, 3],
        [2, 3],
      ],
    ],
    [
      'bool',
      1,
      [
        [3, 2, 2],
        [3, 1, 2],
        [3, 4, 2],
      ],
    ],
    [
      'int8',
      2,
      [
        [2, 2, 5],
        [2, 2, 1],
        [2, 2, 6],
      ],
    ],
  ] as [DType, number, number[][]][])('%s along %i: %j', (dtype, axis, shapes) =>
    compare({ inputs: inputsOf(dtype, shapes), graph: concat(axis) }),
  );

  it('more of them than one launch takes', () =>
    compare({
      inputs: inputsOf(
        'float32',
        Array.from({ length: 53 }, (_, i) => [2, 1 + (i % 3)]),
      ),
      graph: concat(1),
    }));

  it('large ones among them', () =>
    compare({ inputs: inputsOf('float32', [[5], [40000], [3], [1], [20000]]), graph: concat(0) }));

  it('turned, repeated, and the same twice', () =>
    compare({
      inputs: inputsOf('float32', [
        [4, 6],
        [6, 4],
        [1, 4],
      ]),
      graph: (b, x, y, z) => {
        const wide = b.op('expand', [z], { dims: [2, 4] });
        return b.op('concat', [b.op('transpose', [x], { perm: [1, 0] }), y, wide, y], { axis: 0 });
      },
    }));

  it('extents that only the run knows', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [5, 3], symbols: ['n'] },
        { dtype: 'float32', dims: [2, 3] },
        { dtype: 'float32', dims: [9, 3], symbols: ['m'] },
      ],
      graph: concat(0),
    }));

  it('extents that the values decide', () =>
    compare({
      inputs: Array.from({ length: 4 }, (_, k) => ({
        dtype: 'float32' as const,
        dims: [30],
        fill: (i: number) => (i % (k + 2) === 0 ? i : 0),
      })),
      graph: (b, ...parts) =>
        b.op(
          'concat',
          parts.map((x) => b.op('nonZero', [x])),
          { axis: 1 },
        ),
    }));

  it('are joined by size, as many as parameters have room for', () => {
    const view = (n: number) => ({ offset: 0, dims: [n], strides: [1] });
    const sizes = [8, 1 << 20, ...new Array<number>(30).fill(4)];
    const joined = joinCopies(
      'float32',
      sizes.map((n) => ({ from: view(n), to: view(n) })),
    );
    expect(joined.map((j) => j.copies.length)).toEqual([24, 7]);
    expect(joined.flatMap((j) => j.copies)).not.toContain(1);
    expect(joinCopies('float32', [{ from: view(4), to: view(4) }])).toEqual([]);
    expect(
      joinCopies(
        'complex128',
        [view(4), view(4)].map((v) => ({ from: v, to: v })),
      ),
    ).toEqual([]);
  });
});
