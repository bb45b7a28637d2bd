/** com.microsoft's activations and quantized arithmetic against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { expectLikeOrt, integers, numbers } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const domain = 'com.microsoft';
const f32 = (v: number): { initializer: Tensor } => constant(new Tensor('float32', [v], []));
const u8 = (v: number): { initializer: Tensor } => constant(new Tensor('uint8', [v], []));
const node = (op: string, inputs: OneNode['inputs'], attributes: OneNode['attributes'] = {}): OneNode => ({
  op,
  domain,
  inputs,
  attributes,
});

it('Trilu', async () => {
  await expectLikeOrt(node('Trilu', [numbers([2, 3, 4], 3)]));
  await expectLikeOrt(node('Trilu', [numbers([3, 3], 3), new Tensor('int64', [-1], [])], { upper: 0 }));
});

describe('activations', () => {
  const x = numbers([2, 3, 8], 1, 4);
  const bias = numbers([8], 2);
  it('Gelu', () => expectLikeOrt(node('Gelu', [x])));
  it('BiasGelu', () =>
    expectLikeOrt(node('BiasGelu', [x, bias]), { symbolic: (dims) => (dims.length > 1 ? [0, 1] : []) }));
  it('FastGelu', () => expectLikeOrt(node('FastGelu', [x])));
  it('FastGelu with a bias', () =>
    expectLikeOrt(node('FastGelu', [x, bias]), { symbolic: (dims) => (dims.length > 1 ? [0, 1] : []) }));
  it('QuickGelu', () => expectLikeOrt(node('QuickGelu', [x], { alpha: { float: 1.5 } })));
});

describe('quantized arithmetic', () => {
  const a = integers('uint8', [2, 3, 4], 0, 255, 1);
  const b = integers('uint8', [3, 4], 0, 255, 2);
  // A step of one level: the two sides may round a tie apart.
  const close = { atol: 1, rtol: 0 };
  it('QLinearAdd', () =>
    expectLikeOrt(node('QLinearAdd', [a, f32(0.02), u8(120), b, f32(0.03), u8(7), f32(0.05), u8(128)]), close));
  it('QLinearMul', () =>
    expectLikeOrt(node('QLinearMul', [a, f32(0.02), u8(120), b, f32(0.03), u8(7), f32(0.05), u8(128)]), close));
  it('QLinearSigmoid', () =>
    expectLikeOrt(node('QLinearSigmoid', [a, f32(0.05), u8(128), f32(1 / 256), u8(0)]), close));
  it('QLinearLeakyRelu', () =>
    expectLikeOrt(
      node('QLinearLeakyRelu', [a, f32(0.05), u8(128), f32(0.04), u8(60)], { alpha: { float: 0.2 } }),
      close,
    ));
  it('QLinearSoftmax', () =>
    expectLikeOrt(
      node('QLinearSoftmax', [a, f32(0.05), u8(128), f32(1 / 256), u8(0)], { axis: -1, opset: 13 }),
      close,
    ));
  it('QLinearWhere', () => {
    const condition = new Tensor('bool', new Uint8Array([1, 0, 1, 0]));
    return expectLikeOrt(
      {
        ...node('QLinearWhere', [condition, a, f32(0.02), u8(120), b, f32(0.03), u8(7), f32(0.05), u8(128)]),
        outputs: ['uint8'],
      },
      close,
    );
  });
  it('QuantizeLinear and DequantizeLinear', async () => {
    await expectLikeOrt(
      {
        ...node(
          'QuantizeLinear',
          [numbers([2, 3, 4], 3, 2), constant(numbers([3], 4, 0.01)), constant(new Tensor('int8', [1, -2, 3]))],
          { axis: 1 },
        ),
        outputs: ['int8'],
      },
      { symbolic: () => [0, 2] },
    );
    await expectLikeOrt({ ...node('DequantizeLinear', [a, f32(0.03), u8(100)]), outputs: ['float32'] });
  });
});
