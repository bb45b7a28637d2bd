/** Results made of elements of which the run finds none: refused by every backend, before a device reads in front of its memory. */

import { Builder } from '@tensorwright/builder';
import { createSymbol, GraphBuilder, symbolDim, Tensor, tensorType, type Value } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';

const backends = [['reference'], ['cpu'], ...(hasDevice ? [['cuda', 'cpu']] : [])];
const zeros = (...dims: number[]): Tensor => Tensor.zeros('float32', dims);

interface Example {
  readonly graph: (b: GraphBuilder, x: Value) => Value;
  /** Of x for an extent that only the run knows. */
  readonly dims: (n: number) => number[];
  readonly what: string;
}

const grid = new Tensor('float32', Float32Array.from([-1, -0.5, 0, 2, 1, 0.25, 3, -4]), [1, 2, 2, 2]);
const regions = new Tensor('float32', Float32Array.from([0, 0, 3, 2, 1, 1, 2, 2]), [2, 4]);
const ofImages = new Tensor('float32', Float32Array.from([0, 0, 0, 3, 2]), [1, 5]);
const images = new Tensor('int64', BigInt64Array.from([0n, 0n]));

const examples: readonly (readonly [string, Example])[] = [
  ...(['argMax', 'argMin'] as const).map(
    (op) =>
      [
        op,
        {
          graph: (b: GraphBuilder, x: Value) => b.op(op, [x], { axis: 1 }),
          dims: (n: number) => [3, n],
          what: 'results and what there is along axis 1',
        },
      ] as const,
  ),
  ...(['border', 'reflection'] as const).map(
    (paddingMode) =>
      [
        `gridSample, ${paddingMode}`,
        {
          graph: (b: GraphBuilder, x: Value) => b.op('gridSample', [x, b.constant(grid)], { paddingMode }),
          dims: (n: number) => [1, 2, 4, n],
          what: 'places and elements of the image',
        },
      ] as const,
  ),
  [
    'roiAlign',
    {
      graph: (b, x) =>
        b.op('roiAlign', [x, b.constant(regions), b.constant(images)], { outputHeight: 2, outputWidth: 2 }),
      dims: (n) => [n, 2, 5, 6],
      what: 'regions and images',
    },
  ],
  [
    'maxRoiPool',
    {
      graph: (b, x) => b.op('maxRoiPool', [x, b.constant(ofImages)], { pooledShape: [2, 2] }),
      dims: (n) => [n, 2, 5, 6],
      what: 'regions and images',
    },
  ],
];

describe.each(backends)('nothing there on %s', (...names) => {
  it.each(examples)('%s', async (_, { graph, dims, what }) => {
    const n = symbolDim(createSymbol('n', { max: 8 }));
    const b = new GraphBuilder();
    const x = b.input(
      'x',
      tensorType(
        'float32',
        dims(-1).map((d) => (d === -1 ? n : d)),
      ),
    );
    b.origin = ['Layer_3'];
    const y = graph(b, x);
    b.origin = [];
    const plan = await new Builder().build(
      {
        name: 'test',
        graph: { inputs: [x], outputs: [y] },
        builder: b,
        inputs: [{ name: 'x', value: x }],
        outputs: [{ name: 'y', value: y }],
        metadata: {},
        opsets: {},
      },
      { backends: names, optimizationLevel: 0 },
    );
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    await expect(context.run({ x: zeros(...dims(0)) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining(`Layer_3: ${what}, up to one element, are 1`) as string,
    });
    const results = await context.run({ x: zeros(...dims(5)) });
    const elements = results['y']!.data as ArrayLike<number | bigint>;
    expect(Array.from(elements, Number).every((v) => v === 0)).toBe(true);
  });
});
