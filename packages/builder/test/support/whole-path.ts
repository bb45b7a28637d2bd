/** Runs a model through parser, builder, plan bytes and runtime, and compares with ONNX Runtime. */

import { readNumbers, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import { Builder, type BuildOptions } from '../../src/index.js';

export type Feeds = Readonly<Record<string, Tensor>>;

/** Root-mean-square error over the standard deviation of what is expected. */
const tolerance = 1e-5;

async function runOrt(model: Uint8Array, runs: readonly Feeds[]): Promise<Record<string, Tensor>[]> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 4, graphOptimizationLevel: 'disabled' });
  const results = [];
  for (const feeds of runs) {
    const inputs = Object.entries(feeds).map(
      ([name, t]) => [name, new OrtTensor(t.dtype as never, t.data as never, [...t.dims])] as const,
    );
    const outputs = Object.entries(await session.run(Object.fromEntries(inputs)));
    results.push(Object.fromEntries(outputs.map(([name, t]) => [name, new Tensor(t.type, t.data, t.dims)])));
  }
  await session.release();
  return results;
}

/** Builds once and runs every set of inputs, each twice: a context's memory is used again. */
export async function expectLikeOnnxRuntime(
  model: Uint8Array,
  runs: readonly Feeds[],
  options: BuildOptions = {},
): Promise<void> {
  const wanted = await runOrt(model, runs);
  const network = await OnnxParser.parse(model);
  const plan = await new Builder().build(network, { backends: ['cpu', 'reference'], ...options });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext({ poison: true });
  for (const pass of ['first', 'second']) {
    for (const [i, feeds] of runs.entries()) {
      const results = await context.run({ ...feeds });
      for (const [name, want] of Object.entries(wanted[i]!)) {
        expectClose(results[name]!, want, `${name} of run ${i}, ${pass} pass`);
      }
    }
  }
}

function expectClose(got: Tensor, want: Tensor, what: string): void {
  expect({ dtype: got.dtype, dims: got.dims }, what).toEqual({ dtype: want.dtype, dims: want.dims });
  if (want.dtype !== 'float32') {
    expect([...got.data], what).toEqual([...want.data]);
    return;
  }
  const [a, b] = [readNumbers(got), readNumbers(want)];
  const mean = b.reduce((sum, v) => sum + v, 0) / b.length;
  let [error, variance] = [0, 0];
  for (const [i, w] of b.entries()) {
    error += (a[i]! - w) ** 2;
    variance += (w - mean) ** 2;
  }
  expect(variance, `${what}: all values are equal, which proves nothing`).toBeGreaterThan(0);
  expect(Math.sqrt(error / variance), `${what}: relative error`).toBeLessThanOrEqual(tolerance);
}

/** Numbers that look random and are the same in every run. */
export function numbers(dims: readonly number[], seed = 1, scale = 1): Tensor<'float32'> {
  const data = new Float32Array(dims.reduce((p, d) => p * d, 1));
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = (state / 2 ** 32 - 0.5) * 2 * scale;
  }
  return new Tensor('float32', data, dims);
}

export function integers(values: readonly number[], dims: readonly number[] = [values.length]): Tensor<'int64'> {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}
