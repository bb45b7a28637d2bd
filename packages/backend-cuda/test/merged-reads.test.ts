/** Extents that the values decide: those that do not depend on each other are read with one wait of the host. */

import { Builder, type BuildOptions } from '@tensorwright/builder';
import {
  GraphBuilder,
  type Network,
  readNumbers,
  Tensor,
  tensorType,
  type TensorType,
  type Value,
} from '@tensorwright/core';
import { type ContextOptions, Runtime } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const [rows, columns] = [5, 40];

interface Found {
  readonly results: Readonly<Record<string, Tensor>>;
  /** Of the host for the device, in all steps of all runs. */
  readonly waits: number;
  /** Steps that read extents. */
  readonly reads: number;
}

async function runOn(
  backend: string,
  graph: (b: GraphBuilder, x: Value) => readonly Value[],
  x: Tensor,
  options: ContextOptions = {},
  later: readonly Tensor[] = [],
): Promise<Found> {
  const b = new GraphBuilder();
  const value = b.input('x', tensorType('float32', [rows, columns]));
  const outputs = graph(b, value);
  const network = {
    name: 'test',
    graph: { inputs: [value], outputs },
    builder: b,
    inputs: [{ name: 'x', value }],
    outputs: outputs.map((value, i) => ({ name: `y${String(i)}`, value })),
    metadata: {},
    opsets: {},
  } as unknown as Network;
  const settings: BuildOptions = { backends: backend === 'cuda' ? ['cuda', 'cpu'] : [backend], optimizationLevel: 0 };
  const plan = await new Builder().build(network, settings);
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext(options);
  context.setProfiling(true);
  const results = await context.run({ x });
  for (const another of later) await context.run({ x: another });
  const layers = context.profile();
  expect(engine.inspect().layers.map((l) => l.profile!.waits)).toEqual(layers.map((l) => l.waits));
  return {
    results,
    waits: layers.reduce((sum, l) => sum + l.waits, 0),
    reads: plan.header.program.steps.filter((s) => s.kernel === 'extents').length,
  };
}

/** In row r every (r + 2)-th is positive, among the first so many. */
const sample = (among = columns): Tensor =>
  new Tensor(
    'float32',
    Float32Array.from({ length: rows * columns }, (_, i) => {
      const [r, c] = [Math.floor(i / columns), i % columns];
      return c < among && c % (r + 2) === 0 ? 1 + (c % 7) : -1;
    }),
    [rows, columns],
  );

const rowOf = (b: GraphBuilder, x: Value, r: number): Value =>
  b.op('reshape', [b.op('slice', [x], { starts: [r, 0], sizes: [1, columns], steps: [1, 1] })], { dims: [columns] });

/** Per row: where it is positive, and what is there. */
function branches(b: GraphBuilder, x: Value): Value[] {
  return Array.from({ length: rows }, (_, r) => {
    const row = rowOf(b, x, r);
    const isPositive = b.op('greater', [row, b.scalar(0, 'float32')]);
    const found = b.op('nonZero', [isPositive]);
    const places = b.op('reshape', [found], { dims: [(found.type as TensorType).dims![1]!] });
    const picked =
      r % 2 === 0 ? b.op('gather', [row, places], { axis: 0 }) : b.op('compress', [row, isPositive], { axis: 0 });
    return [b.op('add', [picked, picked]), places];
  }).flat();
}

/** Per row also: which of those are above 4. */
function twoLevels(b: GraphBuilder, x: Value): Value[] {
  const first = branches(b, x);
  const doubled = first.filter((_, i) => i % 2 === 0);
  return [...first, ...doubled.map((v) => b.op('nonZero', [b.op('greater', [v, b.scalar(8, 'float32')])]))];
}

describe.skipIf(!hasDevice)('extents that do not depend on each other', () => {
  it('are read together, and are those of the reference', async () => {
    const found = await runOn('cuda', branches, sample());
    const expected = await runOn('reference', branches, sample());
    expect(Object.keys(found.results)).toHaveLength(2 * rows);
    for (const [name, y] of Object.entries(expected.results)) {
      expect(found.results[name]!.dims).toEqual(y.dims);
      expect([...readNumbers(found.results[name]!)]).toEqual([...readNumbers(y)]);
    }
    expect(found).toMatchObject({ reads: 1, waits: 1 });
    expect(expected.waits).toBe(0);
  });

  it('wait for those that they do depend on', async () => {
    const found = await runOn('cuda', twoLevels, sample(), { poison: true });
    const expected = await runOn('reference', twoLevels, sample());
    for (const [name, y] of Object.entries(expected.results))
      expect([...readNumbers(found.results[name]!)]).toEqual([...readNumbers(y)]);
    expect(found).toMatchObject({ reads: 2, waits: 2 });
  });

  it('make room that serves runs which find more', async () => {
    const graph = (b: GraphBuilder, x: Value): readonly Value[] => branches(b, x);
    const found = await runOn('cuda', graph, sample(1), {}, [sample(20), sample(30), sample(columns), sample(7)]);
    expect(found.waits).toBe(5);
  });

  it('say whose values do not fit each other', async () => {
    const graph = (b: GraphBuilder, x: Value): readonly Value[] => {
      const row = rowOf(b, x, 0);
      const condition = b.op('greater', [b.op('reshape', [x], { dims: [rows * columns] }), b.scalar(0, 'float32')]);
      return [...branches(b, x), b.op('compress', [row, condition], { axis: 0 })];
    };
    await expect(runOn('cuda', graph, sample())).rejects.toThrow(/compress.*do not fit each other/);
  });
});
