import { type DType, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, type Comparison, hasDevice } from './compare.js';

/** Scales are powers of two and numbers small, so that sums are exact in float32, too. */
function bytes(b: GraphBuilder, dtype: DType, dims: readonly number[]): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  const numbers = Float64Array.from({ length: count }, (_, i) => ((i * 7919 + 5) % 31) - (dtype === 'int8' ? 15 : 0));
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}

function floats(b: GraphBuilder, dims: readonly number[], of: (i: number) => number): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  return b.constant(
    tensorFromNumbers(
      'float32',
      Float64Array.from({ length: count }, (_, i) => of(i)),
      dims,
    ),
  );
}

const perTensor = (b: GraphBuilder, scale: number): Value => floats(b, [], () => scale);
const perChannel = (b: GraphBuilder, dims: readonly number[]): Value => floats(b, dims, (i) => 2 ** -((i % 4) + 4));

function dequantized(b: GraphBuilder, x: Value, scale: Value): Value {
  return b.op('dequantizeLinear', [x, scale], { to: 'float32' });
}

function quantized(b: GraphBuilder, x: Value, scale: Value, to: DType = 'int8'): Value {
  return b.op('quantizeLinear', [x, scale], { to });
}

const small = (i: number): number => ((i * 37) % 41) - 20;
const positive = (i: number): number => (i * 37) % 41;

/** relu(conv + residual) between bytes, as quantized networks have it. */
function block(dtype: 'int8' | 'uint8', force?: Comparison['force']): Comparison {
  const fill = dtype === 'int8' ? small : positive;
  return {
    inputs: [
      { dtype, dims: [2, 32, 7, 9], fill },
      { dtype: 'int8', dims: [2, 48, 7, 9], fill: small },
    ],
    graph: (b, x, r) => {
      const w = dequantized(b, bytes(b, 'int8', [48, 32, 3, 3]), perChannel(b, [48, 1, 1, 1]));
      const bias = floats(b, [48], (i) => i / 8);
      const y = b.op('conv', [dequantized(b, x, perTensor(b, 1 / 16)), w, bias], { pads: [1, 1, 1, 1], group: 1 });
      const sum = b.op('add', [y, dequantized(b, r, perTensor(b, 0.5))]);
      return quantized(b, b.op('relu', [sum]), perTensor(b, 0.5));
    },
    ...(force && { force }),
  };
}

describe.skipIf(!hasDevice)('quantized networks', () => {
  it.each(['int8', 'uint8'] as const)('convolve %s', (dtype) =>
    compare(block(dtype, { tactic: 'cuda.contraction.tensor', parameters: {} })),
  );

  it('multiply by columns of other scales', () =>
    compare({
      inputs: [{ dtype: 'int8', dims: [2, 33, 80], fill: small }],
      graph: (b, x) => {
        const w = dequantized(b, bytes(b, 'int8', [80, 24]), perChannel(b, [24]));
        const y = b.op('dot', [dequantized(b, x, perTensor(b, 0.25)), w], { lhs: 'bmk', rhs: 'kn', out: 'bmn' });
        return [quantized(b, y, perTensor(b, 4), 'uint8'), y];
      },
    }));

  it('multiply activations', () =>
    compare({
      inputs: [
        { dtype: 'int8', dims: [3, 17, 32], fill: small },
        { dtype: 'int8', dims: [3, 19, 32], fill: small },
      ],
      graph: (b, x, y) => {
        const operands = [x, y].map((v) => dequantized(b, v, perTensor(b, 0.125)));
        return b.op('dot', operands, { lhs: 'bmk', rhs: 'bnk', out: 'bmn' });
      },
    }));

  it.each([
    ['int8', -7],
    ['uint8', 20],
  ] as const)('convolve %s with a zero point of %i', (dtype, zeroPoint) =>
    compare({
      inputs: [{ dtype, dims: [1, 16, 6, 5], fill: dtype === 'int8' ? small : positive }],
      graph: (b, x) => {
        const zero = b.constant(tensorFromNumbers<DType>(dtype, Float64Array.of(zeroPoint), []));
        const image = b.op('dequantizeLinear', [x, perTensor(b, 0.25), zero], { to: 'float32' });
        const w = dequantized(b, bytes(b, 'int8', [24, 16, 3, 3]), perChannel(b, [24, 1, 1, 1]));
        const y = b.op('conv', [image, w], { pads: [1, 1, 0, 2], strides: [2, 1], group: 1 });
        return b.op('quantizeLinear', [y, perTensor(b, 0.5), zero], { to: dtype });
      },
    }),
  );

  it('scale sums of integers', () =>
    compare({
      inputs: [{ dtype: 'uint8', dims: [9, 70], fill: positive }],
      graph: (b, x) => {
        const sums = b.op('dot', [x, bytes(b, 'int8', [70, 20])], { lhs: 'mk', rhs: 'kn', out: 'mn' });
        return quantized(b, dequantized(b, sums, perChannel(b, [20])), perTensor(b, 2));
      },
    }));
});
