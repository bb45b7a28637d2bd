/** Operators whose values decide how much comes out: counted on the device, sized by the host, written on the device. */

import { type DType, Tensor } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

/** Every so many is not 0. */
const sparse =
  (step: number, offset = 0) =>
  (i: number): number =>
    (i + offset) % step === 0 ? (i % 5) + 1 : 0;
const vector = (...values: number[]) => ({
  dtype: 'int64' as const,
  dims: [values.length],
  fill: (i: number) => values[i]!,
});
const scalar = (dtype: DType, value: number) => ({ dtype, dims: [], fill: () => value });
const iota = (dims: readonly number[], dtype: DType = 'float32') => ({ dtype, dims, fill: (i: number) => i % 100 });

describe.skipIf(!hasDevice)('nonZero', () => {
  it.each([
    ['float32', [7, 300], 3],
    ['float16', [2, 3, 5], 2],
    ['int8', [40], 1],
    ['int64', [3, 3], 4],
    ['bool', [5, 100], 7],
    ['float64', [6], 1000],
    ['float32', [0, 4], 1],
    ['float32', [], 1],
    ['uint8', [3, 70, 60], 11],
  ] as [DType, number[], number][])('%s %j', (dtype, dims, step) =>
    compare({
      inputs: [{ dtype, dims, fill: sparse(step) }],
      graph: (b, x) => b.op('nonZero', [x]),
    }),
  );
  it('extents that only the run knows, through any strides', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [4, 90], fill: sparse(3, 1), symbols: ['rows', 'columns'] }],
      graph: (b, x) => b.op('nonZero', [b.op('transpose', [x], { perm: [1, 0] })]),
    }));
  it('NaN is something, -0 is nothing', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [6], fill: (i) => [NaN, -0, 0, 1, -1, Infinity][i]! }],
      graph: (b, x) => b.op('nonZero', [x]),
    }));
  it('what follows works with the count', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [6, 50], fill: sparse(4) }],
      graph: (b, x) => {
        const places = b.op('transpose', [b.op('nonZero', [x])], { perm: [1, 0] });
        const picked = b.op('gatherND', [x, places]);
        return [b.op('add', [picked, picked]), b.op('reduce', [picked], { monoid: 'sum', axes: [0], keepdims: true })];
      },
    }));
});

describe.skipIf(!hasDevice)('compress', () => {
  const condition = (length: number) => ({
    dtype: 'bool' as const,
    dims: [length],
    fill: (i: number) => Number(i % 3 === 1),
  });
  it.each([
    ['float32', [4, 9, 5], 1, 9],
    ['int64', [12, 2], 0, 7],
    ['float16', [3, 8], -1, 8],
    ['bool', [3, 8], undefined, 20],
    ['float32', [5, 5], 0, 0],
  ] as [DType, number[], number | undefined, number][])('%s %j along %s', (dtype, dims, axis, length) =>
    compare({
      inputs: [{ dtype, dims }, condition(length)],
      graph: (b, x, c) => b.op('compress', [x, c], { axis }),
    }),
  );
});

describe.skipIf(!hasDevice)('what values cannot be', () => {
  it.each([
    [5, 'a short row'],
    [9000, 'a long row'],
  ])('a condition that goes on behind the axis: %i', (length) =>
    expect(
      compare({
        inputs: [
          { dtype: 'float32', dims: [4] },
          { dtype: 'bool', dims: [length], fill: (i) => Number(i === length - 1) },
        ],
        graph: (b, x, c) => b.op('compress', [x, c], { axis: 0 }),
        unchecked: true,
      }),
    ).rejects.toThrow('do not fit each other'),
  );
  it.each([[[3]], [[2, 3]], [[-4]]])(
    'a shape that the input does not broadcast with, whose extents it has: %j',
    (target) =>
      expect(
        compare({
          inputs: [iota([4]), vector(...target)],
          graph: (b, x, t) => b.op('expandDynamic', [x, t]),
          unchecked: true,
        }),
      ).rejects.toThrow('do not fit each other'),
  );
  it.each([
    [3, 5],
    [0, 1],
  ])('more of the best than were found: of %i the best %i', async (found, k) => {
    const best = (length: number) =>
      compare({
        inputs: [iota([64]), { dtype: 'bool', dims: [64], fill: (i) => Number(i < length) }],
        graph: (b, x, c) => {
          const count = b.constant(new Tensor('int64', BigInt64Array.of(BigInt(k)), [1]));
          return b.node('topK', [b.op('compress', [x, c], { axis: 0 }), count], { axis: 0 });
        },
        unchecked: length < k,
      });
    await best(k);
    await expect(best(found)).rejects.toThrow(
      `k and the elements along axis 0, up to k, are ${String(k)} (${found > 0 ? String(k) : 'constant'}) and ${String(found)} (compress)`,
    );
  });
  it('an image of nothing', async () => {
    const resized = (length: number, size: number) =>
      compare({
        inputs: [iota([1, 2, 9, 4]), vector(length), vector(size, 3)],
        graph: (b, x, end, sizes) => {
          const zero = b.constant(new Tensor('int64', [0n], [1]));
          const axis = b.constant(new Tensor('int64', [2n], [1]));
          const cut = b.op('sliceDynamic', [x, zero, end, axis]);
          const known = b.constant(new Tensor('int64', [BigInt(size), 3n], [2]));
          const way = { axes: [2, 3], mode: 'nearest' };
          return [known, sizes].map((s) => b.op('resize', [cut, undefined, undefined, s], way));
        },
        unchecked: length === 0 && size > 0,
      });
    await resized(3, 5);
    await resized(0, 0);
    await expect(resized(0, 5)).rejects.toThrow(
      'what is wanted and what is there along axis 2, up to one element, are 1 (sliceDynamic) and 0 (sliceDynamic)',
    );
  });
  it('a shape of another size', () =>
    expect(
      compare({
        inputs: [iota([2, 3]), vector(4, 2)],
        graph: (b, x, t) => b.op('reshapeDynamic', [x, t]),
        unchecked: true,
      }),
    ).rejects.toThrow('do not fit each other'));
});

describe.skipIf(!hasDevice)('shapes that are values', () => {
  it.each([
    [[2, 3, 4], [4, 6], 0],
    [[2, 3, 4], [-1, 3], 0],
    [[2, 3, 4], [0, -1, 2], 0],
    [[0, 3], [0, 7], 1],
    [[1, 1], [], 0],
  ] as [number[], number[], number][])('reshape %j to %j', (dims, target, allowzero) =>
    compare({
      inputs: [iota(dims), vector(...target)],
      graph: (b, x, t) => b.op('reshapeDynamic', [x, t], { allowzero }),
    }),
  );
  it.each([
    [
      [3, 1],
      [2, 1, 6],
    ],
    [[4], [1]],
    [
      [1, 5],
      [3, 1],
    ],
    [[1], [0]],
  ] as [number[], number[]][])('expand %j to %j', (dims, target) =>
    compare({ inputs: [iota(dims, 'float16'), vector(...target)], graph: (b, x, t) => b.op('expandDynamic', [x, t]) }),
  );
  it.each([
    [
      [20, 10, 5],
      [0, 0],
      [3, 10],
      [0, 1],
      [1, 1],
    ],
    [[20, 10, 5], [-1], [-1000], [1], [-2]],
    [
      [20, 10],
      [5, 9],
      [2, 100],
      [0, 1],
      [1, 1],
    ],
    [[7], [1], [2 ** 60], [0], [3]],
  ] as number[][][])('slice %j from %j to %j of %j by %j', (dims, starts, ends, axes, steps) =>
    compare({
      inputs: [iota(dims), ...[starts, ends, axes, steps].map((v) => vector(...v))],
      graph: (b, ...inputs) => b.op('sliceDynamic', inputs),
    }),
  );
  it('slice by two vectors alone, of a turned operand', () =>
    compare({
      inputs: [iota([4, 6]), vector(1), vector(-1)],
      graph: (b, x, starts, ends) => b.op('sliceDynamic', [b.op('transpose', [x], { perm: [1, 0] }), starts, ends]),
    }));
  it.each(['constant', 'reflect', 'edge', 'wrap'])('pad: %s', (mode) =>
    compare({
      inputs: [iota([3, 5]), vector(1, 2, 2, -1)],
      graph: (b, x, pads) => b.op('padDynamic', [x, pads], { mode }),
    }),
  );
  it('pad some axes with a value', () =>
    compare({
      inputs: [iota([2, 3, 4], 'int32'), vector(2, 1), scalar('int32', 7), vector(-1)],
      graph: (b, x, pads, value, axes) => b.op('padDynamic', [x, pads, value, axes]),
    }));
  it('tile', () => compare({ inputs: [iota([2, 3]), vector(3, 2)], graph: (b, x, r) => b.op('tileDynamic', [x, r]) }));
  it('squeeze and unsqueeze', () =>
    compare({
      inputs: [iota([1, 3, 1]), vector(-1), vector(0, 2)],
      graph: (b, x, out, into) => [b.op('squeezeDynamic', [x, out]), b.op('unsqueezeDynamic', [x, into])],
    }));
  it.each([
    ['int64', 3, 17, 4],
    ['int32', 10, -5, -3],
    ['float32', 0, 1, 0.3],
    ['int64', 5, 5, 1],
    ['float32', 2, 1, 1],
  ] as [DType, number, number, number][])('range of %s from %i to %i by %f', (dtype, start, limit, delta) =>
    compare({
      inputs: [scalar(dtype, start), scalar(dtype, limit), scalar(dtype, delta)],
      graph: (b, ...inputs) => b.op('range', inputs),
    }),
  );
});

describe.skipIf(!hasDevice)('nonMaxSuppression', () => {
  /** Boxes of all sizes in a square of 100, some of them equal. */
  const boxes = (images: number, count: number) => ({
    dtype: 'float32' as const,
    dims: [images, count, 4],
    fill: (i: number) => (((Math.floor(i / 4) % 37) * (7 + 5 * (i % 4))) % 101) + (i % 4 > 1 ? 11.3 : 0),
  });
  const scores = (images: number, classes: number, count: number) => ({
    dtype: 'float32' as const,
    dims: [images, classes, count],
    fill: (i: number) => ((i * 29) % 83) / 83,
  });
  it.each([
    [1, 1, 6, 3, 0.5, 0.1],
    [2, 3, 90, 10, 0.3, 0.5],
    [1, 2, 700, 1000, 0.6, 0],
    [1, 1, 700, 150, 0.9, 0],
    [2, 2, 300, 300, -1, 0.2],
    [1, 2, 0, 5, 0.5, 0.5],
    [10, 70, 260, 30, 0.7, 0.1],
    [1, 1, 20, 5, 0, 2],
    [1, 1, 20, 0, 0.5, 0],
  ])('%i images, %i classes, %i boxes', (images, classes, count, most, overlap, least) =>
    compare({
      inputs: [
        boxes(images, count),
        scores(images, classes, count),
        scalar('int64', most),
        scalar('float32', overlap),
        scalar('float32', least),
      ],
      graph: (b, ...inputs) => b.op('nonMaxSuppression', inputs),
    }),
  );
  it('boxes by their centres, without a least score', () =>
    compare({
      inputs: [boxes(2, 40), scores(2, 2, 40), scalar('int64', 7), scalar('float32', 0.4)],
      graph: (b, ...inputs) => b.op('nonMaxSuppression', inputs, { centerPointBox: 1 }),
    }));
  it.each([
    [1, 2, 5000, 40, 0.5],
    [1, 1, 9000, 10000, 0.95],
  ])('more boxes than a block sorts: %i images, %i classes, %i boxes', (images, classes, count, most, overlap) =>
    compare({
      inputs: [boxes(images, count), scores(images, classes, count), scalar('int64', most), scalar('float32', overlap)],
      graph: (b, ...inputs) => b.op('nonMaxSuppression', inputs),
    }),
  );
});

describe.skipIf(!hasDevice)('extents, depths and axes that are values', () => {
  it.each([
    ['sum', 'float32', [0, -1], true, false],
    ['max', 'int32', [1], true, false],
    ['prod', 'float64', [], true, false],
    ['min', 'float16', [], true, true],
    ['sum', 'int64', [2, 0], false, false],
    ['any', 'bool', [], false, false],
    ['sum', 'float32', [1], false, false],
  ] as [string, DType, number[], boolean, boolean][])(
    'reduce by %s of %s along %j',
    (monoid, dtype, axes, keepdims, noopWithEmptyAxes) =>
      compare({
        inputs: [
          { dtype, dims: [3, 40, 5], ...(monoid === 'prod' && { fill: (i) => 1 + (i % 3) / 100 }) },
          vector(...axes),
        ],
        graph: (b, x, a) => b.op('reduceDynamic', [x, a], { monoid, keepdims, noopWithEmptyAxes }),
      }),
  );
  it.each([0, 3, 9])('topK: %i of 9', (k) =>
    compare({
      inputs: [iota([4, 9, 2]), vector(k)],
      graph: (b, x, count) => b.node('topK', [x, count], { axis: 1, largest: false }),
    }),
  );
  it('oneHot', () =>
    compare({
      inputs: [{ dtype: 'int64', dims: [6], fill: (i) => i - 2 }, scalar('int64', 5), { dtype: 'float32', dims: [2] }],
      graph: (b, ...inputs) => b.op('oneHot', inputs, { axis: 0 }),
    }));
  it('resize, in rows even where channels would rather lie side by side', () =>
    compare({
      inputs: [iota([1, 8, 4, 5]), vector(7, 3)],
      graph: (b, x, sizes) => b.op('resize', [x, undefined, undefined, sizes], { mode: 'nearest', axes: [2, 3] }),
      pick: (candidate) => candidate.outputs[0] === 'channelsLast',
    }));
  it('resize', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [1, 2, 5, 7] }, vector(8, 4)],
      graph: (b, x, sizes) => b.node('resize', [x, undefined, undefined, sizes], { mode: 'linear', axes: [2, 3] }),
    }));
});

describe.skipIf(!hasDevice)('unique', () => {
  it.each([
    ['float32', [90], undefined, true],
    ['int64', [5, 8], undefined, false],
    ['float16', [4, 3, 3000], undefined, true],
    ['int32', [40, 2], 0, true],
    ['int8', [3, 30, 2], 1, false],
    ['bool', [2, 9], -1, true],
    ['float32', [0], undefined, true],
  ] as [DType, number[], number | undefined, boolean][])('%s %j along %s, sorted: %s', (dtype, dims, axis, sorted) =>
    compare({
      inputs: [{ dtype, dims, fill: (i) => (dtype === 'bool' ? i % 2 : ((i * 7) % 11) - (i % 3)) }],
      graph: (b, x) => b.node('unique', [x], { axis, sorted }),
    }),
  );
  it('NaN and both zeros', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [7], fill: (i) => [NaN, 0, -0, 1, NaN, -Infinity, 1][i]! }],
      graph: (b, x) => b.node('unique', [x], {}),
    }));
});
