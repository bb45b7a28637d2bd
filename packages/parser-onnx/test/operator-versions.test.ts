/** Operators whose form changed between opsets, each old form against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { expectLikeOrt, integers, numbers } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const f32 = (values: readonly number[], dims?: readonly number[]): Tensor => new Tensor('float32', values, dims);
const scalar = (v: number): ReturnType<typeof constant> => constant(f32([v], []));
const axes = (...values: number[]): ReturnType<typeof constant> => constant(new Tensor('int64', values));
const like = (
  op: string,
  opset: number,
  inputs: OneNode['inputs'],
  attributes: OneNode['attributes'] = {},
  outputs?: OneNode['outputs'],
): Promise<void> => expectLikeOrt({ op, opset, inputs, attributes, ...(outputs && { outputs }) });

const x = numbers([2, 3, 4], 1, 3);

describe('Softmax, LogSoftmax, Hardmax', () => {
  for (const op of ['Softmax', 'LogSoftmax', 'Hardmax']) {
    it(`${op} flattens at the axis to opset 12`, async () => {
      await like(op, 7, [x]);
      await like(op, 11, [x], { axis: 0 });
      await like(op, 11, [x], { axis: -1 });
    });
    it(`${op} runs along the axis from opset 13 on`, async () => {
      await like(op, 13, [x]);
      await like(op, 13, [x], { axis: 1 });
    });
  }
});

describe('Clip', () => {
  it('has attributes to opset 10', async () => {
    await like('Clip', 7, [x], { min: { float: -1 }, max: { float: 0.5 } });
    await like('Clip', 7, [x], { max: { float: 0.5 } });
  });
  it('has inputs from opset 11 on', async () => {
    await like('Clip', 11, [x, scalar(-1), scalar(0.5)]);
    await like('Clip', 13, [x, undefined, scalar(0.5)]);
    await like('Clip', 13, [x, scalar(2), scalar(-2)]);
  });
});

describe('reductions', () => {
  for (const op of [
    'ReduceSum',
    'ReduceMean',
    'ReduceMax',
    'ReduceMin',
    'ReduceProd',
    'ReduceL1',
    'ReduceL2',
    'ReduceSumSquare',
    'ReduceLogSumExp',
  ]) {
    it(`${op} reads axes from attributes and inputs`, async () => {
      await like(op, 11, [x], { axes: [1], keepdims: 0 });
      await like(op, 11, [x], { axes: [-1, 0], keepdims: 1 });
      await like(op, 11, [x], { keepdims: 0 });
      await like(op, 18, [x, axes(-1)], { keepdims: 1 });
      await like(op, 18, [x, axes(0, 2)], { keepdims: 0 });
      await like(op, 18, [x], { keepdims: 1 });
      await like(op, 18, [x], { noop_with_empty_axes: 1 });
      await like(op, 18, [x, new Tensor('int64', [1, 2])], { keepdims: 1 });
      await like(op, 18, [x, new Tensor('int64', [0])], { keepdims: 0 });
    });
  }
  it('ReduceLogSum', () => like('ReduceLogSum', 13, [f32([1, 2, 3, 4, 5, 6], [2, 3])], { axes: [1] }));
  it('ReduceSum reads its axes from an input since opset 13', () =>
    like('ReduceSum', 13, [x, axes(1)], { keepdims: 0 }));
  it('reduces integers', async () => {
    const i = integers('int32', [3, 4], -9, 9);
    for (const op of ['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceMean', 'ReduceL1'])
      await like(op, 13, op === 'ReduceSum' ? [i, axes(1)] : [i], op === 'ReduceSum' ? {} : { axes: [1] });
  });
  it('ArgMax and ArgMin', async () => {
    const ties = f32([1, 3, 3, 2, 0, 0], [2, 3]);
    for (const op of ['ArgMax', 'ArgMin']) {
      await like(op, 11, [ties], { axis: 1, keepdims: 0 }, ['int64']);
      await like(op, 13, [ties], { axis: -1, select_last_index: 1 }, ['int64']);
      await like(op, 13, [ties], {}, ['int64']);
    }
  });
  it('CumSum', async () => {
    const axis = constant(new Tensor('int64', [1], []));
    for (const exclusive of [0, 1])
      for (const reverse of [0, 1]) await like('CumSum', 14, [x, axis], { exclusive, reverse });
    await like('CumSum', 14, [x, new Tensor('int64', [-1], [])]);
  });
});

describe('normalizations', () => {
  const image = numbers([2, 4, 3, 3], 5);
  const channels = (seed: number): ReturnType<typeof constant> => constant(numbers([4], seed));
  const variance = constant(f32([0.5, 1, 2, 0.1]));
  const symbolic = (dims: readonly number[]): readonly number[] => (dims.length === 4 ? [0, 2, 3] : []);
  const at = (
    op: string,
    opset: number,
    inputs: OneNode['inputs'],
    attributes: OneNode['attributes'] = {},
    outputs?: OneNode['outputs'],
  ): Promise<void> => expectLikeOrt({ op, opset, inputs, attributes, ...(outputs && { outputs }) }, { symbolic });

  it('BatchNormalization in inference', async () => {
    const inputs = [image, channels(1), channels(2), channels(3), variance];
    for (const opset of [7, 9, 14, 15]) await at('BatchNormalization', opset, inputs, { epsilon: { float: 1e-3 } });
    await at('BatchNormalization', 15, [numbers([2, 4], 6), channels(1), channels(2), channels(3), variance]);
  });
  it('BatchNormalization in training', () =>
    at(
      'BatchNormalization',
      15,
      [image, channels(1), channels(2), channels(3), variance],
      { training_mode: 1, momentum: { float: 0.8 } },
      ['float32', 'float32', 'float32'],
    ));
  it('InstanceNormalization', () => at('InstanceNormalization', 7, [image, channels(1), channels(2)]));
  it('GroupNormalization scales groups in opset 18 and channels in 21', async () => {
    await at('GroupNormalization', 18, [image, constant(numbers([2], 1)), constant(numbers([2], 2))], {
      num_groups: 2,
    });
    await at('GroupNormalization', 21, [image, channels(1), channels(2)], { num_groups: 2 });
  });
  it('LayerNormalization with statistics', async () => {
    const [scale, bias] = [constant(numbers([3, 4], 7)), constant(numbers([3, 4], 8))];
    await expectLikeOrt(
      {
        op: 'LayerNormalization',
        opset: 17,
        inputs: [x, scale, bias],
        attributes: { axis: 1 },
        outputs: ['float32', 'float32', 'float32'],
      },
      { symbolic: () => [0] },
    );
    await expectLikeOrt(
      { op: 'LayerNormalization', opset: 17, inputs: [x, constant(numbers([4], 9))], attributes: { axis: -1 } },
      { symbolic: (d) => (d.length === 3 ? [0, 1] : []) },
    );
  });
  it('LRN', () =>
    at('LRN', 13, [image], { size: 3, alpha: { float: 0.01 }, beta: { float: 0.6 }, bias: { float: 2 } }));
  it('LpNormalization', async () => {
    for (const p of [1, 2]) await like('LpNormalization', 7, [x], { p, axis: 1 });
  });
  it('MeanVarianceNormalization', () => at('MeanVarianceNormalization', 13, [image], {}));
});

describe('quantization', () => {
  const scale = constant(f32([0.02, 0.5, 0.1]));
  const zero = constant(new Tensor('uint8', [128, 3, 0]));
  it('QuantizeLinear', async () => {
    await expectLikeOrt({
      op: 'QuantizeLinear',
      opset: 10,
      inputs: [x, scalar(0.03), constant(new Tensor('int8', [-5], []))],
      outputs: ['int8'],
    });
    await expectLikeOrt(
      { op: 'QuantizeLinear', opset: 13, inputs: [x, scale, zero], attributes: { axis: 1 }, outputs: ['uint8'] },
      { symbolic: () => [0, 2] },
    );
    await expectLikeOrt({ op: 'QuantizeLinear', opset: 13, inputs: [x, scalar(0.03)], outputs: ['uint8'] });
    await expectLikeOrt({
      op: 'QuantizeLinear',
      opset: 21,
      inputs: [x, scalar(0.003)],
      attributes: { output_dtype: 5 },
      outputs: ['int16'],
    });
  });
  it('by blocks, also with a short last one', async () => {
    const data = numbers([2, 6], 3, 2);
    for (const blockSize of [3, 4]) {
      await expectLikeOrt(
        {
          op: 'QuantizeLinear',
          opset: 21,
          inputs: [data, constant(f32([0.1, 0.02, 0.05, 0.3], [2, 2]))],
          attributes: { axis: 1, block_size: blockSize, output_dtype: 3 },
          outputs: ['int8'],
        },
        { symbolic: () => [] },
      );
    }
  });
  it('DequantizeLinear', async () => {
    const levels = integers('uint8', [2, 3, 4], 0, 255);
    await expectLikeOrt(
      {
        op: 'DequantizeLinear',
        opset: 13,
        inputs: [levels, scale, zero],
        attributes: { axis: -2 },
        outputs: ['float32'],
      },
      { symbolic: () => [0, 2] },
    );
    await expectLikeOrt({
      op: 'DequantizeLinear',
      opset: 10,
      inputs: [integers('int32', [5], -1000, 1000), scalar(0.01)],
      outputs: ['float32'],
    });
  });
  it('DynamicQuantizeLinear', async () => {
    for (const data of [x, f32([1, 2, 3]), f32([-1, -2, -5])])
      await expectLikeOrt({
        op: 'DynamicQuantizeLinear',
        opset: 11,
        inputs: [data],
        outputs: ['uint8', 'float32', 'uint8'],
      });
  });
});

describe('arithmetic', () => {
  it('Pow of two dtypes', async () => {
    const i = integers('int32', [3], -4, 4);
    await like('Pow', 13, [i, f32([2, 1, 3])]);
    await like('Pow', 13, [f32([2, -3, 0.5]), i]);
    await like('Pow', 13, [i, new Tensor('int64', [2, 0, 3])]);
  });
  it('Mod with either sign', async () => {
    const [a, b] = [new Tensor('int32', [-7, 7, -7, 7]), new Tensor('int32', [3, 3, -3, -3])];
    await like('Mod', 13, [a, b]);
    await like('Mod', 13, [a, b], { fmod: 1 });
    await like('Mod', 13, [f32([-7.5, 7.5, 2]), f32([2, -2, Infinity])], { fmod: 1 });
  });
  it('integers wrap and truncate', async () => {
    const big = new Tensor('int32', [2147483647, -2147483648, -7, 100000]);
    await like('Add', 14, [big, big]);
    await like('Mul', 14, [big, big]);
    await like('Div', 14, [big, new Tensor('int32', [2, 3, 2, -3])]);
    const long = new Tensor('int64', [9223372036854775807n, -9223372036854775808n, -7n]);
    await like('Mul', 14, [long, long]);
    await like('Div', 14, [long, new Tensor('int64', [2n, 3n, 2n])]);
  });
  it('BitShift', async () => {
    for (const direction of ['LEFT', 'RIGHT'])
      await like('BitShift', 11, [new Tensor('uint8', [255, 16, 1]), new Tensor('uint8', [1, 3, 7])], { direction });
  });
  it('PRelu', async () => {
    await like('PRelu', 9, [x, numbers([3, 1], 2)]);
    await like('PRelu', 16, [x, numbers([4], 2)]);
  });
  it('Dropout is the identity in inference', async () => {
    await like('Dropout', 7, [x], { ratio: { float: 0.3 } });
    await like('Dropout', 10, [x]);
    await like('Dropout', 13, [x, scalar(0.3)], {}, ['float32', 'bool']);
  });
  it('Cast', async () => {
    for (const to of [2, 3, 6, 7, 9, 10, 11]) {
      const outputs = {
        2: 'uint8',
        3: 'int8',
        6: 'int32',
        7: 'int64',
        9: 'bool',
        10: 'float16',
        11: 'float64',
      } as const;
      await like('Cast', 13, [f32([0, -0, 1.5, 100.7, 0.2, 65519])], { to }, [outputs[to as 2]]);
    }
  });
});

describe('losses', () => {
  const scores = numbers([3, 5, 2], 4);
  const labels = new Tensor('int64', [0, 4, 2, 2, 1, 3], [3, 2]);
  const weight = constant(f32([1, 0.5, 2, 0.1, 3]));
  for (const reduction of ['none', 'sum', 'mean']) {
    it(`SoftmaxCrossEntropyLoss, ${reduction}`, async () => {
      await like('SoftmaxCrossEntropyLoss', 13, [scores, labels, weight], { reduction, ignore_index: 2 }, [
        'float32',
        'float32',
      ]);
      await like('SoftmaxCrossEntropyLoss', 13, [scores, labels], { reduction });
    });
    it(`NegativeLogLikelihoodLoss, ${reduction}`, () =>
      like('NegativeLogLikelihoodLoss', 13, [scores, labels, weight], { reduction }));
  }
});
