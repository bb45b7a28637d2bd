/** A network of one attention operator, its inputs, and what comes out. */

import {
  elementCount,
  type Graph,
  GraphBuilder,
  type Network,
  readNumbers,
  type Tensor,
  tensorFromNumbers,
  tensorType,
} from '@tensorwright/core';
import type { Problem } from './problems.js';

function dimsOf({ batch, heads, keyHeads, queries, keys, size, masked }: Problem): readonly (readonly number[])[] {
  const keyDims = [batch, keyHeads, keys, size];
  return [[batch, heads, queries, size], keyDims, keyDims, ...(masked ? [[batch, 1, 1, keys]] : [])];
}

export function networkOf(p: Problem): Network {
  const b = new GraphBuilder();
  const inputs = dimsOf(p).map((dims, i) => ({
    name: `x${String(i)}`,
    value: b.input(`x${String(i)}`, tensorType(p.dtype, dims)),
  }));
  const values = inputs.map((i) => i.value);
  const y = b.op('attention', values, { isCausal: p.causal });
  return {
    name: p.name,
    graph: { inputs: values, outputs: [y] } satisfies Graph,
    builder: b,
    inputs,
    outputs: [{ name: 'y', value: y }],
    metadata: {},
    opsets: {},
  };
}

/** Between -1 and 1; keys larger, so that weights differ; of masks every seventh key is not allowed. */
export function inputsOf(p: Problem): Record<string, Tensor> {
  const tensors = dimsOf(p).map((dims, i) => {
    let state = 12345 + i;
    const values = Float64Array.from({ length: elementCount(dims) }, (_, at) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      if (i === 3) return at % 7 === 3 ? -10000 : 0;
      return (state / 0x40000000 - 1) * (i === 1 ? 3 : 1);
    });
    return [`x${String(i)}`, tensorFromNumbers(p.dtype, values, dims)] as const;
  });
  return Object.fromEntries(tensors);
}

const rowsCompared = 96;

/** The largest difference from the formula in float64, over rows from everywhere and the last ones. */
export function errorOf(p: Problem, inputs: Record<string, Tensor>, output: Tensor): number {
  const [q, k, v] = [readNumbers(inputs['x0']!), readNumbers(inputs['x1']!), readNumbers(inputs['x2']!)];
  const mask = p.masked ? readNumbers(inputs['x3']!) : undefined;
  const y = readNumbers(output);
  const total = p.batch * p.heads * p.queries;
  let largest = 0;
  for (let i = 0; i < rowsCompared; i++) {
    const row = i < 8 ? total - 1 - i : (i * 7919 * 31) % total;
    const wanted = attend(p, row, q, k, v, mask);
    for (let d = 0; d < p.size; d++) {
      const difference = Math.abs(wanted[d]! - y[row * p.size + d]!);
      if (!(difference <= largest)) largest = difference;
    }
  }
  return largest;
}

function attend(
  p: Problem,
  row: number,
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  mask: ArrayLike<number> | undefined,
): Float64Array {
  const head = Math.floor(row / p.queries);
  const batch = Math.floor(head / p.heads);
  const keyHead = batch * p.keyHeads + Math.floor((head % p.heads) / (p.heads / p.keyHeads));
  const seen = p.causal ? Math.min(p.keys, (row % p.queries) + 1) : p.keys;
  const scores = Float64Array.from({ length: seen }, (_, key) => {
    let sum = 0;
    for (let d = 0; d < p.size; d++) sum += q[row * p.size + d]! * k[(keyHead * p.keys + key) * p.size + d]!;
    return sum / Math.sqrt(p.size) + (mask ? mask[batch * p.keys + key]! : 0);
  });
  const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = scores.map((s) => Math.exp(s - top));
  const total = weights.reduce((a, b) => a + b, 0);
  return Float64Array.from({ length: p.size }, (_, d) => {
    let sum = 0;
    for (let key = 0; key < seen; key++) sum += weights[key]! * v[(keyHead * p.keys + key) * p.size + d]!;
    return sum / total;
  });
}
