/** What has extents that its own step finds out is row-major, even where channels would rather lie side by side. */

import {
  type Backend,
  createSymbol,
  GraphBuilder,
  layoutsFor,
  loadBackend,
  type Network,
  readNumbers,
  registerBackend,
  symbolDim,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Builder } from '../src/index.js';

const dims = [1, 3, 4, 5];
const image = new Tensor(
  'float32',
  Float32Array.from({ length: 60 }, (_, i) => i),
  dims,
);

function resize(b: GraphBuilder, x: Value, sizes: Value): Value {
  return b.op('resize', [x, undefined, undefined, sizes], { mode: 'nearest', axes: [2, 3] });
}

describe('extents that a step finds out', () => {
  let known: Backend;
  beforeAll(async () => {
    known = await loadBackend('cpu');
    registerBackend({
      ...known,
      candidates: (node) => {
        const offered = known.candidates(node);
        const wanted = offered.filter((c) => c.outputs[0] === 'channelsLast');
        return wanted.length > 0 ? wanted : offered;
      },
    });
  });
  afterAll(() => {
    registerBackend(known);
  });

  it.each(['cpu', 'reference'])('of a resized image on %s', async (backend) => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', dims));
    const sizes = b.input('sizes', tensorType('int64', [2]));
    const y = resize(b, x, sizes);
    const network: Network = {
      name: 'test',
      graph: { inputs: [x, sizes], outputs: [y] },
      builder: b,
      inputs: [
        { name: 'x', value: x },
        { name: 'sizes', value: sizes },
      ],
      outputs: [{ name: 'y', value: y }],
      metadata: {},
      opsets: {},
    };
    const plan = await new Builder().build(network, { backends: [backend], optimizationLevel: 0 });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const found = await context.run({ x: image, sizes: new Tensor('int64', [2n, 5n], [2]) });
    expect(found['y']!.dims).toEqual([1, 3, 2, 5]);
    // Every other row.
    const rows = [0, 2, 4, 6, 8, 10].flatMap((row) => [0, 1, 2, 3, 4].map((i) => row * 5 + i));
    expect([...readNumbers(found['y']!)]).toEqual(rows);
  });
});

it('leaves images as they may be whose extents are known before', () => {
  const b = new GraphBuilder();
  const n = symbolDim(createSymbol('n', { min: 1, max: 9 }));
  const x = b.input('x', tensorType('float32', [1, 3, n, n]));
  const late = resize(b, x, b.input('sizes', tensorType('int64', [2])));
  expect(layoutsFor(x)).toEqual(['rows', 'channelsLast']);
  expect(layoutsFor(late)).toEqual(['rows']);
  expect(layoutsFor(b.op('neg', [late]))).toEqual(['rows', 'channelsLast']);
});
