/** Every rewrite rule on its own example: it fires, changes no value, and does not fire on its own result. */

import {
  evaluateGraph,
  GraphBuilder,
  rewriteGraph,
  Tensor,
  type Graph,
  type RuntimeValue,
  type Value,
} from '@tensorwright/core';
import { describe, expect, test } from 'vitest';
import { rulePasses } from '../src/passes/index.js';

function randomInput(v: Value, seed: number): RuntimeValue {
  if (v.type.kind !== 'tensor') throw new Error('examples take tensors');
  const dims = v.type.dims as number[];
  const count = dims.reduce((p, d) => p * d, 1);
  let s = seed;
  const data = Float32Array.from({ length: count }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 31 - 1;
  });
  return new Tensor('float32', data, dims);
}

function outputs(graph: Graph): Float64Array[] {
  const inputs = graph.inputs.map((v, i) => randomInput(v, i + 1));
  return evaluateGraph(graph, inputs).map((r) => Float64Array.from((r as Tensor).data as Float32Array));
}

describe.each(rulePasses.flatMap((p) => p.rules.map((rule) => ({ pass: p.name, name: rule.name, rule }))))(
  '$pass: $name',
  ({ rule }) => {
    test('fires, keeps the values, and rests', () => {
      const builder = new GraphBuilder();
      const graph = rule.example(builder);
      const before = outputs(graph);
      let fired = 0;
      const rewritten = rewriteGraph(graph, builder, [rule], { onFire: () => (fired += 1) });
      expect(fired).toBeGreaterThan(0);
      outputs(rewritten).forEach((after, i) => {
        expect(after.length).toBe(before[i]!.length);
        after.forEach((v, k) => {
          expect(v).toBeCloseTo(before[i]![k]!, 4);
        });
      });
      let again = 0;
      rewriteGraph(rewritten, builder, [rule], { onFire: () => (again += 1) });
      expect(again).toBe(0);
    });
  },
);
