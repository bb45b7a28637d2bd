/** Matrix products, convolutions and pools in forms and opsets that the conformance data lacks, against ONNX Runtime. */

import { dimsKey, operatorOf, Tensor, topologicalOrder } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, it } from 'vitest';
import { expectLikeOrt, integers, numbers } from './support/against-onnxruntime.js';
import { constant, modelOf, type OneNode } from './support/one-node-model.js';

const spatial = (dims: readonly number[]): readonly number[] => dims.map((_, i) => i).filter((i) => i !== 1);

async function operatorsOf(node: OneNode): Promise<string[]> {
  const network = await OnnxParser.parse(modelOf(node, (dims) => dims.map((_, i) => i)));
  return topologicalOrder(network.graph)
    .map((n) => n.op)
    .filter((op) => op !== 'input' && operatorOf(op).kind !== 'source');
}

describe('MatMul', () => {
  const ranks: [number[], number[]][] = [
    [[4], [4]],
    [[4], [4, 5]],
    [[3, 4], [4]],
    [
      [3, 4],
      [4, 5],
    ],
    [
      [2, 3, 4],
      [4, 5],
    ],
    [[4], [2, 4, 5]],
    [
      [2, 1, 3, 4],
      [6, 4, 5],
    ],
    [
      [1, 3, 4],
      [2, 4, 5],
    ],
    [
      [2, 3, 4],
      [1, 4, 5],
    ],
  ];
  it.each(ranks)('%j × %j', (a, b) => expectLikeOrt({ op: 'MatMul', inputs: [numbers(a, 1), numbers(b, 2)] }));
  it('of integers', () =>
    expectLikeOrt({
      op: 'MatMul',
      inputs: [integers('int32', [3, 4], -90000, 90000, 1), integers('int32', [4, 5], -90000, 90000, 2)],
    }));
  it('of an N-dimensional and a two-dimensional operand is one dot', async () => {
    expect(await operatorsOf({ op: 'MatMul', inputs: [numbers([2, 3, 4, 5]), numbers([5, 6])] })).toEqual(['dot']);
  });
});

describe('Gemm', () => {
  it.each([7, 9, 11, 13])('of opset %i', (opset) =>
    expectLikeOrt({
      op: 'Gemm',
      opset,
      inputs: [numbers([4, 3], 1), numbers([5, 4], 2), numbers([5], 3)],
      attributes: { transA: 1, transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } },
    }),
  );
  it('without alpha and beta is a dot and a sum', async () => {
    expect(await operatorsOf({ op: 'Gemm', inputs: [numbers([4, 3]), numbers([3, 5]), numbers([5])] })).toEqual([
      'dot',
      'add',
    ]);
  });
});

describe('Einsum', () => {
  const cases: [string, number[][]][] = [
    [
      'ij,jk',
      [
        [2, 3],
        [3, 4],
      ],
    ],
    [
      'bij,bjk->bik',
      [
        [2, 3, 4],
        [2, 4, 5],
      ],
    ],
    [
      '...ij,...jk->...ik',
      [
        [2, 2, 3, 4],
        [2, 2, 4, 5],
      ],
    ],
    ['ii->i', [[3, 3]]],
    ['ii', [[3, 3]]],
    ['bii->b', [[2, 3, 3]]],
    ['ij->ji', [[2, 3]]],
    ['ij->', [[2, 3]]],
    [
      'bhwc,hkc->bhwk',
      [
        [2, 3, 4, 5],
        [3, 6, 5],
      ],
    ],
    ['i,j->ij', [[3], [4]]],
    [
      'ij,kl->',
      [
        [2, 3],
        [4, 5],
      ],
    ],
    [
      'ab,bc,cd->ad',
      [
        [2, 3],
        [3, 4],
        [4, 5],
      ],
    ],
    [
      'abc,cd,bd->a',
      [
        [2, 3, 4],
        [4, 5],
        [3, 5],
      ],
    ],
    [
      'b...,b...->...',
      [
        [2, 3, 4],
        [2, 3, 4],
      ],
    ],
  ];
  it.each(cases)('%s', (equation, dims) =>
    expectLikeOrt({ op: 'Einsum', inputs: dims.map((d, i) => numbers(d, i + 1)), attributes: { equation } }),
  );
});

describe('Conv and ConvTranspose', () => {
  const w = constant(numbers([4, 3, 3, 2], 2));
  it.each(['SAME_UPPER', 'SAME_LOWER', 'VALID'])('Conv with auto_pad %s', (auto_pad) =>
    expectLikeOrt(
      {
        op: 'Conv',
        inputs: [numbers([2, 3, 7, 6], 1), w, constant(numbers([4], 3))],
        attributes: { auto_pad, strides: [2, 3] },
      },
      { symbolic: spatial },
    ),
  );
  it('Conv with groups and dilations', () =>
    expectLikeOrt(
      {
        op: 'Conv',
        inputs: [numbers([1, 4, 9, 8], 1), constant(numbers([6, 2, 3, 3], 2))],
        attributes: { group: 2, dilations: [2, 1], pads: [2, 0, 1, 3], strides: [1, 2] },
      },
      { symbolic: spatial },
    ));
  it('Conv of one and three spatial axes', async () => {
    await expectLikeOrt(
      { op: 'Conv', inputs: [numbers([2, 3, 9], 1), constant(numbers([4, 3, 3], 2))], attributes: { pads: [1, 2] } },
      { symbolic: spatial },
    );
    await expectLikeOrt(
      {
        op: 'Conv',
        inputs: [numbers([1, 2, 4, 5, 6], 1), constant(numbers([3, 2, 2, 3, 2], 2))],
        attributes: { strides: [1, 2, 2] },
      },
      { symbolic: spatial },
    );
  });
  const wt = constant(numbers([3, 2, 3, 2], 2));
  it.each(['SAME_UPPER', 'SAME_LOWER'])('ConvTranspose with auto_pad %s', (auto_pad) =>
    expectLikeOrt(
      { op: 'ConvTranspose', inputs: [numbers([2, 3, 4, 5], 1), wt], attributes: { auto_pad, strides: [2, 2] } },
      { symbolic: spatial },
    ),
  );
  it('ConvTranspose with output_shape', () =>
    expectLikeOrt(
      {
        op: 'ConvTranspose',
        inputs: [numbers([2, 3, 4, 5], 1), wt, constant(numbers([2], 3))],
        attributes: { strides: [3, 2], output_shape: [10, 9] },
      },
      { symbolic: (d) => (d.length === 4 ? [0, 2, 3] : []) },
    ));
  it('ConvTranspose with groups, dilations and output padding', () =>
    expectLikeOrt(
      {
        op: 'ConvTranspose',
        inputs: [numbers([1, 4, 4, 5], 1), constant(numbers([4, 3, 3, 3], 2))],
        attributes: { group: 2, strides: [2, 2], dilations: [2, 1], pads: [1, 0, 2, 1], output_padding: [1, 1] },
      },
      { symbolic: spatial },
    ));
});

describe('pools', () => {
  const x = numbers([2, 3, 9, 8], 1);
  it.each([0, 1])('MaxPool with indices, storage order %i', (storage_order) =>
    expectLikeOrt({
      op: 'MaxPool',
      inputs: [x],
      attributes: { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 1], storage_order },
      outputs: ['float32', 'int64'],
    }),
  );
  it('MaxPool with ceil_mode and dilations', () =>
    expectLikeOrt({
      op: 'MaxPool',
      inputs: [x],
      attributes: { kernel_shape: [3, 3], strides: [2, 3], dilations: [2, 1], pads: [1, 1, 1, 1], ceil_mode: 1 },
    }));
  it.each(['SAME_UPPER', 'SAME_LOWER', 'VALID'])('AveragePool with auto_pad %s', (auto_pad) =>
    expectLikeOrt({ op: 'AveragePool', inputs: [x], attributes: { kernel_shape: [3, 2], strides: [2, 2], auto_pad } }),
  );
  it.each([0, 1])('AveragePool with ceil_mode, count_include_pad %i', (count_include_pad) =>
    expectLikeOrt({
      op: 'AveragePool',
      opset: 19,
      inputs: [x],
      attributes: { kernel_shape: [3, 3], strides: [2, 3], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad },
    }),
  );
  it.each([1, 2, 3])('LpPool and GlobalLpPool, p = %i', async (p) => {
    await expectLikeOrt({
      op: 'LpPool',
      inputs: [x],
      attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], p },
    });
    await expectLikeOrt({ op: 'GlobalLpPool', inputs: [x], attributes: { p } });
  });
  it('global pools', async () => {
    await expectLikeOrt({ op: 'GlobalAveragePool', inputs: [x] });
    await expectLikeOrt({ op: 'GlobalMaxPool', inputs: [x] });
  });
  it('MaxRoiPool', () =>
    expectLikeOrt({
      op: 'MaxRoiPool',
      inputs: [x, new Tensor('float32', [0, 0, 0, 5, 6, 1, 2, 1, 7, 8, 1, 3, 3, 3, 3], [3, 5])],
      attributes: { pooled_shape: [2, 3], spatial_scale: { float: 1 } },
    }));
});

describe('symbolic sizes', () => {
  it('give floor divisions for strided windows', async () => {
    const network = await OnnxParser.parse(
      modelOf(
        {
          op: 'Conv',
          inputs: [numbers([1, 3, 9, 9]), constant(numbers([4, 3, 3, 3]))],
          attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
        },
        () => [2],
      ),
    );
    const { type } = network.outputs[0]!.value;
    const { dims } = type.kind === 'tensor' ? type : { dims: undefined };
    expect(String(dims![2])).toBe('floordiv(x0_2 + 1, 2)');
    expect(dims![3]).toBe(5);
    expect(dimsKey([dims![0]!, dims![1]!])).toBe('1,4');
  });
});
