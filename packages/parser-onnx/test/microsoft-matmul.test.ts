/** com.microsoft's matrix products against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { expectLikeOrt, integers, numbers } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const domain = 'com.microsoft';
const scalar = (v: number): ReturnType<typeof constant> => constant(new Tensor('float32', [v], []));
const only =
  (...axes: number[]) =>
  (): readonly number[] =>
    axes;

describe('fused products', () => {
  const fused = (inputs: OneNode['inputs'], attributes: OneNode['attributes'] = {}): OneNode => ({
    op: 'FusedMatMul',
    domain,
    inputs,
    attributes,
  });
  it('FusedMatMul scales', () =>
    expectLikeOrt(fused([numbers([2, 3, 4], 1), numbers([2, 4, 5], 2)], { alpha: { float: 0.5 } })));
  it('FusedMatMul transposes', () =>
    expectLikeOrt(fused([numbers([2, 4, 3], 1), numbers([2, 5, 4], 2)], { transA: 1, transB: 1 })));
  it('FusedMatMul moves batches', () =>
    expectLikeOrt(fused([numbers([3, 2, 4], 1), numbers([2, 4, 5], 2)], { transBatchA: 1 })));
  it('FusedMatMul moves batches and transposes', () =>
    expectLikeOrt(
      fused([numbers([4, 2, 3], 1), numbers([4, 2, 5], 2)], { transBatchA: 1, transA: 1, transBatchB: 1 }),
    ));
  it('TransposeMatMul', () =>
    expectLikeOrt({
      op: 'TransposeMatMul',
      domain,
      inputs: [numbers([4, 3], 1), numbers([4, 5], 2)],
      attributes: { transA: 1 },
    }));
  it('FusedGemm activates', () =>
    expectLikeOrt({
      op: 'FusedGemm',
      domain,
      inputs: [numbers([3, 4], 1), numbers([5, 4], 2), numbers([5], 3)],
      attributes: {
        transB: 1,
        alpha: { float: 2 },
        beta: { float: 0.5 },
        activation: 'LeakyRelu',
        activation_alpha: { float: 0.2 },
      },
    }));
});

describe('MatMulNBits', () => {
  const node = (bits: number, k: number, extra: OneNode['inputs'] = [], block = 16): OneNode => {
    const [n, blocks] = [6, Math.ceil(k / block)];
    return {
      op: 'MatMulNBits',
      domain,
      inputs: [
        numbers([2, 3, k], 1),
        constant(integers('uint8', [n, blocks, (block * bits) / 8], 0, 255, 2)),
        constant(numbers([n * blocks], 3, 0.1)),
        ...extra,
      ],
      attributes: { N: n, K: k, bits, block_size: block },
    };
  };
  it('4 bits', () => expectLikeOrt(node(4, 32), { symbolic: only(0, 1) }));
  it('4 bits, a last block cut short', () => expectLikeOrt(node(4, 40), { symbolic: only(0, 1) }));
  it('4 bits with packed zero points', () =>
    expectLikeOrt(node(4, 48, [constant(integers('uint8', [6 * 2], 0, 255, 4))]), { symbolic: only(0, 1) }));
  it('4 bits with float zero points', () =>
    expectLikeOrt(node(4, 32, [constant(numbers([6 * 2], 4, 8))]), { symbolic: only(0, 1) }));
  it('4 bits with a bias', () =>
    expectLikeOrt(node(4, 32, [undefined, undefined, constant(numbers([6], 5))]), { symbolic: only(0, 1) }));
  it('8 bits', () => expectLikeOrt(node(8, 32), { symbolic: only(0, 1), rtol: 1e-3, atol: 1e-3 }));
});

it('MatMulBnb4 of both types', async () => {
  for (const quantType of [0, 1]) {
    await expectLikeOrt(
      {
        op: 'MatMulBnb4',
        domain,
        inputs: [
          numbers([3, 32], 1),
          constant(integers('uint8', [(6 * 32) / 2], 0, 255, 2)),
          constant(numbers([(6 * 32) / 16], 3)),
        ],
        attributes: { N: 6, K: 32, block_size: 16, quant_type: quantType },
      },
      { symbolic: only(0) },
    );
  }
});

describe('GatherBlockQuantized', () => {
  const indices = new Tensor('int64', [2, 0, 4], [3]);
  it('packed 4 bits', () =>
    expectLikeOrt({
      op: 'GatherBlockQuantized',
      domain,
      inputs: [constant(integers('uint8', [5, 16], 0, 255, 1)), indices, constant(numbers([5, 2], 2))],
      attributes: { block_size: 16, quantize_axis: 1, bits: 4 },
      outputs: ['float32'],
    }));
  it('packed 4 bits with zero points', () =>
    expectLikeOrt({
      op: 'GatherBlockQuantized',
      domain,
      inputs: [
        constant(integers('uint8', [5, 16], 0, 255, 1)),
        indices,
        constant(numbers([5, 2], 2)),
        constant(integers('uint8', [5, 1], 0, 255, 3)),
      ],
      attributes: { block_size: 16, quantize_axis: 1, bits: 4 },
      outputs: ['float32'],
    }));
  it('8 bits', () =>
    expectLikeOrt({
      op: 'GatherBlockQuantized',
      domain,
      inputs: [constant(integers('uint8', [5, 32], 0, 255, 1)), indices, constant(numbers([5, 2], 2))],
      attributes: { block_size: 16, quantize_axis: 1, bits: 8 },
      outputs: ['float32'],
    }));
});

describe('integer products', () => {
  const [a, b] = [integers('uint8', [2, 3, 8], 0, 255, 1), constant(integers('int8', [8, 5], -127, 127, 2))];
  const zero = (v: number, dtype: 'uint8' | 'int8'): ReturnType<typeof constant> =>
    constant(new Tensor(dtype, [v], []));
  it('MatMulIntegerToFloat', () =>
    expectLikeOrt(
      {
        op: 'MatMulIntegerToFloat',
        domain,
        inputs: [
          a,
          b,
          scalar(0.02),
          constant(numbers([5], 3)),
          zero(120, 'uint8'),
          constant(integers('int8', [5], -5, 5, 4)),
          numbers([5], 5),
        ],
        outputs: ['float32'],
      },
      { atol: 1e-3 },
    ));
  it('DynamicQuantizeMatMul', () =>
    expectLikeOrt(
      {
        op: 'DynamicQuantizeMatMul',
        domain,
        inputs: [numbers([3, 8], 1), b, constant(numbers([5], 3)), undefined, constant(numbers([5], 4))],
        outputs: ['float32'],
      },
      { rtol: 1e-3, atol: 1e-3 },
    ));
  it('QGemm to integers', () =>
    expectLikeOrt({
      op: 'QGemm',
      domain,
      inputs: [
        integers('uint8', [3, 8], 0, 255, 1),
        scalar(0.02),
        zero(120, 'uint8'),
        constant(integers('int8', [5, 8], -127, 127, 2)),
        constant(new Tensor('float32', [0.01, 0.02, 0.03, 0.04, 0.05])),
        constant(new Tensor('int8', [0, 1, 2, 3, 4])),
        constant(integers('int32', [5], -100, 100, 3)),
        scalar(0.1),
        zero(128, 'uint8'),
      ],
      attributes: { transB: 1 },
      outputs: ['uint8'],
    }));
  it('QGemm to floats', () =>
    expectLikeOrt({
      op: 'QGemm',
      domain,
      inputs: [
        integers('uint8', [3, 8], 0, 255, 1),
        scalar(0.02),
        zero(120, 'uint8'),
        constant(integers('int8', [8, 5], -127, 127, 2)),
        scalar(0.01),
        zero(0, 'int8'),
      ],
      attributes: { alpha: { float: 0.5 } },
      outputs: ['float32'],
    }));
});

describe('MoE', () => {
  const [tokens, width, inner, experts] = [5, 8, 6, 3];
  const node = (attributes: OneNode['attributes'], fusion = 1, extra: OneNode['inputs'] = []): OneNode => ({
    op: 'MoE',
    domain,
    inputs: [
      numbers([tokens, width], 1),
      numbers([tokens, experts], 2, 3),
      numbers([experts, fusion * inner, width], 3),
      numbers([experts, fusion * inner], 4),
      numbers([experts, width, inner], 5),
      numbers([experts, width], 6),
      ...extra,
    ],
    attributes: { k: 2, ...attributes },
  });
  const tokensOnly = (dims: readonly number[]): readonly number[] => (dims[0] === tokens ? [0] : []);
  it('weights the best experts', () => expectLikeOrt(node({ activation_type: 'relu' }), { symbolic: tokensOnly }));
  it('normalizes their weights', () =>
    expectLikeOrt(node({ activation_type: 'gelu', normalize_routing_weights: 1 }), { symbolic: tokensOnly }));
  it('gates by swiglu, interleaved', () =>
    expectLikeOrt(
      node(
        {
          activation_type: 'swiglu',
          swiglu_fusion: 1,
          activation_alpha: { float: 1.702 },
          activation_beta: { float: 1 },
          swiglu_limit: { float: 7 },
        },
        2,
      ),
      { symbolic: tokensOnly },
    ));
});
