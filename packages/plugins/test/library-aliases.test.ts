/** Outputs of libraries' plugins that are an input changed in place. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, type PlanProgram, Tensor } from '@tensorwright/core';
import { type Plugin, PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

vi.setConfig({ testTimeout: 60_000 });

const x = [1, -2, 3, 4];
type Write = (past: NetworkTensor | undefined, like: NetworkTensor, count?: number) => NetworkTensor;
interface Parts {
  readonly n: NetworkDefinition;
  readonly x: NetworkTensor;
  readonly write: Write;
  readonly above: (t: NetworkTensor) => NetworkTensor;
}

const twice = ({ n, x: t }: Parts): NetworkTensor => n.addElementWise(t, t, 'sum');

/** `count` of the first values are one more. */
const more = (values: readonly number[], count: number): number[] => values.map((v, i) => (i < count ? v + 1 : v));
const doubled = x.map((v) => 2 * v);

/** Two rows of two tensors each, of which three elements are one more; the first tensor lies at the beginning. */
function stackedAndWritten({ n, x: t, write }: Parts): { written: NetworkTensor; first: NetworkTensor } {
  const row = n.addShuffle(t, { reshape: [1, 4] });
  const first = n.addElementWise(row, row, 'sum');
  const pairs = [
    [first, n.addUnary(row, 'neg')],
    [n.addUnary(row, 'abs'), n.addUnary(row, 'ceil')],
  ].map((pair) => n.addConcatenation(pair, 1));
  const like = n.addConstant(new Tensor('float32', new Float32Array(16), [2, 8]));
  return { written: write(n.addConcatenation(pairs, 0), like, 3), first };
}
const stacked = [...more(doubled, 3), ...x.map((v) => -v), ...x.map(Math.abs), ...x];

const networks: readonly {
  readonly name: string;
  readonly make: (parts: Parts) => NetworkTensor[];
  readonly expected: readonly (readonly number[])[];
  /** Default: however many. */
  readonly copies?: number;
  readonly dims?: readonly string[];
}[] = [
  {
    name: 'in place, where nobody else needs the input',
    make: (p) => [p.write(twice(p), p.x, 2)],
    expected: [more(doubled, 2)],
    copies: 0,
  },
  {
    name: 'in place where only the run knows the extents',
    make: (p) => [p.write(twice(p), p.x, 2)],
    expected: [more(doubled, 2)],
    copies: 0,
    dims: ['n'],
  },
  {
    name: 'apart from an input of the network',
    make: ({ x: t, write }) => [write(write(t, t, 1), t, 3)],
    expected: [more(more(x, 1), 3)],
  },
  {
    name: 'in a copy of a constant',
    make: ({ n, x: t, write }) => [write(n.addConstant(new Tensor('float32', Float32Array.from(x), [4])), t)],
    expected: [more(x, 1)],
    copies: 1,
  },
  {
    name: 'in a copy of what is read later',
    make: (p) => {
      const first = twice(p);
      return [p.n.addElementWise(p.write(first, p.x), first, 'sub'), first];
    },
    expected: [[1, 0, 0, 0], doubled],
    copies: 1,
  },
  {
    name: 'in place of a concat of concats of values that nobody else reads',
    make: (p) => [stackedAndWritten(p).written],
    expected: [stacked],
    copies: 0,
  },
  {
    name: 'in a copy of a concat of concats in which something lies that is read later',
    make: (p) => {
      const { written, first } = stackedAndWritten(p);
      return [written, p.n.addElementWise(p.n.addSlice(written, { start: [0, 0], size: [1, 4] }), first, 'sub')];
    },
    expected: [stacked, [1, 1, 1, 0]],
    copies: 1,
  },
];

const late: (typeof networks)[number] = {
  name: 'in place where only the values decide the extents',
  make: ({ n, x: t, write, above }) => {
    const kept = above(t);
    return [write(n.addElementWise(kept, kept, 'sum'), kept, 2)];
  },
  expected: [[3, 7, 8]],
  copies: 0,
};

describe.skipIf(!hasCompiler)('an output of a library that shares the memory of an input is written', () => {
  const folder = new LibraryFolder();
  let library: PluginLibrary;
  beforeAll(() => {
    library = PluginLibrary.load(folder.compile('replacing.so', join(import.meta.dirname, 'support', 'replacing.cpp')));
  }, 60_000);
  afterAll(() => {
    library.close();
    folder.remove();
  });
  const plugin = (name: string): Plugin => library.plugins.find((p) => p.key.name === name)!;

  async function answer(
    make: (parts: Parts) => NetworkTensor[],
    backends: readonly string[],
    dims: readonly (number | string)[] = [4],
    debug = false,
  ): Promise<{ results: number[][]; copies: number; program: PlanProgram }> {
    const n = new NetworkDefinition();
    const write: Write = (past, like, count = 1) =>
      plugin('Increment').addTo(n, { ...(past && { past }), like }, { count })['present']!;
    const above = (t: NetworkTensor): NetworkTensor => plugin('Above').addTo(n, { x: t })['y']!;
    const outputs = make({ n, x: n.addInput('x', 'float32', dims), write, above });
    outputs.forEach((t, i) => {
      n.markOutput(t, `y${String(i)}`);
    });
    const plan = await new Builder().build(n.toNetwork(), { backends });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext({ debug });
    let results: number[][] = [];
    const given = new Tensor('float32', Float32Array.from(x), [4]);
    // The first run queues, the second one records, the third one plays.
    for (let run = 0; run < 3; run++) {
      const found = await context.run({ x: given });
      results = outputs.map((_, i) => [...(found[`y${String(i)}`]!.data as Float32Array)]);
    }
    expect([...given.data]).toEqual(x);
    const { program } = plan.header;
    return { results, copies: program.steps.filter((s) => s.layer.kind === 'alias').length, program };
  }

  it.each([...networks, late])('$name', async ({ make, expected, copies, dims }) => {
    for (const debug of [false, true]) {
      const found = await answer(make, ['cpu'], dims, debug);
      expect(found.results).toEqual(expected);
      if (copies !== undefined) expect(found.copies).toBe(copies);
    }
  });

  it.skipIf(cudaBackend.device() === undefined).each(networks)('on a device: $name', async (network) => {
    const { make, expected, copies, dims } = network;
    for (const debug of [false, true]) {
      const found = await answer(make, ['cuda', 'cpu'], dims, debug);
      expect(found.results).toEqual(expected);
      if (copies !== undefined) expect(found.copies).toBe(copies);
      const steps = found.program.steps.filter((s) => s.layer.tactic === 'cuda.library');
      expect(steps.length).toBeGreaterThan(0);
      for (const step of steps) expect(step.inputs.some((i) => i?.value === step.outputs[1]!.value)).toBe(true);
    }
  });

  it('in memory of its own where the input is omitted', async () => {
    const { program } = await answer(({ n, x: t }) => [plugin('Increment').addTo(n, { like: t })['size']!], ['cpu']);
    expect(program.steps.some((s) => s.layer.kind === 'alias')).toBe(false);
  });

  it('and must be of the type and shape of the input', () => {
    const n = new NetworkDefinition();
    const t = n.addInput('x', 'float32', ['n']);
    expect(() => plugin('Increment').addTo(n, { past: t, like: t }, { grow: 2 })).toThrow(
      /plugin test::Increment 1: output 'present' shares the memory of input 'past', but infer gives it another dtype/,
    );
  });
});
