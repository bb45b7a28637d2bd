/** Norms of channels between convolutions: read and written channels last, as those lie, with the maps behind them. */

import { Builder } from '@tensorwright/builder';
import { GraphBuilder, type Network, type Tensor, tensorFromNumbers, tensorType, type Value } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

const image = { dtype: 'float16', dims: [2, 16, 9, 10] } as const;

const numbers = (dims: readonly number[], scale: number): Tensor =>
  tensorFromNumbers(
    'float16',
    Float64Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => scale * (((i * 7919) % 101) / 50 - 1)),
    dims,
  );

const graphOf =
  (op: string, attributes: Readonly<Record<string, number>>) =>
  (b: GraphBuilder, x: Value): Value => {
    const y = b.op('conv', [x, b.constant(numbers([48, 16, 3, 3], 0.1))], { pads: [1, 1, 1, 1] });
    const normal = b.op(op, [y, b.constant(numbers([48], 1)), b.constant(numbers([48], 0.5))], attributes);
    const swish = b.op('mul', [normal, b.op('sigmoid', [normal])]);
    return b.op('conv', [swish, b.constant(numbers([16, 48, 1, 1], 0.1))]);
  };

describe.skipIf(!hasDevice).each([
  ['groupNorm', { numGroups: 3 }],
  ['groupNorm', { numGroups: 16 }],
  ['groupNorm', { numGroups: 48 }],
  ['groupNorm', { numGroups: 1 }],
  ['instanceNorm', {}],
] as [string, Record<string, number>][])('%s %j between convolutions', (op, attributes) => {
  it('is that of the reference', () => compare({ inputs: [image], graph: graphOf(op, attributes), tolerance: 3e-3 }));

  it('has nothing copied for it, and takes what follows along', async () => {
    const b = new GraphBuilder();
    const value = b.input('x', tensorType(image.dtype, image.dims));
    const output = graphOf(op, attributes)(b, value);
    const network = {
      name: 'test',
      graph: { inputs: [value], outputs: [output] },
      builder: b,
      inputs: [{ name: 'x', value }],
      outputs: [{ name: 'y', value: output }],
      metadata: {},
      opsets: {},
    } as unknown as Network;
    const plan = await new Builder().build(network, { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
    const { steps, values } = plan.header.program;
    const at = steps.findIndex((s) => s.layer.tactic === 'cuda.norm');
    const kinds = steps.map((s) => s.layer.kind);
    expect(kinds.slice(at - 1, at + 2)).toEqual(['contraction', 'reduce', 'contraction']);
    const [result] = steps[at]!.outputs;
    expect(values[result!.value]!.order).toEqual([0, 2, 3, 1]);
  });
});
