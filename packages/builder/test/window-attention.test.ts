/** Attention within windows that are folded into the batch, each with a mask that all images share, as exporters write it. */

import { GraphBuilder, rewriteGraph, Tensor, tensorType, topologicalOrder, type Value } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, test } from 'vitest';
import { Builder, type BuildOptions } from '../src/index.js';
import { fuseAttention } from '../src/passes/numbers/attention.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const [windows, heads, rows, size] = [3, 2, 5, 4];
const width = heads * size;

/** Masks [windows, rows, rows]: each window's first rows and last ones do not see each other. */
function masks(): Tensor<'float32'> {
  const side = (w: number, i: number): boolean => i <= w;
  const data = Array.from({ length: windows * rows * rows }, (_, at) => {
    const [w, i, j] = [Math.floor(at / (rows * rows)), Math.floor(at / rows) % rows, at % rows];
    return side(w, i) === side(w, j) ? 0 : -100;
  });
  return new Tensor('float32', data, [1, windows, 1, rows, rows]);
}

function model(batch: number | string, biased: boolean): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [batch, windows * rows, width]);
  const reshape = (v: string, dims: readonly number[]): string => m.node('Reshape', [v, m.weight(integers(dims))]);
  const part = (seed: number, perm: readonly number[]): string => {
    const projected = m.node('MatMul', [x, m.weight(numbers([width, width], seed, 0.7))]);
    return m.node('Transpose', [reshape(projected, [-1, rows, heads, size])], { perm });
  };
  const q = m.node('Mul', [part(1, [0, 2, 1, 3]), m.weight(new Tensor('float32', [0.5], []))]);
  const product = m.node('MatMul', [q, part(2, [0, 2, 3, 1])]);
  const bias = m.weight(numbers([1, heads, rows, rows], 7));
  const scores = biased ? m.node('Add', [product, bias]) : product;
  const masked = m.node('Add', [reshape(scores, [-1, windows, heads, rows, rows]), m.weight(masks())]);
  const p = m.node('Softmax', [reshape(masked, [-1, heads, rows, rows])], { axis: -1 });
  const y = m.node('Transpose', [m.node('MatMul', [p, part(3, [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
  return m.output(y, 'float32').bytes();
}

async function expectOneAttention(bytes: Uint8Array, options: BuildOptions): Promise<void> {
  const network = await OnnxParser.parse(bytes);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0, ...options });
  const kernels = plan.header.program.steps.map((s) => s.kernel);
  expect(kernels.filter((k) => k === 'attention')).toHaveLength(1);
  expect(kernels.filter((k) => k === 'softmax')).toHaveLength(0);
}

describe.each([true, false])('windows of images, with a bias of each head: %s', (biased) => {
  test.each([1, 4])('%i of them', async (batch) => {
    const bytes = model(batch, biased);
    await expectLikeOnnxRuntime(bytes, [{ x: numbers([batch, windows * rows, width], 5) }]);
    await expectOneAttention(bytes, {});
  });

  test('as many as come at run time', async () => {
    const bytes = model('batch', biased);
    const extents = (batch: number): number[] => [batch, windows * rows, width];
    const options = { profiles: [{ x: { min: extents(1), opt: extents(2), max: extents(4) } }] };
    await expectLikeOnnxRuntime(
      bytes,
      [1, 2, 4].map((batch) => ({ x: numbers(extents(batch), 5) })),
      options,
    );
    await expectOneAttention(bytes, options);
  });
});

test('as many windows as come at run time, of so many parts of images', async () => {
  const parts = 12;
  const m = new ModelWriter();
  const q = m.input('q', 'float32', [parts, heads, rows, size]);
  const k = m.input('k', 'float32', [parts, heads, size, rows]);
  const v = m.input('v', 'float32', [parts, heads, rows, size]);
  const mask = m.input('mask', 'float32', [1, 'windows', 1, rows, rows]);
  const count = m.node('Gather', [m.node('Shape', [mask]), m.weight(integers([1]))]);
  const apart = m.node('Concat', [m.weight(integers([-1])), count, m.weight(integers([heads, rows, rows]))], {
    axis: 0,
  });
  const masked = m.node('Add', [m.node('Reshape', [m.node('MatMul', [q, k]), apart]), mask]);
  const scores = m.node('Reshape', [masked, m.weight(integers([parts, heads, rows, rows]))]);
  const y = m.node('MatMul', [m.node('Softmax', [scores], { axis: -1 }), v]);
  const shape = (n: number): number[] => [1, n, 1, rows, rows];
  const inputs = (n: number): Record<string, Tensor> => ({
    q: numbers([parts, heads, rows, size], 1),
    k: numbers([parts, heads, size, rows], 2),
    v: numbers([parts, heads, rows, size], 3),
    mask: numbers(shape(n), 4),
  });
  await expectLikeOnnxRuntime(m.output(y, 'float32').bytes(), [inputs(3), inputs(4)], {
    profiles: [{ mask: { min: shape(1), opt: shape(3), max: shape(parts) } }],
  });
});

describe('masks of two kinds of windows, one after the other', () => {
  const parts = 12;
  const twice = (first: number, second: number): Uint8Array => {
    const m = new ModelWriter();
    const q = m.input('q', 'float32', [parts, heads, rows, size]);
    const k = m.input('k', 'float32', [parts, heads, size, rows]);
    const v = m.input('v', 'float32', [parts, heads, rows, size]);
    const reshape = (x: string, dims: readonly number[]): string => m.node('Reshape', [x, m.weight(integers(dims))]);
    const masked = (scores: string, count: number): string => {
      const apart = reshape(scores, [parts / count, count, heads, rows, rows]);
      const sum = m.node('Add', [apart, m.weight(numbers([1, count, 1, rows, rows], count))]);
      return reshape(sum, [parts, heads, rows, rows]);
    };
    const biased = m.node('Add', [
      masked(m.node('MatMul', [q, k]), first),
      m.weight(numbers([1, heads, rows, rows], 9)),
    ]);
    const y = m.node('MatMul', [m.node('Softmax', [masked(biased, second)], { axis: -1 }), v]);
    return m.output(y, 'float32').bytes();
  };
  const inputs = {
    q: numbers([parts, heads, rows, size], 1),
    k: numbers([parts, heads, size, rows], 2),
    v: numbers([parts, heads, rows, size], 3),
  };

  test.each([
    [3, 3, 1],
    [3, 2, 0],
    [1, 2, 1],
  ])('%i of one and %i of the other, as one attention: %i', (first, second, fused) => {
    const b = new GraphBuilder();
    const [q, k, v] = ['q', 'k', 'v'].map((name) => b.input(name, tensorType('float32', [parts, heads, rows, size])));
    const mask = (count: number): Value =>
      b.input(`m${String(count)}`, tensorType('float32', [1, count, 1, rows, rows]));
    const masked = (scores: Value, count: number): Value => {
      const apart = b.op('reshape', [scores], { dims: [parts / count, count, heads, rows, rows] });
      return b.op('reshape', [b.op('add', [apart, mask(count)])], { dims: [parts, heads, rows, rows] });
    };
    const scores = b.op('dot', [q!, k!], { lhs: 'bhld', rhs: 'bhsd', out: 'bhls' });
    const p = b.op('softmax', [masked(masked(scores, first), second)], { axis: -1 });
    const y = b.op('dot', [p, v!], { lhs: 'bhls', rhs: 'bhsd', out: 'bhld' });
    const { outputs } = rewriteGraph({ inputs: [q!, k!, v!], outputs: [y] }, b, fuseAttention.rules);
    expect(topologicalOrder({ inputs: [], outputs }).filter((n) => n.op === 'attention')).toHaveLength(fused);
  });

  test.each([
    [3, 2],
    [4, 3],
  ])('%i of one and %i of the other give what they should', async (first, second) => {
    await expectLikeOnnxRuntime(twice(first, second), [inputs]);
  });
});
