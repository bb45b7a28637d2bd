/** com.microsoft's convolutions, pools, image and signal operators against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { expectClose, expectLikeOrt, integers, numbers, runHere, runOrt } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const domain = 'com.microsoft';
const scalar = (v: number): ReturnType<typeof constant> => constant(new Tensor('float32', [v], []));
const zero = (v: number, dtype: 'uint8' | 'int8' = 'uint8'): ReturnType<typeof constant> =>
  constant(new Tensor(dtype, [v], []));

describe('convolutions', () => {
  const [x, w, b] = [numbers([2, 3, 6, 5], 1), constant(numbers([4, 3, 3, 3], 2)), constant(numbers([4], 3))];
  const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  it('FusedConv activates', () =>
    expectLikeOrt({
      op: 'FusedConv',
      domain,
      inputs: [x, w, b],
      attributes: { ...attributes, activation: 'LeakyRelu', activation_params: { floats: [0.1] } },
    }));
  it('FusedConv adds', () =>
    expectLikeOrt(
      {
        op: 'FusedConv',
        domain,
        inputs: [x, w, b, numbers([2, 4, 6, 5], 4)],
        attributes: { ...attributes, activation: 'Relu' },
      },
      { symbolic: false },
    ));
  it('FusedConv clips', () =>
    expectLikeOrt({
      op: 'FusedConv',
      domain,
      inputs: [x, w, b],
      attributes: { ...attributes, activation: 'Clip', activation_params: { floats: [-0.5, 0.7] } },
    }));
  it('QLinearConv', () =>
    expectLikeOrt({
      op: 'QLinearConv',
      domain,
      inputs: [
        integers('uint8', [1, 3, 6, 5], 0, 255, 1),
        scalar(0.02),
        zero(120),
        constant(integers('int8', [4, 3, 3, 3], -127, 127, 2)),
        constant(new Tensor('float32', [0.01, 0.02, 0.03, 0.04])),
        constant(new Tensor('int8', [0, 0, 0, 0])),
        scalar(0.3),
        zero(110),
        constant(integers('int32', [4], -500, 500, 3)),
      ],
      attributes,
    }));
  it('QLinearConv with the channels last', () =>
    expectLikeOrt({
      op: 'QLinearConv',
      domain,
      inputs: [
        integers('uint8', [1, 6, 5, 3], 0, 255, 1),
        scalar(0.02),
        zero(120),
        constant(integers('int8', [4, 3, 3, 3], -127, 127, 2)),
        scalar(0.01),
        zero(0, 'int8'),
        scalar(0.3),
        zero(110),
      ],
      attributes: { ...attributes, channels_last: 1 },
    }));
});

describe('quantized pools', () => {
  const parameters = [scalar(0.02), zero(120), scalar(0.01), zero(100)];
  const x = integers('uint8', [1, 3, 6, 6], 0, 255, 1);
  it('QLinearAveragePool', () =>
    expectLikeOrt({
      op: 'QLinearAveragePool',
      domain,
      inputs: [x, ...parameters],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    }));
  it('QLinearGlobalAveragePool', () =>
    expectLikeOrt({ op: 'QLinearGlobalAveragePool', domain, inputs: [x, ...parameters] }));
  it('QLinearConcat', () =>
    expectLikeOrt({
      op: 'QLinearConcat',
      domain,
      inputs: [
        scalar(0.02),
        zero(120),
        x,
        scalar(0.02),
        zero(120),
        integers('uint8', [1, 3, 6, 6], 0, 255, 2),
        scalar(0.01),
        zero(100),
      ],
      attributes: { axis: 1 },
      outputs: ['uint8'],
    }));
  it('NhwcMaxPool', () =>
    expectLikeOrt({
      op: 'NhwcMaxPool',
      domain,
      inputs: [integers('uint8', [1, 6, 6, 3], 0, 255, 1)],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    }));
});

describe('images and signals', () => {
  it('CropAndResize', () =>
    expectLikeOrt({
      op: 'CropAndResize',
      domain,
      inputs: [
        numbers([2, 3, 8, 7], 1),
        new Tensor('float32', [0.1, 0.2, 0.8, 0.9, -0.3, 0, 0.5, 1.4, 0, 0, 1, 1], [3, 4]),
        new Tensor('int32', [0, 1, 1]),
        constant(new Tensor('int32', [4, 5])),
      ],
      attributes: { extrapolation_value: { float: 0.25 } },
    }));
  it('GridSample', () =>
    expectLikeOrt({
      op: 'GridSample',
      domain,
      inputs: [numbers([1, 2, 5, 6], 1), numbers([1, 3, 4, 2], 2, 1.2)],
      attributes: { mode: 'bilinear', padding_mode: 'border' },
    }));
  it('Inverse', () => expectLikeOrt({ op: 'Inverse', domain, inputs: [numbers([2, 3, 3], 1)] }, { rtol: 1e-3 }));
  it('Rfft and Irfft undo each other', async () => {
    const x = numbers([2, 6], 1);
    const [spectrum] = await runHere({ op: 'Rfft', domain, inputs: [x], attributes: { signal_ndim: 1 } });
    expect(spectrum!.dims).toEqual([2, 4, 2]);
    expectClose(await runHere({ op: 'Irfft', domain, inputs: [spectrum!], attributes: { signal_ndim: 1 } }), [x], {});
  });
  it('RelativePositionBias has the buckets of T5', async () => {
    // Buckets of T5's decoder, from its published formula, for distances 0 to 8 with 8 buckets and max_distance 16.
    const table = new Tensor(
      'float32',
      Float32Array.from({ length: 8 }, (_, i) => i),
      [8, 1],
    );
    const node: OneNode = {
      op: 'RelativePositionBias',
      domain,
      inputs: [constant(table), constant(new Tensor('int64', [9])), constant(new Tensor('int64', [9]))],
      attributes: { max_distance: 16, is_bidirectional: 0 },
    };
    const [bias] = await runHere(node);
    expect(Array.from((bias!.data as Float32Array).subarray(72, 81)).reverse()).toEqual([0, 1, 2, 3, 4, 4, 5, 5, 6]);
  });
});

it('DynamicQuantizeLSTM stays near ONNX Runtime', async () => {
  const node: OneNode = {
    op: 'DynamicQuantizeLSTM',
    domain,
    inputs: [
      numbers([4, 2, 3], 1),
      constant(integers('int8', [1, 3, 16], -127, 127, 2)),
      constant(integers('int8', [1, 4, 16], -127, 127, 3)),
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      constant(new Tensor('float32', [0.01])),
      constant(new Tensor('int8', [0])),
      constant(new Tensor('float32', [0.01])),
      constant(new Tensor('int8', [0])),
    ],
    attributes: { hidden_size: 4 },
    outputs: ['float32', 'float32', 'float32'],
  };
  expectClose(await runHere(node), await runOrt(node), { rtol: 0.02, atol: 0.02 });
});
