/** Extents that must agree and that only the run knows: it refuses those that do not, before anything reads them. */

import { Builder } from '@tensorwright/builder';
import {
  createSymbol,
  type Dim,
  type DType,
  floorDivDims,
  GraphBuilder,
  maxDims,
  type Network,
  symbolDim,
  Tensor,
  type TensorType,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { type Engine, Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const dim = (name: string, min = 0): Dim => symbolDim(createSymbol(name, { min, max: 96 }));

interface Example {
  readonly inputs: Readonly<Record<string, readonly Dim[]>>;
  /** Default: float32. */
  readonly dtype?: DType;
  readonly graph: (b: GraphBuilder, ...inputs: Value[]) => Value;
}

function network({ inputs, dtype = 'float32', graph }: Example): Network {
  const b = new GraphBuilder();
  const values = Object.entries(inputs).map(([name, dims]) => ({
    name,
    value: b.input(name, tensorType(dtype, dims)),
  }));
  b.origin = ['Layer_3'];
  const y = graph(b, ...values.map((v) => v.value));
  b.origin = [];
  return {
    name: 'test',
    graph: { inputs: values.map((v) => v.value), outputs: [y] },
    builder: b,
    inputs: values,
    outputs: [{ name: 'y', value: y }],
    metadata: {},
    opsets: {},
  };
}

/** All elements 1. */
const ones = (...dims: number[]): Tensor =>
  new Tensor('float32', new Float32Array(dims.reduce((p, d) => p * d, 1)).fill(1), dims);

/** y broadcast to the shape of x. */
function spread(b: GraphBuilder, x: Value, y: Value): Value {
  return b.op('expand', [y], { dims: (x.type as TensorType).dims! });
}

const product: Example = {
  inputs: { x: [dim('n'), dim('k1')], w: [dim('k2'), 8] },
  graph: (b, x, w) => b.op('dot', [x, w], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
};
const sum: Example = { inputs: { a: [dim('n'), 4], b: [dim('m'), 4] }, graph: (b, x, y) => b.op('add', [x, y]) };

const backends = [['reference'], ['cpu'], ...(hasDevice ? [['cuda', 'cpu']] : [])];

describe.each(backends)('agreements on %s', (...names) => {
  const load = async (example: Example): Promise<Engine> => {
    const plan = await new Builder().build(network(example), { backends: names, optimizationLevel: 0 });
    return Runtime.load(plan);
  };

  it('refuse a product whose operands do not fit, and take the next ones that do', async () => {
    await using engine = await load(product);
    await using context = engine.createContext();
    for (let i = 0; i < 2; i++) {
      await expect(context.run({ x: ones(3, 64), w: ones(65, 8) })).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: expect.stringContaining("Layer_3: extents of label 'k' are 64 (x) and 65 (w)") as string,
      });
      const { y } = await context.run({ x: ones(3, 64), w: ones(64, 8) });
      expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(24).fill(64));
    }
    const { y } = await context.run({ x: ones(3, 0), w: ones(0, 8) });
    expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(24).fill(0));
  });

  it('let extents broadcast that are equal or 1', async () => {
    await using engine = await load(sum);
    await using context = engine.createContext();
    await expect(context.run({ a: ones(2, 4), b: ones(3, 4) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining('Layer_3: extents of axis -2 are 2 (a) and 3 (b)') as string,
    });
    for (const [n, m] of [
      [3, 3],
      [1, 3],
      [3, 1],
      [0, 0],
      [0, 1],
      [1, 0],
    ] as const) {
      const rows = n === 0 || m === 0 ? 0 : Math.max(n, m);
      const { y } = await context.run({ a: ones(n, 4), b: ones(m, 4) });
      expect(y!.dims).toEqual([rows, 4]);
      expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(rows * 4).fill(2));
    }
  });

  it('refuse more of the best than there are elements', async () => {
    const k = Tensor.fromBytes('int64', new Uint8Array(BigInt64Array.of(5n).buffer), [1]);
    await using engine = await load({
      inputs: { a: [3, dim('n')] },
      graph: (b, x) => b.node('topK', [x, b.constant(k)], { axis: 1 })[0]!,
    });
    await using context = engine.createContext();
    expect((await context.run({ a: ones(3, 5) })).y!.dims).toEqual([3, 5]);
    await expect(context.run({ a: ones(3, 4) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringMatching(
        /Layer_3: k and the elements along axis 1, up to k, are 5 \(.*\) and 4 \(a\)/,
      ) as string,
    });
  });

  it('refuse to make an image of nothing', async () => {
    const sizes = Tensor.fromBytes('int64', new Uint8Array(BigInt64Array.of(2n, 4n).buffer), [2]);
    await using engine = await load({
      inputs: { a: [1, 3, dim('n'), 4] },
      graph: (b, x) => b.op('resize', [x, undefined, undefined, b.constant(sizes)], { axes: [2, 3] }),
    });
    await using context = engine.createContext();
    expect((await context.run({ a: ones(1, 3, 5, 4) })).y!.dims).toEqual([1, 3, 2, 4]);
    await expect(context.run({ a: ones(1, 3, 0, 4) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining('Layer_3: what is wanted and what is there along axis 2') as string,
    });
  });

  it.each(['edge', 'reflect', 'wrap'])('refuse to pad with what is not there: %s', async (mode) => {
    await using engine = await load({
      inputs: { a: [3, dim('n')] },
      graph: (b, x) => b.op('pad', [x], { low: [0, 1], high: [0, 1], mode }),
    });
    await using context = engine.createContext();
    expect((await context.run({ a: ones(3, 4) })).y!.dims).toEqual([3, 6]);
    await expect(context.run({ a: ones(3, 0) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining(`Layer_3: what is wanted and what there is to ${mode} along axis 1`) as string,
    });
  });

  describe('of extents that steps have counted', () => {
    const flags = (...of: number[]): Tensor => new Tensor('bool', of, [of.length]);
    const picked = (b: GraphBuilder, x: Value, which: Value): Value => b.node('compress', [x, which], { axis: 0 })[0]!;
    const load = async (graph: (b: GraphBuilder, p: Value, q: Value) => Value): Promise<Engine> => {
      const b = new GraphBuilder();
      const [x, p, q] = [
        b.input('x', tensorType('float32', [6, 4])),
        b.input('p', tensorType('bool', [6])),
        b.input('q', tensorType('bool', [6])),
      ];
      b.origin = ['Pick_1'];
      const first = picked(b, x, p);
      b.origin = ['Pick_2'];
      const second = picked(b, x, q);
      b.origin = ['Layer_3'];
      const y = graph(b, first, second);
      b.origin = [];
      const inputs = Object.entries({ x, p, q }).map(([name, value]) => ({ name, value }));
      const made: Network = {
        name: 'test',
        graph: { inputs: [x, p, q], outputs: [y] },
        builder: b,
        inputs,
        outputs: [{ name: 'y', value: y }],
        metadata: {},
        opsets: {},
      };
      return Runtime.load(await new Builder().build(made, { backends: names, optimizationLevel: 0 }));
    };
    const three = flags(1, 0, 1, 0, 1, 0);
    const two = flags(0, 1, 0, 1, 0, 0);
    const one = flags(0, 0, 0, 0, 0, 1);

    it('refuse a sum of different ones, run after run, and broadcast one row', async () => {
      await using engine = await load((b, p, q) => b.op('add', [p, q]));
      await using context = engine.createContext();
      for (let i = 0; i < 2; i++) {
        for (const [q, rows] of [
          [three, 3],
          [one, 3],
        ] as const) {
          const { y } = await context.run({ x: ones(6, 4), p: three, q });
          expect(y!.dims).toEqual([rows, 4]);
          expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(rows * 4).fill(2));
        }
        await expect(context.run({ x: ones(6, 4), p: three, q: two })).rejects.toMatchObject({
          code: 'ERR_SHAPE_MISMATCH',
          message: expect.stringContaining('Layer_3: extents of axis -2 are 3 (Pick_1) and 2 (Pick_2)') as string,
        });
      }
    });

    it('refuse a product over different ones', async () => {
      await using engine = await load((b, p, q) => b.op('dot', [p, q], { lhs: 'km', rhs: 'kn', out: 'mn' }));
      await using context = engine.createContext();
      const { y } = await context.run({ x: ones(6, 4), p: two, q: two });
      expect([...(y!.data as Float32Array)]).toEqual(new Array<number>(16).fill(2));
      await expect(context.run({ x: ones(6, 4), p: three, q: two })).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: expect.stringContaining("Layer_3: extents of label 'k' are 3 (Pick_1) and 2 (Pick_2)") as string,
      });
    });
  });

  it('refuse to squeeze axes that the rank of the result counts', async () => {
    await using engine = await load({
      inputs: { a: [1, dim('n'), dim('m')] },
      graph: (b, x) => b.op('squeezeDynamic', [x]),
    });
    await using context = engine.createContext();
    for (const dims of [
      [2, 3],
      [0, 2],
    ] as const)
      expect((await context.run({ a: ones(1, ...dims) })).y!.dims).toEqual(dims);
    await expect(context.run({ a: ones(1, 1, 3) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining('Layer_3: the ranks') as string,
    });
  });

  // Extents that make room for an operand, its own, and the axis that the message names.
  it.each<[name: string, example: Example, axis: string, names: readonly string[]]>([
    [
      'a broadcast to a shape',
      { inputs: { a: [dim('n'), 4], b: [dim('m'), 4] }, graph: (b, x, y) => spread(b, x, y) },
      'extents of axis -2 and its broadcast',
      ['n', 'b'],
    ],
    [
      'the scale of a normalization',
      {
        inputs: { a: [dim('n'), 8], b: [dim('m'), 8] },
        graph: (b, x, scale) => b.op('rmsNorm', [x, scale]),
      },
      'extents of axis -2',
      ['a', 'b'],
    ],
    [
      'the mask of attention',
      {
        inputs: { a: [dim('n'), 2, 4, 8], b: [dim('m'), 1, 4, 4] },
        graph: (b, x, mask) => b.op('attention', [x, x, x, mask]),
      },
      'extents of axis -4 of scores and mask',
      ['a', 'b'],
    ],
    [
      'the angles of a rotary embedding',
      {
        inputs: { a: [dim('n'), 2, 4, 8], b: [dim('m'), 4, 4] },
        graph: (b, x, angles) => b.op('rotaryEmbedding', [x, angles, angles]),
      },
      'batches of x and cos',
      ['a', 'b'],
    ],
  ])('let %s broadcast to one side alone', async (_, example, axis, [a, b]) => {
    await using engine = await load(example);
    await using context = engine.createContext();
    const [dimsOfA, dimsOfB] = Object.values(example.inputs).map((dims) => dims.slice(1) as number[]);
    const run = async (n: number, m: number): Promise<readonly number[]> =>
      (await context.run({ a: ones(n, ...dimsOfA!), b: ones(m, ...dimsOfB!) })).y!.dims;
    for (const [n, m] of [
      [1, 3],
      [2, 3],
      [0, 3],
      [3, 0],
    ] as const)
      await expect(run(n, m)).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: expect.stringContaining(
          `Layer_3: ${axis} are ${String(n)} (${a!}) and ${String(m)} (${b!})`,
        ) as string,
      });
    for (const [n, m] of [
      [1, 1],
      [3, 1],
      [3, 3],
    ] as const)
      expect((await run(n, m))[0]).toBe(n);
  });

  it.each<[number | undefined, number, number]>([
    [undefined, 12, 13],
    [-1, 8, 10],
  ])('let a tensor have no other size than its elements: %s', async (extent, fits, other) => {
    const n = dim('n');
    const dims = [extent === undefined ? 3 : floorDivDims(n, 4), 4];
    await using engine = await load({ inputs: { a: [n] }, graph: (b, x) => b.op('reshape', [x], { dims }) });
    await using context = engine.createContext();
    await expect(context.run({ a: ones(other) })).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: expect.stringContaining('Layer_3: numbers of elements before and after are') as string,
    });
    expect((await context.run({ a: ones(fits) })).y!.dims).toEqual([fits / 4, 4]);
  });

  it('hold a broadcast to the shape that asks for it', async () => {
    const [n, m] = [dim('n', 1), dim('m', 1)];
    await using engine = await load({
      inputs: { a: [n], b: [m] },
      graph: (b, x) => b.op('expand', [x], { dims: [maxDims(n, m)], target: [m] }),
    });
    await using context = engine.createContext();
    const run = async (n: number, m: number): Promise<readonly number[]> => {
      const a = new Tensor(
        'float32',
        Float32Array.from({ length: n }, (_, i) => i),
        [n],
      );
      return [...((await context.run({ a, b: ones(m) })).y!.data as Float32Array)];
    };
    // 5 is the larger of the two, but 3 is no extent that it broadcasts with.
    await expect(run(5, 3)).rejects.toMatchObject({
      message: expect.stringContaining('extents of axis -1 and its broadcast are 3 (m) and 5 (a)') as string,
    });
    expect(await run(5, 1)).toEqual([0, 1, 2, 3, 4]);
    expect(await run(1, 5)).toEqual([0, 0, 0, 0, 0]);
  });

  it('ask nothing of a branch that is not taken', async () => {
    const n = dim('n', 1);
    const m = dim('m', 1);
    await using engine = await load({
      inputs: { a: [n], b: [m], limit: [] },
      graph: (b, x, y, limit) => {
        const formals = (): Value[] => [x, y].map((v, i) => b.input(`formal${String(i)}`, v.type));
        const [then, otherwise] = [formals(), formals()];
        const total = (v: Value): Value => b.op('reduce', [v], { monoid: 'sum', axes: [0], keepdims: false });
        const regions = [
          { inputs: then, outputs: [total(b.op('add', then))] },
          { inputs: otherwise, outputs: [total(otherwise[0]!)] },
        ];
        const condition = b.op('greater', [limit, b.scalar(0, 'float32')]);
        return b.node('if', [condition, x, y], {}, regions)[0]!;
      },
    });
    await using context = engine.createContext();
    const run = async (n: number, m: number, limit: number): Promise<unknown> =>
      (await context.run({ a: ones(n), b: ones(m), limit: new Tensor('float32', [limit], []) })).y!.data[0];
    expect(await run(2, 3, 0)).toBe(2);
    expect(await run(3, 3, 1)).toBe(6);
  });
});

describe('a plan', () => {
  const programOf = async (example: Example): Promise<unknown> =>
    (await new Builder().build(network(example), { backends: ['cpu'], optimizationLevel: 0 })).header.program
      .agreements;

  it('carries each pair once', async () => {
    const [k1, k2] = [dim('k1'), dim('k2')];
    const twice = await programOf({
      inputs: { x: [4, k1], w: [k2, 8] },
      graph: (b, x, w) => {
        const dot = b.op('dot', [x, w], { lhs: 'mk', rhs: 'kn', out: 'mn' });
        return b.op('add', [dot, b.op('dot', [b.op('neg', [x]), w], { lhs: 'mk', rhs: 'kn', out: 'mn' })]);
      },
    });
    expect(twice).toHaveLength(1);
  });

  it('carries those of strings, of which native steps see the extents alone', async () => {
    const strings: Example = {
      inputs: { a: [dim('n'), 2], b: [dim('m'), 2] },
      dtype: 'string',
      // Strings are matched on the reference backend, the rest runs natively.
      graph: (b, x, y) =>
        b.op('not', [b.op('regexFullMatch', [b.op('concat', [x, y], { axis: 1 })], { pattern: 'a' })]),
    };
    const plan = await new Builder().build(network(strings), { backends: ['cpu', 'reference'], optimizationLevel: 0 });
    expect(plan.header.program.segments.map((segment) => segment.backend)).toEqual(['reference', 'cpu']);
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    const text = (...rows: string[]): Tensor =>
      new Tensor(
        'string',
        rows.flatMap((r) => [...r]),
        [rows.length, 2],
      );
    for (let i = 0; i < 2; i++) {
      const { y } = await context.run({ a: text('ab', 'ba', 'bb'), b: text('bb', 'aa', 'ab') });
      expect(y!.dims).toEqual([3, 4]);
      expect([...(y!.data as Uint8Array)]).toEqual([0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1]);
      await expect(context.run({ a: text('ab'), b: text('aa', 'bb') })).rejects.toMatchObject({
        code: 'ERR_SHAPE_MISMATCH',
        message: expect.stringContaining('Layer_3: extents of axis 0 are 1 (a) and 2 (b)') as string,
      });
    }
  });

  it('knows extents that strings alone tell, also where nothing reads them', async () => {
    const n = dim('n');
    const strings: Example = {
      inputs: { a: [n] },
      dtype: 'string',
      graph: (b) => b.op('expand', [b.scalar(2, 'float32')], { dims: [n] }),
    };
    const plan = await new Builder().build(network(strings), { backends: ['cpu'], optimizationLevel: 0 });
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    for (const count of [3, 0, 5]) {
      const a = new Tensor('string', new Array<string>(count).fill('text'), [count]);
      expect([...((await context.run({ a })).y!.data as Float32Array)]).toEqual(new Array<number>(count).fill(2));
    }
  });

  it('gives strings back as they came, beside what runs natively', async () => {
    const n = dim('n');
    const strings: Example = {
      inputs: { a: [n] },
      dtype: 'string',
      graph: (b, x) => b.op('not', [b.op('regexFullMatch', [x], { pattern: 'a' })]),
    };
    const net = network(strings);
    const whole: Network = {
      ...net,
      graph: { ...net.graph, outputs: [...net.graph.outputs, ...net.graph.inputs] },
      outputs: [...net.outputs, { name: 'again', value: net.graph.inputs[0]! }],
    };
    const plan = await new Builder().build(whole, { backends: ['cpu', 'reference'], optimizationLevel: 0 });
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    const { y, again } = await context.run({ a: new Tensor('string', ['a', 'b'], [2]) });
    expect([...(y!.data as Uint8Array)]).toEqual([0, 1]);
    expect(again!.data).toEqual(['a', 'b']);
  });

  it('carries none where inference knows', async () => {
    const n = dim('n');
    const same: Example = { inputs: { a: [n, 4], b: [n, 4] }, graph: (b, x, y) => b.op('add', [x, y]) };
    expect(await programOf(same)).toBeUndefined();
  });
});
