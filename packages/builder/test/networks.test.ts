/** Whole networks, made here, through parser, builder, plan bytes and runtime, against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Builder, type BuildOptions } from '../src/index.js';
import { type Attribute, ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const levels = [0, 3] as const;

/** conv, batch norm, relu, max pool; a residual block; a depthwise block; global pool; gemm. */
function cnn(batch: number | string = 2): Uint8Array {
  const m = new ModelWriter();
  const scale = (n: number, seed: number): string => m.weight(numbers([n], seed, 0.5));
  const variance = (n: number): string =>
    m.weight(
      new Tensor(
        'float32',
        Float32Array.from({ length: n }, (_, i) => 0.5 + i / n),
        [n],
      ),
    );
  const block = (x: string, inputs: number, outputs: number, seed: number, attributes = {}, group = 1): string => {
    const w = m.weight(numbers([outputs, inputs / group, 3, 3], seed, 0.4));
    const y = m.node('Conv', [x, w], { pads: [1, 1, 1, 1], group, ...attributes });
    return m.node('BatchNormalization', [
      y,
      scale(outputs, seed + 1),
      scale(outputs, seed + 2),
      scale(outputs, seed + 3),
      variance(outputs),
    ]);
  };
  const x = m.input('x', 'float32', [batch, 3, 17, 15]);
  const stem = m.node('Relu', [block(x, 3, 16, 1, { strides: [2, 2] })]);
  const pooled = m.node('MaxPool', [stem], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  const inner = m.node('Relu', [block(pooled, 16, 16, 11)]);
  const joined = m.node('Relu', [m.node('Add', [block(inner, 16, 16, 21), pooled])]);
  const depthwise = m.node('Clip', [
    block(joined, 16, 16, 31, {}, 16),
    m.weight(new Tensor('float32', [0], [])),
    m.weight(new Tensor('float32', [6], [])),
  ]);
  const features = m.node('Flatten', [m.node('GlobalAveragePool', [m.node('Add', [depthwise, joined])])], { axis: 1 });
  const y = m.node('Gemm', [features, m.weight(numbers([10, 16], 41)), m.weight(numbers([10], 42))], { transB: 1 });
  return m.output(y, 'float32', [batch, 10]).bytes();
}

const width = 32;
const heads = 4;

/** Self-attention and an MLP, each with its layer norm and residual. */
function transformerBlock(batch: number | string = 2, length: number | string = 7): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [batch, length, width]);
  const linear = (v: string, inputs: number, outputs: number, seed: number): string =>
    m.node('Add', [
      m.node('MatMul', [v, m.weight(numbers([inputs, outputs], seed, 0.3))]),
      m.weight(numbers([outputs], seed + 1)),
    ]);
  const norm = (v: string, seed: number): string =>
    m.node('LayerNormalization', [v, m.weight(numbers([width], seed)), m.weight(numbers([width], seed + 1))], {
      axis: -1,
      epsilon: { float: 1e-5 },
    });
  const normed = norm(x, 1);
  const split = m.weight(integers([0, 0, heads, width / heads]));
  const head = (seed: number, perm: readonly number[]): string =>
    m.node('Transpose', [m.node('Reshape', [linear(normed, width, width, seed), split])], { perm });
  const q = head(11, [0, 2, 1, 3]);
  const k = head(21, [0, 2, 3, 1]);
  const v = head(31, [0, 2, 1, 3]);
  const factor = m.weight(new Tensor('float32', [1 / Math.sqrt(width / heads)], []));
  const scores = m.node('Softmax', [m.node('Mul', [m.node('MatMul', [q, k]), factor])], { axis: -1 });
  const merged = m.node('Reshape', [
    m.node('Transpose', [m.node('MatMul', [scores, v])], { perm: [0, 2, 1, 3] }),
    m.weight(integers([0, 0, width])),
  ]);
  const attended = m.node('Add', [x, linear(merged, width, width, 41)]);
  const hidden = linear(norm(attended, 51), width, 4 * width, 61);
  const half = m.weight(new Tensor('float32', [0.5], []));
  const one = m.weight(new Tensor('float32', [1], []));
  const root = m.weight(new Tensor('float32', [Math.SQRT2], []));
  const gelu = m.node('Mul', [
    m.node('Mul', [hidden, m.node('Add', [m.node('Erf', [m.node('Div', [hidden, root])]), one])]),
    half,
  ]);
  const y = m.node('Add', [attended, linear(gelu, 4 * width, width, 71)]);
  return m.output(y, 'float32', [batch, length, width]).bytes();
}

/** An embedding, a bidirectional LSTM with lengths, a GRU on top. */
function recurrent(): Uint8Array {
  const m = new ModelWriter();
  const tokens = m.input('tokens', 'int64', [6, 3]);
  const lengths = m.input('lengths', 'int32', [3]);
  const embedded = m.node('Gather', [m.weight(numbers([20, 8], 1)), tokens]);
  const [all, last] = m.nodes(
    'LSTM',
    [
      embedded,
      m.weight(numbers([2, 20, 8], 2)),
      m.weight(numbers([2, 20, 5], 3)),
      m.weight(numbers([2, 40], 4)),
      lengths,
    ],
    { hidden_size: 5, direction: 'bidirectional' },
    3,
  );
  const sequence = m.node('Reshape', [
    m.node('Transpose', [all!], { perm: [0, 2, 1, 3] }),
    m.weight(integers([6, 3, 10])),
  ]);
  const [, state] = m.nodes(
    'GRU',
    [sequence, m.weight(numbers([1, 12, 10], 5)), m.weight(numbers([1, 12, 4], 6)), m.weight(numbers([1, 24], 7))],
    { hidden_size: 4, linear_before_reset: 1 },
    2,
  );
  return m.output(state!, 'float32', [1, 3, 4]).output(last!, 'float32', [2, 3, 5]).bytes();
}

/** y = x summed up by a loop whose trip count is an input, then one of two branches that use a value from outside. */
function control(): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [3, 4]);
  const count = m.input('count', 'int64', []);
  const condition = m.weight(new Tensor('bool', [1], []));
  const body = new ModelWriter('body_');
  body.input('i', 'int64', []);
  body.input('running', 'bool', []);
  body.input('sum', 'float32', [3, 4]);
  const next = body.node('Tanh', [body.node('Add', ['sum', m.node('Mul', [x, m.weight(numbers([4], 1))])])]);
  body.output(body.node('Identity', ['running']), 'bool', []).output(next, 'float32', [3, 4]);
  body.output(body.node('ReduceSum', [next, body.weight(integers([1]))], { keepdims: 0 }), 'float32', [3]);
  const [sum, history] = m.nodes('Loop', [count, condition, x], { body: { graph: body } }, 2);
  const total = m.node('ReduceSum', [sum!], { keepdims: 0 });
  const branch = (op: string, prefix: string): Attribute => {
    const g = new ModelWriter(prefix);
    return { graph: g.output(g.node(op, [sum!]), 'float32', [3, 4]) };
  };
  const positive = m.node('Greater', [total, m.weight(new Tensor('float32', [0], []))]);
  const y = m.node('If', [positive], { then_branch: branch('Exp', 'then_'), else_branch: branch('Neg', 'else_') });
  return m.output(y, 'float32', [3, 4]).output(history!, 'float32').bytes();
}

/** How many elements exceed a threshold is only known when they are counted. */
function dataDependent(): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [4, 9]);
  const where = m.node('NonZero', [m.node('Greater', [x, m.weight(new Tensor('float32', [0.2], []))])]);
  const found = m.node('GatherND', [x, m.node('Transpose', [where], { perm: [1, 0] })]);
  const y = m.node('Mul', [m.node('Sigmoid', [found]), found]);
  return m.output(y, 'float32', ['found']).output(where, 'int64', [2, 'found']).bytes();
}

describe.each(levels)('at level %i', (optimizationLevel) => {
  test('a convolutional network', () =>
    expectLikeOnnxRuntime(cnn(), [{ x: numbers([2, 3, 17, 15], 5) }, { x: numbers([2, 3, 17, 15], 6) }], {
      optimizationLevel,
    }));

  test('a transformer block', () =>
    expectLikeOnnxRuntime(transformerBlock(), [{ x: numbers([2, 7, width], 5) }], { optimizationLevel }));

  test('a recurrent network', () =>
    expectLikeOnnxRuntime(
      recurrent(),
      [
        {
          tokens: integers(
            Array.from({ length: 18 }, (_, i) => (i * 7) % 20),
            [6, 3],
          ),
          lengths: new Tensor('int32', [6, 4, 1], [3]),
        },
      ],
      { optimizationLevel },
    ));

  test('a loop and both branches of a condition', () =>
    expectLikeOnnxRuntime(
      control(),
      [
        { x: numbers([3, 4], 2), count: integers([3], []) },
        { x: numbers([3, 4], 9), count: integers([5], []) },
        {
          x: new Tensor(
            'float32',
            numbers([3, 4], 2).data.map((v) => -v),
            [3, 4],
          ),
          count: integers([1], []),
        },
      ],
      { optimizationLevel },
    ));

  test('sizes that data decides', () =>
    expectLikeOnnxRuntime(dataDependent(), [{ x: numbers([4, 9], 1) }, { x: numbers([4, 9], 8) }], {
      optimizationLevel,
    }));

  test('dynamic extents, within a profile', () =>
    expectLikeOnnxRuntime(
      transformerBlock('batch', 'length'),
      [{ x: numbers([1, 5, width], 5) }, { x: numbers([3, 12, width], 6) }, { x: numbers([2, 1, width], 7) }],
      { optimizationLevel, profiles: [{ x: { min: [1, 1, width], opt: [2, 8, width], max: [4, 16, width] } }] },
    ));

  test('dynamic extents, without a profile', () =>
    expectLikeOnnxRuntime(cnn('batch'), [{ x: numbers([1, 3, 17, 15], 5) }, { x: numbers([4, 3, 17, 15], 6) }], {
      optimizationLevel,
    }));
});

const models: [string, Uint8Array][] = [
  ['cnn', cnn()],
  ['transformer block', transformerBlock('batch', 'length')],
  ['control flow', control()],
];

async function planBytes(model: Uint8Array, options: BuildOptions): Promise<Buffer> {
  const plan = await new Builder().build(await OnnxParser.parse(model), { backends: ['cpu', 'reference'], ...options });
  return Buffer.from(await plan.toBytes());
}

describe('two builds have the same bytes', () => {
  test.each(models)('%s, without timing', async (_, model) => {
    const first = await planBytes(model, { optimizationLevel: 0 });
    expect(first.equals(await planBytes(model, { optimizationLevel: 0 }))).toBe(true);
  });

  test.each(models)('%s, with a timing cache', async (_, model) => {
    const timingCache = mkdtempSync(join(tmpdir(), 'tensorwright-timings-'));
    try {
      const first = await planBytes(model, { timingCache });
      expect(first.equals(await planBytes(model, { timingCache }))).toBe(true);
    } finally {
      rmSync(timingCache, { recursive: true });
    }
  });
});
