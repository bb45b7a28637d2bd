import { type DType, readIntegers, readNumbers, Tensor, tensorFromNumbers, tensorOf } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { convertElements } from '../src/models/convert-elements.js';

const convert = (tensor: Tensor, dtype: DType): Tensor => convertElements(tensor, 'x', dtype);

describe('elements of files', () => {
  it.each([
    ['int64', 'int32', [-(2n ** 31n), 2n ** 31n - 1n]],
    ['int64', 'uint8', [0n, 255n]],
    ['int64', 'int4', [-8n, 7n]],
    ['int64', 'uint64', [0n, 2n ** 63n - 1n]],
    ['uint64', 'int64', [2n ** 53n + 1n, 2n ** 63n - 1n]],
    ['uint8', 'int64', [0n, 255n]],
    ['int4', 'int8', [-8n, 7n]],
  ] as const)('of %s are exact in %s', (from, to, values) => {
    const wide = from === 'int64' || from === 'uint64';
    const converted = convert(tensorOf(from, wide ? values : values.map(Number), [values.length]), to);
    expect(converted.dtype).toBe(to);
    expect([...readIntegers(converted)]).toEqual([...values]);
  });

  it.each([
    ['int64', 'uint8', [1n, 300n], "element [1] is 300, which 'x' of uint8 does not hold"],
    ['int64', 'uint8', [-1n], "element [0] is -1, which 'x' of uint8 does not hold"],
    ['int64', 'int32', [2n ** 40n], "element [0] is 1099511627776, which 'x' of int32 does not hold"],
    ['int64', 'int4', [8n], 'is 8'],
    ['uint64', 'int64', [2n ** 63n], 'is 9223372036854775808'],
    ['int64', 'uint64', [-1n], 'is -1'],
  ] as const)('of %s that %s does not hold are refused', (from, to, values, message) => {
    expect(() => convert(tensorOf(from, values, [values.length]), to)).toThrow(message);
  });

  it('are named by their indices', () => {
    const tensor = new Tensor('int64', BigInt64Array.of(0n, 0n, 0n, 0n, 0n, 999n), [2, 1, 3]);
    expect(() => convert(tensor, 'int8')).toThrow('element [1, 0, 2] is 999');
    expect(() => convert(new Tensor('int64', BigInt64Array.of(999n), []), 'int8')).toThrow('element [] is 999');
  });

  it('are rounded where both are floats, as typed arrays round', () => {
    const values = Float64Array.of(0.1, -3.3, 1e-50, Infinity, -Infinity, NaN);
    const converted = convert(new Tensor('float64', values, [6]), 'float32');
    expect([...readNumbers(converted)]).toEqual([...Float32Array.from(values)]);
  });

  it.each([
    ['float32', 1e39],
    ['float16', 65520],
    ['bfloat16', 1e39],
    ['float8e4m3fn', 500],
    ['float8e4m3fn', Infinity],
    ['float4e2m1', NaN],
  ] as const)('of floats beyond %s are refused: %s', (dtype, value) => {
    expect(() => convert(new Tensor('float64', Float64Array.of(1, value), [2]), dtype)).toThrow(
      `element [1] is ${value}, which 'x' of ${dtype} does not hold`,
    );
  });

  it('may be the largest that there are', () => {
    for (const [dtype, value] of [
      ['float16', 65504],
      ['float8e4m3fn', 448],
      ['float4e2m1', 6],
    ] as const)
      expect([...readNumbers(convert(new Tensor('float64', Float64Array.of(value), [1]), dtype))]).toEqual([value]);
  });

  it.each([
    ['float64', 'int64'],
    ['int64', 'float32'],
    ['bool', 'uint8'],
    ['int8', 'bool'],
  ] as const)('of %s are none of %s', (from, to) => {
    const tensor =
      from === 'int64' ? new Tensor('int64', BigInt64Array.of(1n), [1]) : tensorFromNumbers(from, [1], [1]);
    expect(() => convert(tensor, to)).toThrow(`it has ${from} elements, and 'x' is ${to}`);
  });
});
