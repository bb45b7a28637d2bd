/** Maps of what is picked, in the kernel that picks it. */

import { type DType, type GraphBuilder, Tensor, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice, type Input } from './compare.js';

const indices = (b: GraphBuilder, values: readonly number[], dims: readonly number[]): Value =>
  b.constant(new Tensor('int32', values, dims));
const steps = ['cuda.gather'];
const row: Input = { dtype: 'float16', dims: [2, 9, 24] };

describe.skipIf(!hasDevice)('maps of what is picked', () => {
  it.each([
    ['vectors', 24],
    ['odd rows', 13],
    ['short rows', 2],
  ])('adds a residual: %s', (_, width) =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [2, 9, width] },
        { dtype: 'float16', dims: [2, 2, 3, width] },
      ],
      graph: (b, x, y) =>
        b.op('relu', [b.op('add', [y, b.op('gather', [x, indices(b, [8, 0, -1, 3, 3, 1], [2, 3])], { axis: 1 })])]),
      steps,
    }),
  );

  it('reads operands that repeat, and casts', () =>
    compare({
      inputs: [row, { dtype: 'float16', dims: [24] }, { dtype: 'float16', dims: [4, 1] }],
      graph: (b, x, scale, shift) => {
        const rows = b.op('gather', [x, indices(b, [2, 7, 0, 5], [4])], { axis: 1 });
        return b.op('cast', [b.op('add', [b.op('mul', [rows, scale]), shift])], { to: 'float32' });
      },
      // The reference rounds in between.
      tolerance: 1e-3,
      steps,
    }));

  it('reads an operand that lies otherwise', () =>
    compare({
      inputs: [row, { dtype: 'float16', dims: [2, 24, 4] }],
      graph: (b, x, y) => {
        const rows = b.op('gather', [x, indices(b, [2, 7, 0, 5], [4])], { axis: 1 });
        return b.op('sub', [rows, b.op('transpose', [y], { perm: [0, 2, 1] })]);
      },
      steps,
    }));

  it('reads one place for neighbours that lie apart in data', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [8, 5] }],
      graph: (b, x) => {
        const turned = b.op('transpose', [x], { perm: [1, 0] });
        return b.op('relu', [b.op('gather', [turned, indices(b, [4, 0, 3], [3])], { axis: 0 })]);
      },
    }));

  it('along the last axis', () =>
    compare({
      inputs: [row, { dtype: 'float16', dims: [2, 9, 5] }],
      graph: (b, x, y) => b.op('mul', [y, b.op('gather', [x, indices(b, [23, 0, 4, 4, -2], [5])], { axis: 2 })]),
      steps,
    }));

  it.each([
    ['float16', 'int32', 20],
    ['float32', 'int64', 8],
    ['float16', 'int64', 6],
    ['float16', 'int32', 7],
  ] as [DType, DType, number][])('%s by %s, several of %i at once', (dtype, by, count) =>
    compare({
      inputs: [
        { dtype, dims: [3, 4, 9] },
        { dtype: by, dims: [count], fill: (i) => ((i * 37) % 18) - 9 },
        { dtype, dims: [3, 4, count] },
        { dtype, dims: [4, 1] },
      ],
      graph: (b, x, at, y, scale) => b.op('mul', [b.op('add', [b.op('gather', [x, at], { axis: 2 }), y]), scale]),
      tolerance: 2e-3,
      steps,
    }),
  );

  it.each([
    ['float16', 'int32', 20],
    ['float32', 'int64', 8],
    ['uint8', 'int64', 6],
  ] as [DType, DType, number][])('elements of %s by %s, several of %i at once', (dtype, by, count) =>
    compare({
      inputs: [
        { dtype, dims: [3, 4, 9], fill: (i) => i },
        { dtype: by, dims: [3, 4, count], fill: (i) => ((i * 37) % 18) - 9 },
        { dtype, dims: [3, 4, count], fill: (i) => i },
      ],
      graph: (b, x, at, y) => b.op('add', [y, b.op('gatherElements', [x, at], { axis: 2 })]),
      steps,
    }),
  );

  it('elements along the first axis, and tuples that pick elements', async () => {
    const tuples = (b: GraphBuilder): Value =>
      indices(
        b,
        [...new Array(48).keys()].map((i) => i % 2),
        [8, 3, 2],
      );
    await compare({
      inputs: [
        { dtype: 'float32', dims: [5, 12] },
        { dtype: 'int32', dims: [7, 12], fill: (i) => (i * 37) % 5 },
      ],
      graph: (b, x, at) => b.op('gatherElements', [x, at], { axis: 0 }),
      steps,
    });
    await compare({
      inputs: [{ dtype: 'float32', dims: [5, 12] }],
      graph: (b, x) => b.op('gatherND', [x, tuples(b)], {}),
      steps,
    });
  });

  it('leaves what others read as well', () =>
    compare({
      inputs: [row, { dtype: 'float16', dims: [2, 2, 24] }],
      graph: (b, x, y) => {
        const rows = b.op('gather', [x, indices(b, [2, 7], [2])], { axis: 1 });
        return [rows, b.op('add', [rows, y])];
      },
      steps: ['cuda.gather', 'cuda.map'],
    }));

  it('leaves what the map repeats', () =>
    compare({
      inputs: [row, { dtype: 'float16', dims: [3, 2, 2, 24] }],
      graph: (b, x, y) => b.op('add', [b.op('gather', [x, indices(b, [2, 7], [2])], { axis: 1 }), y]),
      steps: ['cuda.gather', 'cuda.map'],
    }));

  it('reads nothing of what has no elements', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [0, 4], symbols: ['n', undefined] },
        { dtype: 'float32', dims: [3, 4] },
      ],
      graph: (b, x, y) => b.op('add', [b.op('gather', [x, indices(b, [0, 1, 0], [3])], { axis: 0 }), y]),
      unchecked: true,
    }));
});
