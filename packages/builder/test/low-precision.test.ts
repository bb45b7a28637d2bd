/** Quantized networks against ONNX Runtime, and networks in bfloat16 against themselves in float32. */

import { type DType, readNumbers, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { Builder, type BuildOptions } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { numbers } from './support/whole-path.js';

type Feeds = Readonly<Record<string, Tensor>>;

async function onOrt(model: Uint8Array, feeds: Feeds): Promise<Record<string, Tensor>> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 4, graphOptimizationLevel: 'disabled' });
  const inputs = Object.entries(feeds).map(
    ([name, t]) => [name, new OrtTensor(t.dtype as never, t.data as never, [...t.dims])] as const,
  );
  const outputs = Object.entries(await session.run(Object.fromEntries(inputs)));
  await session.release();
  return Object.fromEntries(outputs.map(([name, t]) => [name, new Tensor(t.type, t.data, t.dims)]));
}

async function onOurs(
  model: Uint8Array,
  feeds: Feeds,
  options: BuildOptions = {},
): Promise<{ results: Record<string, Tensor>; kernels: string[] }> {
  const network = await OnnxParser.parse(model);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0, ...options });
  const kernels = plan.header.program.steps.map((s) => s.kernel);
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext({ poison: true });
  return { results: await context.run({ ...feeds }), kernels };
}

function largestDifference(a: Tensor, b: Tensor): number {
  expect({ dtype: a.dtype, dims: a.dims }).toEqual({ dtype: b.dtype, dims: b.dims });
  const [x, y] = [readNumbers(a), readNumbers(b)];
  return x.reduce((most, v, i) => Math.max(most, Math.abs(v - y[i]!)), 0);
}

/** Integers that look random, over the dtype's whole range. */
function levels<D extends 'int8' | 'uint8'>(dtype: D, dims: readonly number[], seed: number): Tensor {
  const low = dtype === 'int8' ? -128 : 0;
  const values = numbers(dims, seed, 127.9).data.map((v) => Math.round(v + 127.5) + low);
  return new Tensor<DType>(dtype, dtype === 'int8' ? Int8Array.from(values) : Uint8Array.from(values), dims);
}

const scalar = (m: ModelWriter, value: number): string => m.weight(new Tensor('float32', [value], []));
const zero = (m: ModelWriter, dtype: 'int8' | 'uint8', value: number): string =>
  m.weight(new Tensor<DType>(dtype, dtype === 'int8' ? Int8Array.of(value) : Uint8Array.of(value), []));

/** One step of the output's scale: sums are exact, but quotients may round either way. */
const step = 1;

describe('quantized operators', () => {
  test.each([
    ['uint8', 'int8', 3, 0],
    ['uint8', 'uint8', 131, 120],
    ['int8', 'int8', 0, 0],
    ['int8', 'int8', -7, 5],
  ] as const)('QLinearConv of %s and %s, zero points %i and %i', async (x, w, xZero, wZero) => {
    const m = new ModelWriter();
    const scales = m.weight(
      new Tensor(
        'float32',
        Float32Array.from({ length: 20 }, (_, i) => 0.001 * (i + 1)),
        [20],
      ),
    );
    const weightZeros = m.weight(
      new Tensor<DType>(w, w === 'int8' ? new Int8Array(20).fill(wZero) : new Uint8Array(20).fill(wZero), [20]),
    );
    const weights = levels(w, [20, 9, 3, 3], 3);
    if (w === 'uint8' || wZero !== 0)
      for (let i = 0; i < weights.size; i++)
        (weights.data as Int8Array)[i] = Math.round(((weights.data as Int8Array)[i]! - wZero) / 3) + wZero;
    const y = m.node(
      'QLinearConv',
      [
        m.input('x', x, [2, 9, 8, 7]),
        scalar(m, 0.02),
        zero(m, x, xZero),
        m.weight(weights),
        scales,
        weightZeros,
        scalar(m, 1.3),
        zero(m, x, 10),
        m.weight(
          new Tensor(
            'int32',
            Int32Array.from({ length: 20 }, (_, i) => 1000 * (i - 10)),
            [20],
          ),
        ),
      ],
      { pads: [1, 1, 1, 1], strides: [2, 1] },
    );
    const model = m.output(y, x, [2, 20, 4, 7]).bytes();
    const feeds = { x: levels(x, [2, 9, 8, 7], 5) };
    const { results, kernels } = await onOurs(model, feeds);
    expect(largestDifference(results[y]!, (await onOrt(model, feeds))[y]!)).toBeLessThanOrEqual(step);
    expect(kernels).toContain('conv_narrow');
  });

  test('QLinearMatMul', async () => {
    const m = new ModelWriter();
    const y = m.node('QLinearMatMul', [
      m.input('a', 'uint8', [3, 40]),
      scalar(m, 0.02),
      zero(m, 'uint8', 100),
      m.weight(levels('int8', [40, 33], 2)),
      scalar(m, 0.01),
      zero(m, 'int8', 0),
      scalar(m, 0.9),
      zero(m, 'uint8', 120),
    ]);
    const model = m.output(y, 'uint8', [3, 33]).bytes();
    const feeds = { a: levels('uint8', [3, 40], 7) };
    const { results, kernels } = await onOurs(model, feeds);
    expect(largestDifference(results[y]!, (await onOrt(model, feeds))[y]!)).toBeLessThanOrEqual(step);
    expect(kernels).toEqual(['dot_narrow']);
  });

  test('DynamicQuantizeLinear and MatMulInteger', async () => {
    const m = new ModelWriter();
    const [q, scale, zeroPoint] = m.nodes('DynamicQuantizeLinear', [m.input('x', 'float32', [5, 64])], {}, 3) as [
      string,
      string,
      string,
    ];
    const weights = levels('int8', [64, 20], 4);
    const sums = m.node('MatMulInteger', [q, m.weight(weights), zeroPoint, zero(m, 'int8', 0)]);
    const factor = m.node('Mul', [scale, scalar(m, 0.01)]);
    const y = m.node('Mul', [m.node('Cast', [sums], { to: 1 }), factor]);
    const model = m.output(y, 'float32', [5, 20]).output(sums, 'int32', [5, 20]).bytes();
    const feeds = { x: numbers([5, 64], 6, 3) };
    const [{ results, kernels }, want] = [await onOurs(model, feeds), await onOrt(model, feeds)];
    expect(largestDifference(results[sums]!, want[sums]!)).toBe(0);
    expect(largestDifference(results[y]!, want[y]!)).toBeLessThanOrEqual(1e-4);
    expect(kernels).toContain('dot_narrow');
  });

  test('ConvInteger', async () => {
    const m = new ModelWriter();
    const y = m.node(
      'ConvInteger',
      [m.input('x', 'uint8', [1, 5, 9, 9]), m.weight(levels('int8', [6, 5, 3, 3], 2)), zero(m, 'uint8', 77)],
      { pads: [1, 1, 1, 1] },
    );
    const model = m.output(y, 'int32', [1, 6, 9, 9]).bytes();
    const feeds = { x: levels('uint8', [1, 5, 9, 9], 7) };
    const { results, kernels } = await onOurs(model, feeds);
    expect(largestDifference(results[y]!, (await onOrt(model, feeds))[y]!)).toBe(0);
    expect(kernels).toContain('conv_narrow');
  });
});

/** Two quantized convolutions with a residual, pooling and a fully connected layer. */
function quantizedNetwork(): { model: Uint8Array; y: string } {
  const m = new ModelWriter();
  const quantize = (v: string, scale: number, at: number): string => {
    const parameters = [scalar(m, scale), zero(m, 'uint8', at)];
    return m.node('DequantizeLinear', [m.node('QuantizeLinear', [v, ...parameters]), ...parameters]);
  };
  const weights = (dims: readonly number[], seed: number, axis: number): string => {
    const scales = Float32Array.from({ length: dims[axis]! }, (_, i) => 0.002 + 0.0001 * i);
    return m.node(
      'DequantizeLinear',
      [
        m.weight(levels('int8', dims, seed)),
        m.weight(new Tensor('float32', scales, [scales.length])),
        m.weight(new Tensor('int8', new Int8Array(scales.length), [scales.length])),
      ],
      { axis },
    );
  };
  const x = quantize(m.input('x', 'float32', [2, 4, 10, 10]), 1 / 100, 128);
  const conv = (v: string, inputs: number, seed: number): string =>
    m.node('Conv', [v, weights([16, inputs, 3, 3], seed, 0), m.weight(numbers([16], seed + 1))], {
      pads: [1, 1, 1, 1],
    });
  const first = quantize(m.node('Relu', [conv(x, 4, 1)]), 1 / 40, 0);
  const second = quantize(conv(first, 16, 3), 1 / 12, 120);
  const joined = quantize(m.node('Relu', [m.node('Add', [second, first])]), 1 / 20, 0);
  const flat = m.node('Flatten', [m.node('GlobalAveragePool', [joined])], { axis: 1 });
  const y = m.node('MatMul', [quantize(flat, 1 / 60, 3), weights([16, 10], 8, 1)]);
  return { model: m.output(y, 'float32', [2, 10]).bytes(), y };
}

test.each([0, 3] as const)('a network of quantized and dequantized values, level %i', async (optimizationLevel) => {
  const { model, y } = quantizedNetwork();
  const feeds = { x: numbers([2, 4, 10, 10], 9) };
  const { results, kernels } = await onOurs(model, feeds, { optimizationLevel });
  const want = (await onOrt(model, feeds))[y]!;
  const largest = readNumbers(want).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  expect(largestDifference(results[y]!, want)).toBeLessThanOrEqual(largest / 50);
  expect(kernels.filter((k) => k === 'conv_narrow')).toHaveLength(2);
  expect(kernels).toContain('dot_narrow');
});

/** Convolutions of several kinds and a fully connected layer with an activation. */
function floatNetwork(): { model: Uint8Array; y: string } {
  const m = new ModelWriter();
  const conv = (v: string, dims: readonly number[], seed: number, attributes = {}): string =>
    m.node('Conv', [v, m.weight(numbers(dims, seed, 0.4)), m.weight(numbers([dims[0]!], seed + 1))], {
      pads: [1, 1, 1, 1],
      ...attributes,
    });
  const stem = m.node('Relu', [conv(m.input('x', 'float32', [2, 3, 13, 13]), [24, 3, 3, 3], 1, { strides: [2, 2] })]);
  const inner = m.node('Relu', [conv(stem, [24, 24, 3, 3], 3)]);
  const joined = m.node('Relu', [m.node('Add', [conv(inner, [24, 24, 1, 1], 5, { pads: [0, 0, 0, 0] }), stem])]);
  const depthwise = conv(joined, [24, 1, 3, 3], 7, { group: 24 });
  const flat = m.node('Flatten', [m.node('GlobalAveragePool', [depthwise])], { axis: 1 });
  const hidden = m.node('Gemm', [flat, m.weight(numbers([24, 50], 9)), m.weight(numbers([50], 10))]);
  const y = m.node('MatMul', [m.node('Mul', [hidden, m.node('Sigmoid', [hidden])]), m.weight(numbers([50, 10], 11))]);
  return { model: m.output(y, 'float32', [2, 10]).bytes(), y };
}

test.each(['bf16', 'fp16'] as const)('a network in %s', async (name) => {
  const { model, y } = floatNetwork();
  const feeds = { x: numbers([2, 3, 13, 13], 4) };
  const { results, kernels } = await onOurs(model, feeds, { precision: { [name]: true } });
  const want = (await onOrt(model, feeds))[y]!;
  const [got, expected] = [readNumbers(results[y]!), readNumbers(want)];
  const error = got.reduce((sum, v, i) => sum + (v - expected[i]!) ** 2, 0);
  const power = expected.reduce((sum, v) => sum + v ** 2, 0);
  expect(Math.sqrt(error / power)).toBeLessThanOrEqual(name === 'bf16' ? 3e-2 : 3e-3);
  if (name === 'bf16') expect(kernels).toEqual(expect.arrayContaining(['conv_narrow', 'dot_narrow']));
});
