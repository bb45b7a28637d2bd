import type { DType } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

describe.skipIf(!hasDevice)('softmax and logSoftmax', () => {
  it.each([
    ['softmax', 'float32', [5, 17], -1],
    ['softmax', 'float16', [4, 3, 128], -1],
    ['logSoftmax', 'bfloat16', [3, 1000], 1],
    ['softmax', 'float64', [2, 70], 1],
    ['logSoftmax', 'float32', [2, 21, 30], 1],
    ['softmax', 'float16', [2, 9, 64], 1],
    ['softmax', 'float32', [300, 3], 0],
    ['softmax', 'float16', [600, 2], 1],
    ['softmax', 'float32', [1, 40001], 1],
    ['logSoftmax', 'float16', [1, 270336], 1],
    ['softmax', 'float32', [0, 4], 1],
  ] as [string, DType, number[], number][])('%s of %s %j along %d', (op, dtype, dims, axis) =>
    compare({
      inputs: [{ dtype, dims, fill: (i) => ((i * 7919) % 1013) / 100 - 5 }],
      graph: (b, x) => b.op(op, [x], { axis }),
      ...(op === 'softmax' && dtype === 'float32' && { tolerance: 4e-7 }),
    }),
  );

  it.each([-1, 0])('keeps infinities and NaN in their rows along %d', (axis) =>
    compare({
      inputs: [
        {
          dtype: 'float32',
          dims: [40, 40],
          fill: (i) => (i % 5 === 0 ? -Infinity : i === 41 ? NaN : i >= 120 && i < 160 ? -Infinity : i % 3),
        },
      ],
      graph: (b, x) => b.op('softmax', [x], { axis }),
    }),
  );

  it.each([0, 1, 2])('takes extents that only the run knows along %d', (axis) =>
    compare({
      inputs: [{ dtype: 'float16', dims: [5, 33, 90], symbols: ['n', 'm', 'k'] }],
      graph: (b, x) => b.op('softmax', [x], { axis }),
    }),
  );

  it('reads and writes strided views', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [3, 20, 8] }],
      graph: (b, x) => {
        const moved = b.op('transpose', [b.op('neg', [x])], { perm: [2, 0, 1] });
        const part = b.op('slice', [moved], { starts: [1, 0, 2], sizes: [3, 3, 13], steps: [2, 1, 1] });
        return b.op('softmax', [part], { axis: 2 });
      },
    }));
});
