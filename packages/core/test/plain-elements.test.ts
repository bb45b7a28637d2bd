/** Tensors made of plain arrays: elements as the dtype rounds them, or errors that name what it does not hold. */

import { describe, expect, test } from 'vitest';
import { type DType, readIntegers, readNumbers, Tensor } from '../src/index.js';

describe('floats are rounded to the nearest', () => {
  // By hand: 11, 8 and 4 significant bits, and a float of 4 bits.
  test.each<[DType, readonly number[], readonly number[]]>([
    ['float16', [0.5, 1, 2049, 65504, -Infinity], [0.5, 1, 2048, 65504, -Infinity]],
    ['bfloat16', [0.5, 257, NaN], [0.5, 256, NaN]],
    ['float8e4m3fn', [0.5, 17, 448], [0.5, 16, 448]],
    ['float4e2m1', [0.5, 5.9, -1.6], [0.5, 6, -1.5]],
    ['float32', [0.1, 16777217], [Math.fround(0.1), 16777216]],
  ])('%s', (dtype, elements, rounded) => {
    expect([...readNumbers(new Tensor(dtype, elements))]).toEqual(rounded);
  });
});

test.each<[DType, readonly number[]]>([
  ['int4', [-8, 7, 3]],
  ['uint2', [0, 3, 1, 2, 3]],
  ['int8', [-128, 127]],
  ['uint32', [0, 4294967295]],
  ['int64', [-9007199254740991, 1]],
])('integers of %s are as they are', (dtype, elements) => {
  expect([...readIntegers(new Tensor(dtype, elements))].map(Number)).toEqual(elements);
});

test('bool takes booleans, 0 and 1', () => {
  expect(new Tensor('bool', [true, false]).data).toEqual(new Uint8Array([1, 0]));
  expect(new Tensor('bool', [0, 1]).data).toEqual(new Uint8Array([0, 1]));
});

test.each<[DType, unknown, string]>([
  ['int8', [1, 300], 'element 1 is 300, which int8 does not hold'],
  ['uint4', [16], 'element 0 is 16, which uint4 does not hold'],
  ['uint8', [-1], 'element 0 is -1, which uint8 does not hold'],
  ['int32', [1.5], 'element 0 is 1.5, which int32 does not hold'],
  ['int64', [1.5], 'element 0 is 1.5, which int64 does not hold'],
  ['uint64', [1n << 64n], 'element 0 is 18446744073709551616, which uint64 does not hold'],
  ['int32', [NaN], 'element 0 is NaN, which int32 does not hold'],
  ['bool', [5], 'element 0 is 5, which bool does not hold'],
  ['float32', [1, 'two'], 'element 1 is two, which float32 does not hold'],
  ['float32', [true], 'element 0 is true, which float32 does not hold'],
  ['float32', undefined, 'float32 takes a Float32Array, received undefined'],
])('%s of %s is refused', (dtype, elements, message) => {
  const refused: unknown = expect.objectContaining({
    code: 'ERR_DTYPE_MISMATCH',
    message: expect.stringContaining(message) as string,
  });
  expect(() => new Tensor(dtype, elements as number[])).toThrow(refused);
});
