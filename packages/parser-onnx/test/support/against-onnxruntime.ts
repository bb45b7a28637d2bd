/** Runs a model of one node here and in ONNX Runtime, with fixed and with symbolic extents, and compares. */

import { elementCount, evaluateGraph, readNumbers, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import { modelOf, type OneNode } from './one-node-model.js';

export interface Comparison {
  readonly rtol?: number;
  readonly atol?: number;
  /** Which axes are symbols in a second run; false: no such run. Default: all of them. */
  readonly symbolic?: false | ((dims: readonly number[]) => readonly number[]);
}

const everyAxis = (dims: readonly number[]): readonly number[] => dims.map((_, i) => i);
const noAxis = (): readonly number[] => [];

/** Batch and positions of [B, S, width] and [B, heads, S, size]. */
export const sequenceAxes = (dims: readonly number[]): readonly number[] =>
  dims.length === 4 ? [0, 2] : dims.length === 1 ? [] : [0, 1];

function fromOrt(t: OrtTensor): Tensor {
  return new Tensor(t.type, t.data, t.dims);
}

function toOrt(t: Tensor): OrtTensor {
  return new OrtTensor(t.dtype as never, t.data as never, [...t.dims]);
}

export async function runOrt(node: OneNode): Promise<Tensor[]> {
  const session = await InferenceSession.create(modelOf(node), {
    logSeverityLevel: 4,
    graphOptimizationLevel: 'disabled',
  });
  const feeds: Record<string, OrtTensor> = {};
  node.inputs.forEach((input, i) => {
    if (input instanceof Tensor) feeds[`x${i}`] = toOrt(input);
  });
  const results = await session.run(feeds);
  return session.outputNames.map((name) => fromOrt(results[name]!));
}

export async function runHere(
  node: OneNode,
  symbolic: (dims: readonly number[]) => readonly number[] = noAxis,
): Promise<Tensor[]> {
  const network = await OnnxParser.parse(modelOf(node, symbolic));
  const inputs = node.inputs.filter((i) => i instanceof Tensor);
  return evaluateGraph(network.graph, inputs) as Tensor[];
}

export function expectClose(
  got: readonly Tensor[],
  want: readonly Tensor[],
  { rtol = 1e-4, atol = 1e-5 }: Comparison,
  mode = '',
): void {
  want.forEach((w, i) => {
    const g = got[i]!;
    expect({ dtype: g.dtype, dims: g.dims }, `output ${i}${mode}`).toEqual({ dtype: w.dtype, dims: w.dims });
    const [a, b] = [readNumbers(g), readNumbers(w)];
    for (let k = 0; k < b.length; k++) {
      if (Object.is(a[k], b[k]) || a[k] === b[k]) continue;
      expect(Math.abs(a[k]! - b[k]!), `output ${i}[${k}]${mode}: got ${a[k]}, want ${b[k]}`).toBeLessThanOrEqual(
        atol + rtol * Math.abs(b[k]!),
      );
    }
  });
}

export async function expectLikeOrt(node: OneNode, comparison: Comparison = {}): Promise<void> {
  const want = await runOrt(node);
  expectClose(await runHere(node), want, comparison);
  const { symbolic = everyAxis } = comparison;
  if (symbolic !== false) expectClose(await runHere(node, symbolic), want, comparison, ' (symbolic)');
}

/** Numbers that look random and are the same in every run. */
export function numbers(dims: readonly number[], seed = 1, scale = 1): Tensor<'float32'> {
  const data = new Float32Array(elementCount(dims));
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = (state / 2 ** 32 - 0.5) * 2 * scale;
  }
  return new Tensor('float32', data, dims);
}

export function integers<T extends 'int8' | 'uint8' | 'int32' | 'int64'>(
  dtype: T,
  dims: readonly number[],
  low: number,
  high: number,
  seed = 1,
): Tensor<T> {
  const list = Array.from(numbers(dims, seed).data, (v) =>
    Math.min(high, Math.floor(low + ((v + 1) / 2) * (high - low + 1))),
  );
  return new Tensor(dtype, list, dims);
}
