import {
  finish,
  type Graph,
  GraphBuilder,
  type Node,
  tensorType,
  topologicalOrder,
  type Value,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import type { PrecisionOptions } from '../src/options.js';
import type { PassContext } from '../src/pass.js';
import { tensorFloat } from '../src/passes/numbers/tensor-float.js';

const labels = { lhs: 'mk', rhs: 'kn', out: 'mn' };

/** A product of float32 from a node whose name has two lines, and one of int8 and one of float16. */
function products(b: GraphBuilder): Graph {
  const pair = (dtype: 'float32' | 'float16' | 'int8'): Value[] => [
    b.input(`${dtype}a`, tensorType(dtype, [4, 8])),
    b.input(`${dtype}b`, tensorType(dtype, [8, 3])),
  ];
  const inputs = (['float32', 'float16', 'int8'] as const).map(pair);
  const outputs = inputs.map((operands, i) => {
    b.origin = i === 0 ? ['head\nproduct'] : [];
    return b.op('dot', operands, labels);
  });
  b.origin = [];
  return { inputs: inputs.flat(), outputs: [b.op('relu', [outputs[0]!]), ...outputs.slice(1)] };
}

function marked(options: PrecisionOptions): readonly unknown[] {
  const builder = new GraphBuilder();
  const backends = [{ memory: 'cuda' }];
  const context = { builder, backends, options: { precision: options } } as unknown as PassContext;
  const result = tensorFloat.run(products(builder), context);
  const graph = 'outputs' in result ? result : finish(result);
  const dots = topologicalOrder(graph).filter((n: Node) => n.op === 'dot');
  return dots.map((n) => [n.inputs[0]!.type.kind === 'tensor' && n.inputs[0]!.type.dtype, n.attributes['tf32']]);
}

describe('tensor-float', () => {
  it('marks products of float32 alone', () => {
    expect(new Set(marked({ tf32: true }))).toEqual(
      new Set([
        ['float32', true],
        ['float16', undefined],
        ['int8', undefined],
      ]),
    );
  });

  it.each([{}, { tf32: false }, { tf32: true, keepFloat32: ['he*product'] }])('marks none with %j', (options) => {
    expect(marked(options).map((m) => (m as unknown[])[1])).toEqual([undefined, undefined, undefined]);
  });
});
