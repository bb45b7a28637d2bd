/** Operators of several results, of which some are read: on the processor and the device, against the reference. */

import { Builder } from '@tensorwright/builder';
import { type Attributes, GraphBuilder, type Network, readNumbers, Tensor, tensorType } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const dims = [2, 3, 4, 4];
const sample = new Tensor(
  'float32',
  Float32Array.from({ length: 96 }, (_, i) => (i * 37) % 23),
  dims,
);

/** The results that `read` names, as rows of numbers. */
async function run(
  backends: readonly string[],
  op: string,
  attributes: Attributes,
  read: readonly number[],
): Promise<number[][]> {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', dims));
  const scale = op === 'layerNorm' ? [b.constant(new Tensor('float32', [1, 2, 3, 4]))] : [];
  const results = b.node(op, [x, ...scale], attributes);
  const outputs = read.map((i) => ({ name: `y${String(i)}`, value: results[i]! }));
  const network: Network = {
    name: 'test',
    graph: { inputs: [x], outputs: outputs.map((o) => o.value) },
    builder: b,
    inputs: [{ name: 'x', value: x }],
    outputs,
    metadata: {},
    opsets: {},
  };
  const plan = await new Builder().build(network, { backends, optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext({ poison: true });
  const found = await context.run({ x: sample });
  return outputs.map(({ name }) => [...readNumbers(found[name]!)]);
}

const backends = [['cpu'], ...(hasDevice ? [['cuda', 'cpu']] : [])];

describe.each(backends)('on %s', (...names) => {
  it.each([
    ['maxPoolWithIndices', { kernelShape: [2, 2] }, [0]],
    ['maxPoolWithIndices', { kernelShape: [2, 2] }, [1]],
    ['maxPoolWithIndices', { kernelShape: [2, 2] }, [1, 0]],
    ['layerNorm', { statistics: true }, [0]],
    ['layerNorm', { statistics: true }, [1]],
    ['layerNorm', { statistics: true }, [0, 2]],
    ['layerNorm', { statistics: true }, [2, 1]],
    ['layerNorm', { statistics: true }, [2, 0, 1]],
  ] as [string, Attributes, number[]][])('%s %o: results %j', async (op, attributes, read) => {
    const found = await run(names, op, attributes, read);
    const expected = await run(['reference'], op, attributes, read);
    expected.forEach((numbers, i) => {
      expect(found[i]).toHaveLength(numbers.length);
      numbers.forEach((v, k) => {
        expect(found[i]![k]).toBeCloseTo(v, 4);
      });
    });
  });
});
