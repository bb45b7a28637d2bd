import type { DType } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

const reduce = (
  dtype: DType,
  dims: readonly number[],
  axes: readonly number[],
  monoid = 'sum',
  keepdims = false,
): Promise<void> =>
  compare({
    inputs: [{ dtype, dims }],
    graph: (b, x) => b.op('reduce', [x], { monoid, axes, keepdims }),
  });

describe.skipIf(!hasDevice)('reduce', () => {
  it.each([
    ['float32', [7, 33], [1]],
    ['float16', [5, 768], [1]],
    ['bfloat16', [3, 40, 5], [1]],
    ['float64', [300, 5], [0]],
    ['float32', [4, 6, 10], [0, 2]],
    ['float32', [2, 3, 4, 5], [1, 3]],
    ['float16', [2, 64, 5, 5], [2, 3]],
    ['float32', [3], []],
    ['float32', [0, 4], [0]],
    ['float32', [4, 0], [0]],
    ['float32', [20011], [0]],
    ['float32', [5000, 16], [0]],
  ] as [DType, number[], number[]][])('sums %s %j over %j', (dtype, dims, axes) => reduce(dtype, dims, axes));

  it.each([
    ['float32', 'prod', [4, 7]],
    ['float32', 'max', [4, 70]],
    ['float16', 'min', [70, 4]],
    ['int8', 'sum', [3, 300]],
    ['int8', 'max', [3, 300]],
    ['uint8', 'max', [3, 0]],
    ['int64', 'sum', [3, 30]],
    ['uint32', 'prod', [3, 9]],
    ['bool', 'any', [9, 3]],
    ['bool', 'all', [9, 3]],
  ] as [DType, string, number[]][])('reduces %s by %s', (dtype, monoid, dims) =>
    reduce(dtype, dims, [1], monoid, true),
  );

  it.each([[[1]], [[0, 1]], [[2]], [[1, 2]], [[0]]])('sums symbolic extents over %j', (axes) =>
    compare({
      inputs: [{ dtype: 'float32', dims: [5, 33, 12], symbols: ['n', 'm'] }],
      graph: (b, x) => b.op('reduce', [x], { monoid: 'sum', axes, keepdims: false }),
    }),
  );

  it('propagates NaN through extremes', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [3, 50], fill: (i) => (i === 60 ? NaN : i % 7) }],
      graph: (b, x) => b.op('reduce', [x], { monoid: 'max', axes: [1], keepdims: false }),
    }));

  it('reads transposed operands and applies an epilogue', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [6, 40, 20] },
        { dtype: 'float32', dims: [6] },
      ],
      graph: (b, x, c) => {
        const t = b.op('transpose', [b.op('neg', [x])], { perm: [2, 0, 1] });
        const sum = b.op('reduce', [t], { monoid: 'sum', axes: [2], keepdims: false });
        return b.op('exp', [b.op('mul', [b.op('add', [sum, c]), b.scalar(0.125, 'float32')])]);
      },
    }));
});

describe.skipIf(!hasDevice)('argMax and argMin', () => {
  it.each([
    ['argMax', 'float32', [4, 100], 1, false],
    ['argMin', 'float16', [4, 100, 6], 1, false],
    ['argMax', 'int8', [30, 5], 0, true],
    ['argMin', 'int64', [3, 17], 1, true],
    ['argMax', 'float32', [2, 9000], 1, false],
  ] as [string, DType, number[], number, boolean][])('%s of %s %j over %d', (op, dtype, dims, axis, last) =>
    compare({
      // Few different values: ties decide.
      inputs: [{ dtype, dims, fill: (i) => (i * 7919) % 13 }],
      graph: (b, x) => b.op(op, [x], { axis, keepdims: last, selectLastIndex: last }),
    }),
  );

  it('takes NaN for the extreme', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [2, 40], fill: (i) => (i === 50 || i === 60 ? NaN : i) }],
      graph: (b, x) => b.op('argMin', [x], { axis: 1, keepdims: false }),
    }));
});

describe.skipIf(!hasDevice)('cumSum and cumProd', () => {
  it.each([
    ['cumSum', 'float32', [3, 700], 1, false, false],
    ['cumSum', 'float16', [3, 40], 1, true, false],
    ['cumProd', 'float32', [9, 5, 4], 1, false, true],
    ['cumSum', 'int32', [5, 33], -1, true, true],
    ['cumSum', 'int64', [40, 3], 0, false, true],
  ] as [string, DType, number[], number, boolean, boolean][])(
    '%s of %s %j over %d (exclusive %s, reverse %s)',
    (op, dtype, dims, axis, exclusive, reverse) =>
      compare({ inputs: [{ dtype, dims }], graph: (b, x) => b.op(op, [x], { axis, exclusive, reverse }) }),
  );
});
