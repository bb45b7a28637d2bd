/** Map operators against JavaScript's own typed arrays and BigInts, C's special cases and published values. */

import {
  type Attributes,
  type DType,
  elementCount,
  evaluateGraph,
  GraphBuilder,
  readNumbers,
  Tensor,
  tensorFromNumbers,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';

function run(op: string, inputs: readonly Tensor[], attributes: Attributes = {}): Tensor {
  const b = new GraphBuilder();
  return evaluateGraph(
    {
      inputs: [],
      outputs: [
        b.op(
          op,
          inputs.map((t) => b.constant(t)),
          attributes,
        ),
      ],
    },
    [],
  )[0] as Tensor;
}
const numbers = (op: string, dtype: DType, ...operands: readonly number[][]): number[] =>
  Array.from(
    readNumbers(
      run(
        op,
        operands.map((o) => tensorFromNumbers(dtype, o, [o.length])),
      ),
    ),
  );

const integerTypes = ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32'] as const;
const samples = [
  0, 1, 2, 3, 7, 100, 127, 128, 200, 255, 32767, 40000, 65535, 2147483647, 4294967295, -1, -2, -7, -100, -128, -32768,
  -2147483648,
];

describe('integers wrap as their width does', () => {
  const reference: Record<string, (a: bigint, b: bigint) => bigint> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => (b === 0n ? 0n : a / b),
    bitwiseAnd: (a, b) => a & b,
    bitwiseXor: (a, b) => a ^ b,
  };
  it.each(integerTypes)('%s', (dtype) => {
    const bits = Number(/\d+/.exec(dtype)![0]);
    const wrap = (v: bigint): number =>
      Number(dtype.startsWith('u') ? BigInt.asUintN(bits, v) : BigInt.asIntN(bits, v));
    const values = samples.map((v) => wrap(BigInt(v)));
    const left = values.flatMap((a) => values.map(() => a));
    const right = values.flatMap(() => values);
    for (const [op, f] of Object.entries(reference)) {
      expect(numbers(op, dtype, left, right), op).toEqual(left.map((a, i) => wrap(f(BigInt(a), BigInt(right[i]!)))));
    }
  });
  it('int64 and uint64', () => {
    const a = new BigInt64Array([2n ** 63n - 1n, -(2n ** 63n), -7n]);
    expect(run('mul', [new Tensor('int64', a), new Tensor('int64', [3n, -1n, 5n])]).data).toEqual(
      new BigInt64Array([9223372036854775805n, -(2n ** 63n), -35n]),
    );
    expect(run('add', [new Tensor('uint64', [2n ** 64n - 1n]), new Tensor('uint64', [2n])]).data).toEqual(
      new BigUint64Array([1n]),
    );
  });
  it('int4 and uint4', () => {
    expect(numbers('add', 'int4', [7, -8], [1, -1])).toEqual([-8, 7]);
    expect(numbers('mul', 'uint4', [15, 5], [2, 5])).toEqual([14, 9]);
  });
});

it('pow has the special cases of C', () => {
  expect(
    numbers('pow', 'float64', [1, -1, -1, 0, 2, NaN, 1], [NaN, Infinity, -Infinity, -1, -1074, 0, Infinity]),
  ).toEqual([1, 1, 1, Infinity, 2 ** -1074, 1, 1]);
});

it('mod has the sign of the divisor, fmod that of the dividend', () => {
  const [a, b] = [
    tensorFromNumbers('float32', [-7.5, 7.5, -7.5, -6], [4]),
    tensorFromNumbers('float32', [2, -2, -2, 3], [4]),
  ];
  expect(Array.from(readNumbers(run('mod', [a, b])))).toEqual([0.5, -0.5, -1.5, 0]);
  expect(Array.from(readNumbers(run('mod', [a, b], { fmod: true })))).toEqual([-1.5, 1.5, -1.5, -0]);
});

it('shifts past the width leave the sign', () => {
  const [x, by] = [tensorFromNumbers('int8', [-128, 64, -1, 1], [4]), tensorFromNumbers('int8', [9, 8, -1, 3], [4])];
  expect(Array.from(readNumbers(run('bitShift', [x, by], { direction: 'RIGHT' })))).toEqual([-1, 0, -1, 0]);
  expect(Array.from(readNumbers(run('bitShift', [x, by], { direction: 'LEFT' })))).toEqual([0, 0, 0, 8]);
});

it('erf has the values of Abramowitz and Stegun, table 7.1', () => {
  const got = numbers('erf', 'float64', [0, 0.1, 0.5, 1, 1.5, 2, -1, 7]);
  [0, 0.112462916, 0.5204998778, 0.8427007929, 0.9661051465, 0.995322265, -0.8427007929, 1].forEach((want, i) => {
    expect(got[i]).toBeCloseTo(want, 9);
  });
});

it('float32 results are rounded once, float16 ones to half', () => {
  expect(numbers('add', 'float32', [2 ** 24], [1])).toEqual([2 ** 24]);
  expect(numbers('mul', 'float16', [1.0009765625], [1.0009765625])).toEqual([1.001953125]);
  expect(numbers('add', 'float16', [65504], [65504])).toEqual([Infinity]);
});

it('minimum and maximum pass NaN on', () => {
  expect(numbers('max', 'float32', [NaN, 1], [1, NaN])).toEqual([NaN, NaN]);
  expect(numbers('relu', 'float32', [NaN, -1, 2])).toEqual([NaN, 0, 2]);
});

it('broadcasts as numpy does', () => {
  const t = (dims: readonly number[]): Tensor =>
    tensorFromNumbers(
      'float32',
      Array.from({ length: elementCount(dims) }, (_, i) => i),
      dims,
    );
  const sum = run('add', [t([2, 1, 3]), t([4, 1])]);
  expect(sum.dims).toEqual([2, 4, 3]);
  expect(Array.from(sum.data as Float32Array)).toEqual([
    0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 3, 4, 5, 4, 5, 6, 5, 6, 7, 6, 7, 8,
  ]);
  expect(run('add', [t([0, 3]), t([1, 3])]).dims).toEqual([0, 3]);
  // Longer than a block of the evaluation.
  const long = run('mul', [t([5000, 1]), t([3])]);
  expect((long.data as Float32Array)[3 * 4321 + 2]).toBe(8642);
});

it('float casts to integers truncate and wrap narrow types', () => {
  const x = tensorFromNumbers('float64', [1.9, -1.9, 300.5, -9, NaN, 1e30], [6]);
  expect(Array.from(readNumbers(run('cast', [x], { to: 'int8' })))).toEqual([1, -1, 44, -9, 0, -1]);
  expect(Array.from(run('cast', [x], { to: 'int64' }).data as BigInt64Array)).toEqual([
    1n,
    -1n,
    300n,
    -9n,
    0n,
    2n ** 63n - 1n,
  ]);
  expect(Array.from(readNumbers(run('cast', [x], { to: 'int4' }))).slice(0, 4)).toEqual([1, -1, -4, 7]);
});

it('strings and numbers convert', () => {
  const text = run('parseNumbers', [new Tensor('string', ['3.14', '1e-5', '+INF', 'nan', '-inf'], [5])], {
    to: 'float32',
  });
  expect(Array.from(readNumbers(text))).toEqual([Math.fround(3.14), Math.fround(1e-5), Infinity, NaN, -Infinity]);
  expect(run('formatNumbers', [new Tensor('float32', [3.14, 0.1, 2])]).data).toEqual(['3.14', '0.1', '2.0']);
  expect(run('formatNumbers', [new Tensor('int64', [-5n])]).data).toEqual(['-5']);
});

describe('reductions', () => {
  it('empty sets give the neutral element', () => {
    const empty = tensorFromNumbers('float32', [], [2, 0]);
    for (const [monoid, want] of [
      ['sum', 0],
      ['prod', 1],
      ['max', -Infinity],
      ['min', Infinity],
    ] as const) {
      expect(Array.from(readNumbers(run('reduce', [empty], { monoid, axes: [1], keepdims: false }))), monoid).toEqual([
        want,
        want,
      ]);
    }
  });
  it('argMax takes the first NaN', () => {
    expect(
      run('argMax', [tensorFromNumbers('float32', [1, NaN, 3, NaN], [4])], { axis: 0, keepdims: false }).data,
    ).toEqual(new BigInt64Array([1n]));
  });
  it('axes may be computed at run time', () => {
    const x = tensorFromNumbers('float32', [1, 2, 3, 4, 5, 6], [2, 3]);
    const sum = run('reduceDynamic', [x, new Tensor('int64', [-1n])], { monoid: 'sum', keepdims: false });
    expect([sum.dims, Array.from(readNumbers(sum))]).toEqual([[2], [6, 15]]);
  });
});
