/** Attention blocks as exporters write them become products, norms and attention: no copies, and no maps of their own. */

import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, test } from 'vitest';
import { Builder } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const width = 12;
const heads = 3;
const size = width / heads;
const length = 5;

function norm(m: ModelWriter, v: string, seed: number): string {
  return m.node('LayerNormalization', [v, m.weight(numbers([width], seed)), m.weight(numbers([width], seed + 1))], {
    axis: -1,
    epsilon: { float: 1e-5 },
  });
}

function linear(m: ModelWriter, v: string, inputs: number, outputs: number, seed: number): string {
  const product = m.node('MatMul', [v, m.weight(numbers([inputs, outputs], seed, 0.4))]);
  return m.node('Add', [product, m.weight(numbers([outputs], seed + 1))]);
}

/** With the sequence first, heads merged with the batch, and a class token that alone is read: a vision transformer. */
function sequenceFirst(batch: number): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [batch, length, width]);
  const turned = m.node('Transpose', [norm(m, x, 1)], { perm: [1, 0, 2] });
  const packed = m.node('Reshape', [
    linear(m, turned, width, 3 * width, 3),
    m.weight(integers([length, batch, 3, width])),
  ]);
  const apart = m.node('Squeeze', [
    m.node('Transpose', [m.node('Unsqueeze', [packed, m.weight(integers([0]))])], { perm: [3, 1, 2, 0, 4] }),
    m.weight(integers([3])),
  ]);
  const [q, k, v] = [0, 1, 2].map((i) => {
    const part = m.node('Gather', [apart, m.weight(integers([i], []))], { axis: 0 });
    const merged = m.node('Reshape', [part, m.weight(integers([length, batch * heads, size]))]);
    const first = m.node('Transpose', [merged], { perm: [1, 0, 2] });
    return m.node('Reshape', [first, m.weight(integers([batch, heads, length, size]))]);
  }) as [string, string, string];
  const scale = m.weight(new Tensor('float32', [1 / Math.sqrt(size)], []));
  const scores = m.node('MatMul', [q, m.node('Transpose', [k], { perm: [0, 1, 3, 2] })]);
  const seen = m.node('MatMul', [m.node('Softmax', [m.node('Mul', [scores, scale])], { axis: -1 }), v]);
  const rows = m.node('Reshape', [
    m.node('Transpose', [seen], { perm: [2, 0, 1, 3] }),
    m.weight(integers([length * batch, width])),
  ]);
  const projected = m.node('Gemm', [rows, m.weight(numbers([width, width], 7)), m.weight(numbers([width], 8))]);
  const back = m.node('Transpose', [m.node('Reshape', [projected, m.weight(integers([length, batch, width]))])], {
    perm: [1, 0, 2],
  });
  const attended = m.node('Add', [x, back]);
  const hidden = m.node('Relu', [linear(m, norm(m, attended, 11), width, 2 * width, 13)]);
  const all = norm(m, m.node('Add', [attended, linear(m, hidden, 2 * width, width, 15)]), 17);
  const token = m.node('Gather', [all, m.weight(integers([0], []))], { axis: 1 });
  return m.output(linear(m, token, width, 4, 19), 'float32', [batch, 4]).bytes();
}

/** Rotated halves, key heads that serve several query heads, root-mean-square norms, a causal mask: a decoder. */
function decoder(batch: number): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [batch, length, width]);
  const keys = m.input('keys', 'int64', [batch, length]);
  const square = m.node('Mul', [x, x]);
  const mean = m.node('ReduceMean', [square], { axes: [-1], keepdims: 1 });
  const root = m.node('Sqrt', [m.node('Add', [mean, m.weight(new Tensor('float32', [1e-5], []))])]);
  const normed = m.node('Mul', [m.node('Div', [x, root]), m.weight(numbers([width], 2))]);
  const angles = numbers([length, size / 2], 4, 3).data;
  const table = (f: (angle: number) => number): string =>
    m.weight(
      new Tensor(
        'float32',
        Float32Array.from({ length: length * size }, (_, i) =>
          f(angles[Math.floor(i / size) * (size / 2) + (i % (size / 2))]!),
        ),
        [1, 1, length, size],
      ),
    );
  const head = (seed: number, count: number): string => {
    const product = m.node('MatMul', [normed, m.weight(numbers([width, count * size], seed, 0.5))]);
    const split = m.node('Reshape', [product, m.weight(integers([batch, length, count, size]))]);
    return m.node('Transpose', [split], { perm: [0, 2, 1, 3] });
  };
  const part = (v: string, start: number, end: number): string =>
    m.node('Slice', [v, ...[[start], [end], [3]].map((list) => m.weight(integers(list)))]);
  const rotate = (v: string): string => {
    const crossed = m.node('Concat', [m.node('Neg', [part(v, size / 2, size)]), part(v, 0, size / 2)], { axis: 3 });
    return m.node('Add', [m.node('Mul', [v, table(Math.cos)]), m.node('Mul', [crossed, table(Math.sin)])]);
  };
  const repeat = (v: string): string => {
    const apart = m.node('Unsqueeze', [v, m.weight(integers([2]))]);
    const repeated = m.node('Expand', [apart, m.weight(integers([batch, 1, heads, length, size]))]);
    return m.node('Reshape', [repeated, m.weight(integers([batch, heads, length, size]))]);
  };
  const q = rotate(head(31, heads));
  const k = repeat(rotate(head(33, 1)));
  const v = repeat(head(35, 1));
  const triangle = Array.from({ length: length * length }, (_, i) => Number(i % length <= Math.floor(i / length)));
  const present = m.node('Reshape', [m.node('Cast', [keys], { to: 9 }), m.weight(integers([batch, 1, 1, length]))]);
  const allowed = m.node('And', [m.weight(new Tensor('bool', triangle, [1, 1, length, length])), present]);
  const mask = m.node('Where', [
    allowed,
    m.weight(new Tensor('float32', [0], [])),
    m.weight(new Tensor('float32', [-Infinity], [])),
  ]);
  const scale = m.weight(new Tensor('float32', [1 / Math.sqrt(size)], []));
  const scores = m.node('MatMul', [q, m.node('Transpose', [k], { perm: [0, 1, 3, 2] })]);
  const masked = m.node('Add', [m.node('Mul', [scores, scale]), mask]);
  const seen = m.node('MatMul', [m.node('Softmax', [masked], { axis: -1 }), v]);
  const merged = m.node('Reshape', [
    m.node('Transpose', [seen], { perm: [0, 2, 1, 3] }),
    m.weight(integers([batch, length, width])),
  ]);
  const y = m.node('Add', [x, m.node('MatMul', [merged, m.weight(numbers([width, width], 37))])]);
  return m.output(y, 'float32', [batch, length, width]).bytes();
}

/** Steps of the plan by their kernels. On the processor one copy is left: of the heads that attention writes apart, or of the output. */
async function stepsOf(model: Uint8Array): Promise<Record<string, number>> {
  const network = await OnnxParser.parse(model);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0 });
  const counts: Record<string, number> = {};
  for (const { kernel } of plan.header.program.steps) counts[kernel] = (counts[kernel] ?? 0) + 1;
  return counts;
}

describe.each([1, 8])('of %i sequences', (batch) => {
  test('the sequence first, heads merged with the batch, one token read', async () => {
    const model = sequenceFirst(batch);
    await expectLikeOnnxRuntime(model, [{ x: numbers([batch, length, width], 5) }]);
    const steps = await stepsOf(model);
    expect(steps['copy'] ?? 0).toBeLessThanOrEqual(1);
    expect(steps['map'] ?? 0).toBe(0);
    expect(steps['attention']).toBe(1);
  });

  test('rotated positions, shared key heads, causal and padded', async () => {
    const model = decoder(batch);
    const keys = integers(
      Array.from({ length: batch * length }, (_, i) => Number(i % length === 0 || i % 3 > 0)),
      [batch, length],
    );
    await expectLikeOnnxRuntime(model, [{ x: numbers([batch, length, width], 5), keys }]);
    const steps = await stepsOf(model);
    expect(steps['copy'] ?? 0).toBeLessThanOrEqual(1);
    // Positions of queries, of keys, and the mask.
    expect(steps['map'] ?? 0).toBeLessThanOrEqual(3);
    expect(steps['attention']).toBe(1);
    expect(steps['rmsNorm']).toBe(1);
  });
});
