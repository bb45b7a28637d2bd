/** Resize and Upsample of all opsets, GridSample, recurrent layers, selections: against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { expectLikeOrt, integers, numbers } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const floats = (...values: number[]): ReturnType<typeof constant> => constant(new Tensor('float32', values));
const longs = (...values: number[]): ReturnType<typeof constant> => constant(new Tensor('int64', values));

describe('Upsample and the first Resize', () => {
  const x = numbers([1, 2, 4, 6], 1);
  it.each(['nearest', 'linear'])('Upsample of opset 7, %s', (mode) =>
    expectLikeOrt({ op: 'Upsample', opset: 7, inputs: [x], attributes: { mode, scales: { floats: [1, 1, 2, 1.5] } } }),
  );
  it.each(['nearest', 'linear'])('Upsample of opset 9, %s', (mode) =>
    expectLikeOrt({ op: 'Upsample', opset: 9, inputs: [x, floats(1, 1, 2, 3)], attributes: { mode } }),
  );
  it.each(['nearest', 'linear'])('Resize of opset 10 both ways, %s', (mode) =>
    expectLikeOrt({ op: 'Resize', opset: 10, inputs: [x, floats(1, 1, 2, 0.5)], attributes: { mode } }),
  );
});

describe('Resize', () => {
  const x = numbers([1, 2, 5, 6], 1);
  const resize = (inputs: OneNode['inputs'], attributes: OneNode['attributes'], opset = 13): OneNode => ({
    op: 'Resize',
    opset,
    inputs: [x, ...inputs],
    attributes: attributes ?? {},
  });
  const coordinates = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];
  it.each(coordinates.flatMap((c) => ['nearest', 'linear', 'cubic'].map((m) => [c, m] as const)))(
    'to sizes, %s, %s',
    (coordinate_transformation_mode, mode) =>
      expectLikeOrt(resize([undefined, undefined, longs(1, 2, 8, 4)], { coordinate_transformation_mode, mode })),
  );
  it.each([11, 12])('with empty inputs, opset %i', (opset) =>
    expectLikeOrt(
      resize(
        [floats(), floats(), longs(1, 2, 10, 12)],
        { coordinate_transformation_mode: 'half_pixel', mode: 'linear' },
        opset,
      ),
    ),
  );
  it.each(['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'])('nearest by %s', (nearest_mode) =>
    expectLikeOrt(resize([undefined, floats(1, 1, 1.6, 0.5)], { mode: 'nearest', nearest_mode })),
  );
  it('crops', () =>
    expectLikeOrt(
      resize([floats(0, 0, 0.2, -0.1, 1, 1, 0.9, 1.2), undefined, longs(1, 2, 4, 5)], {
        mode: 'linear',
        coordinate_transformation_mode: 'tf_crop_and_resize',
        extrapolation_value: { float: 9 },
      }),
    ));
  it('excludes what lies outside', () =>
    expectLikeOrt(
      resize([undefined, floats(1, 1, 2, 2)], { mode: 'cubic', exclude_outside: 1, cubic_coeff_a: { float: -0.5 } }),
    ));
  it('antialiases', () =>
    expectLikeOrt(resize([undefined, undefined, longs(2, 3)], { mode: 'linear', antialias: 1, axes: [2, 3] }, 18)));
  it.each(['not_larger', 'not_smaller'])('keeps the aspect ratio, %s', (keep_aspect_ratio_policy) =>
    expectLikeOrt(
      resize([undefined, undefined, longs(8, 7)], { mode: 'linear', keep_aspect_ratio_policy, axes: [2, 3] }, 18),
    ),
  );
});

describe('GridSample', () => {
  it.each(
    ['bilinear', 'nearest', 'bicubic'].flatMap((m) => ['zeros', 'border', 'reflection'].map((p) => [m, p] as const)),
  )('%s, %s', (mode, padding_mode) =>
    expectLikeOrt({
      op: 'GridSample',
      opset: 16,
      inputs: [numbers([2, 2, 5, 6], 1), numbers([2, 3, 4, 2], 2, 1.4)],
      attributes: { mode, padding_mode, align_corners: padding_mode === 'border' ? 1 : 0 },
    }),
  );
  it.each([0, 1])('bicubic with a border, far away and at no place at all (align_corners %i)', (align_corners) => {
    const far = [Infinity, 0, -Infinity, 0, 0.5, Infinity, -Infinity, Infinity, NaN, -0.5, 1e10, 0, -3, -1e20, 0, 4];
    return expectLikeOrt({
      op: 'GridSample',
      opset: 16,
      inputs: [numbers([1, 2, 5, 6], 1), new Tensor('float32', Float32Array.from(far), [1, 2, 4, 2])],
      attributes: { mode: 'bicubic', padding_mode: 'border', align_corners },
    });
  });
});

describe('recurrent layers', () => {
  const [steps, batch, width, hidden] = [4, 3, 5, 2];
  const sequence = (dims: readonly number[]): readonly number[] =>
    dims.length === 3 && dims[2] === width ? [0, 1] : [];
  const layer = (
    op: string,
    gates: number,
    direction: string,
    extra: OneNode['inputs'] = [],
    attributes: OneNode['attributes'] = {},
  ): OneNode => {
    const directions = direction === 'bidirectional' ? 2 : 1;
    return {
      op,
      opset: 14,
      inputs: [
        numbers([steps, batch, width], 1),
        constant(numbers([directions, gates * hidden, width], 2)),
        constant(numbers([directions, gates * hidden, hidden], 3)),
        constant(numbers([directions, 2 * gates * hidden], 4)),
        ...extra,
      ],
      attributes: { hidden_size: hidden, direction, ...attributes },
      outputs: op === 'LSTM' ? ['float32', 'float32', 'float32'] : ['float32', 'float32'],
    };
  };
  const lengths = new Tensor('int32', [4, 2, 3]);
  it.each(['forward', 'reverse', 'bidirectional'])('LSTM %s with lengths, states and peepholes', (direction) => {
    const d = direction === 'bidirectional' ? 2 : 1;
    return expectLikeOrt(
      layer('LSTM', 4, direction, [
        lengths,
        numbers([d, batch, hidden], 5),
        numbers([d, batch, hidden], 6),
        constant(numbers([d, 3 * hidden], 7)),
      ]),
      { symbolic: sequence },
    );
  });
  it('LSTM couples gates and clips', () =>
    expectLikeOrt(layer('LSTM', 4, 'forward', [], { input_forget: 1, clip: { float: 0.3 } }), { symbolic: sequence }));
  it.each([0, 1])('GRU with linear_before_reset %i', (linear_before_reset) =>
    expectLikeOrt(
      layer('GRU', 3, 'bidirectional', [lengths, numbers([2, batch, hidden], 5)], { linear_before_reset }),
      { symbolic: sequence },
    ),
  );
  it('RNN with activations', () =>
    expectLikeOrt(
      layer('RNN', 1, 'bidirectional', [], {
        activations: ['LeakyRelu', 'Affine'],
        activation_alpha: { floats: [0.2, 0.7] },
        activation_beta: { floats: [0.3] },
      }),
      { symbolic: sequence },
    ));
});

describe('selections', () => {
  it('TopK of opset 1 and 10', async () => {
    await expectLikeOrt({
      op: 'TopK',
      opset: 9,
      inputs: [numbers([3, 6], 1)],
      attributes: { k: 2, axis: 1 },
      outputs: ['float32', 'int64'],
    });
    await expectLikeOrt({
      op: 'TopK',
      opset: 10,
      inputs: [numbers([3, 6], 1), longs(3)],
      attributes: { axis: 0 },
      outputs: ['float32', 'int64'],
    });
  });
  it('Scatter of opset 9', () =>
    expectLikeOrt({
      op: 'Scatter',
      opset: 9,
      inputs: [numbers([3, 4], 1), integers('int64', [2, 4], 0, 2, 2), numbers([2, 4], 3)],
      attributes: { axis: 0 },
    }));
  it('NonZero and Compress', async () => {
    const x = integers('int32', [3, 5], 0, 1, 3);
    await expectLikeOrt({ op: 'NonZero', inputs: [x], outputs: ['int64'] });
    await expectLikeOrt({
      op: 'Compress',
      inputs: [numbers([3, 4], 1), new Tensor('bool', [1, 0, 1])],
      attributes: { axis: 0 },
    });
  });
  it.each([0, 1])('Unique, sorted %i', (sorted) =>
    expectLikeOrt({
      op: 'Unique',
      inputs: [integers('int64', [4, 3], 0, 3, 2)],
      attributes: { sorted },
      outputs: ['int64', 'int64', 'int64', 'int64'],
    }),
  );
  it.each([0, 1])('NonMaxSuppression, centred boxes %i', (center_point_box) => {
    const boxes = numbers([2, 12, 4], 1);
    const positive = new Tensor(
      'float32',
      boxes.data.map((v) => Math.abs(v) * 3),
      [2, 12, 4],
    );
    return expectLikeOrt({
      op: 'NonMaxSuppression',
      inputs: [positive, numbers([2, 2, 12], 2), longs(4), floats(0.3), floats(0)],
      attributes: { center_point_box },
      outputs: ['int64'],
    });
  });
  it('MaxUnpool', () =>
    expectLikeOrt({
      op: 'MaxUnpool',
      inputs: [numbers([1, 1, 2, 2], 1), new Tensor('int64', [0, 3, 9, 15], [1, 1, 2, 2])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    }));
});
