/** Outputs that are an input changed in place. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder, type BuildOptions } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, type PlanProgram, Tensor } from '@tensorwright/core';
import { definePlugin, field, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { DeviceBuffer, Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

const rows = 4;
const columns = 3;

/** Writes a row of a cache, and nothing else of it. */
const writeRow = definePlugin({
  name: 'WriteRow',
  fields: { at: field.int() },
  inputs: ['past', 'row'],
  outputs: ['present'],
  aliases: { present: 'past' },
  infer: ({ inputs: { past } }) => ({ present: past }),
  cuda: {
    source: `
__global__ void write_row(const float* past, const float* row, float* present, int at, int columns) {
  if (past != present) return;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) present[at * columns + i] = row[i];
}`,
    launches: ({ inputs: { past, row }, outputs: { present }, fields: { at } }) => [
      { kernel: 'write_row', grid: 1, block: 32, arguments: [past, row, present, at, past.dims.at(-1)!] },
    ],
  },
  cpu: ({ past, row }, { at }) => {
    const present = (past.data as Float32Array).slice();
    present.set(row.data as Float32Array, at * past.dims.at(-1)!);
    return { present };
  },
});
const registry = new PluginRegistry().register(writeRow);

const cache = Float32Array.from({ length: rows * columns }, (_, i) => i + 1);
const row = Float32Array.of(-1, -2, -3);
const withRow = (values: ArrayLike<number>, at: number, of: ArrayLike<number> = row): number[] => {
  const out = Array.from(values);
  for (let i = 0; i < columns; i++) out[at * columns + i] = of[i]!;
  return out;
};
const doubled = cache.map((v) => 2 * v);

interface Parts {
  readonly n: NetworkDefinition;
  readonly past: NetworkTensor;
  readonly row: NetworkTensor;
  readonly write: (past: NetworkTensor, row: NetworkTensor, at: number) => NetworkTensor;
}

/** What a network answers, and how many copies its steps need for what is changed in place. */
async function answer(
  make: (parts: Parts) => NetworkTensor[],
  backends: readonly string[],
  dims: readonly (number | string)[] = [rows, columns],
  options: BuildOptions = {},
): Promise<{ results: number[][]; copies: number; program: PlanProgram }> {
  const n = new NetworkDefinition();
  const outputs = make({
    n,
    past: n.addInput('past', 'float32', dims),
    row: n.addInput('row', 'float32', [columns]),
    write: (past, given, at) => writeRow.addTo(n, { past, row: given }, { at }).present,
  });
  outputs.forEach((t, i) => {
    n.markOutput(t, `y${String(i)}`);
  });
  const plan = await new Builder().build(n.toNetwork(), { backends, ...options });
  await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
  await using context = engine.createContext();
  const given = new Tensor('float32', cache.slice(), [rows, columns]);
  let results: number[][] = [];
  // A second run finds its inputs as the first one did.
  for (let run = 0; run < 2; run++) {
    const found = await context.run({ past: given, row: new Tensor('float32', row, [columns]) });
    results = outputs.map((_, i) => [...(found[`y${String(i)}`]!.data as Float32Array)]);
  }
  expect(given.data).toEqual(cache);
  const { program } = plan.header;
  return { results, copies: program.steps.filter((s) => s.layer.kind === 'alias').length, program };
}

const networks: readonly {
  readonly name: string;
  readonly make: (parts: Parts) => NetworkTensor[];
  readonly expected: readonly (readonly number[])[];
  readonly copies: number;
  readonly dims?: readonly (number | string)[];
}[] = [
  {
    name: 'in place, where nobody else needs the input',
    make: ({ n, past, row: r, write }) => [write(n.addElementWise(past, past, 'sum'), r, 1)],
    expected: [withRow(doubled, 1)],
    copies: 0,
  },
  {
    name: 'in what was carried over of an input of the network',
    make: ({ past, row: r, write }) => [write(write(past, r, 0), r, 3)],
    expected: [withRow(withRow(cache, 0), 3)],
    copies: 0,
  },
  {
    name: 'in a copy of a constant',
    make: ({ n, row: r, write }) => [
      write(n.addConstant(new Tensor('float32', cache, [rows, columns])), r, 2),
      write(n.addConstant(new Tensor('float32', cache, [rows, columns])), r, 1),
    ],
    expected: [withRow(cache, 2), withRow(cache, 1)],
    copies: 2,
  },
  {
    name: 'in a copy of what is read later',
    make: ({ n, past, row: r, write }) => {
      const twice = n.addElementWise(past, past, 'sum');
      const written = write(twice, r, 1);
      return [n.addElementWise(written, twice, 'sub'), twice];
    },
    expected: [
      withRow(
        new Float32Array(rows * columns),
        1,
        row.map((v, i) => v - doubled[columns + i]!),
      ),
      [...doubled],
    ],
    copies: 1,
  },
  {
    name: 'in a copy of what it reads by another input too',
    make: ({ n, past, write }) => {
      const twice = n.addElementWise(past, past, 'sum');
      return [
        write(twice, n.addShuffle(n.addSlice(twice, { start: [3, 0], size: [1, columns] }), { reshape: [columns] }), 1),
      ];
    },
    expected: [withRow(doubled, 1, doubled.slice(3 * columns))],
    copies: 1,
  },
  {
    name: 'in place of what a concat has made of values that nobody else reads',
    make: ({ n, past, row: r, write }) => {
      const parts = [n.addElementWise(past, past, 'sum'), n.addUnary(past, 'neg')];
      return [write(n.addConcatenation(parts, 0), r, 2)];
    },
    expected: [withRow([...doubled, ...cache.map((v) => -v)], 2)],
    copies: 0,
  },
  {
    name: 'in a copy of a concat in which something lies that is read later',
    make: ({ n, past, row: r, write }) => {
      const twice = n.addElementWise(past, past, 'sum');
      const written = write(n.addConcatenation([twice, n.addUnary(past, 'neg')], 0), r, 2);
      return [written, n.addElementWise(twice, n.addSlice(written, { start: [0, 0], size: [rows, columns] }), 'sub')];
    },
    expected: [
      withRow([...doubled, ...cache.map((v) => -v)], 2),
      withRow(
        new Float32Array(rows * columns),
        2,
        row.map((v, i) => doubled[2 * columns + i]! - v),
      ),
    ],
    copies: 1,
  },
  {
    name: 'in place of what only a view reads',
    make: ({ n, past, row: r, write }) => {
      const flat = n.addElementWise(past, past, 'sum');
      return [write(n.addShuffle(flat, { reshape: [1, rows, columns] }), r, 1)];
    },
    expected: [withRow(doubled, 1)],
    copies: 0,
  },
  {
    name: 'in place where only the run knows the extents',
    make: ({ n, past, row: r, write }) => [write(n.addElementWise(past, past, 'sum'), r, 1)],
    expected: [withRow(doubled, 1)],
    copies: 0,
    dims: ['rows', columns],
  },
];

describe.skipIf(cudaBackend.device() === undefined)('an output that shares the memory of an input is written', () => {
  it.each(networks)('$name', async ({ make, expected, copies, dims }) => {
    const found = await answer(make, ['cuda', 'cpu'], dims);
    expect(found.results).toEqual(expected.map((e) => [...e]));
    expect(found.copies).toBe(copies);
    for (const step of found.program.steps.filter((s) => s.layer.tactic.includes('WriteRow')))
      expect(step.inputs.some((i) => i?.value === step.outputs[0]!.value)).toBe(true);
  });

  it('and leaves buffers of the device as they are, unless they are the output too', async () => {
    const n = new NetworkDefinition();
    const past = n.addInput('past', 'float32', [rows, columns]);
    const { present } = writeRow.addTo(n, { past, row: n.addInput('row', 'float32', [columns]) }, { at: 1 });
    n.markOutput(present, 'present');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const tensor = new Tensor('float32', cache.slice(), [rows, columns]);
    using given = await DeviceBuffer.from(tensor);
    using taken = DeviceBuffer.allocate('float32', [rows, columns]);
    const numbers = async (buffer: DeviceBuffer): Promise<number[]> => [
      ...((await buffer.read()).data as Float32Array),
    ];
    // Buffers that come again take the places of the plan's own memory.
    for (let run = 0; run < 4; run++) {
      const values = row.map((v) => v - run);
      const inputs = { past: given, row: new Tensor('float32', values, [columns]) };
      await context.run<DeviceBuffer | Tensor>(inputs, { outputs: { present: taken } });
      expect(await numbers(taken)).toEqual(withRow(cache, 1, values));
      expect(await numbers(given)).toEqual([...cache]);
    }
    for (let run = 0; run < 4; run++) {
      const values = row.map((v) => v - run);
      const inputs = { past: given, row: new Tensor('float32', values, [columns]) };
      await context.run<DeviceBuffer | Tensor>(inputs, { outputs: { present: given } });
      expect(await numbers(given)).toEqual(withRow(cache, 1, values));
    }
  });

  it('in bodies too', async () => {
    const found = await answer(
      ({ n, past, row: r }) =>
        n.addLoop(
          {
            tripCount: n.addConstant(new Tensor('int64', BigInt64Array.of(2n), [])),
            carried: [past],
            captures: [r],
          },
          ({ carried, captures }) => ({
            carried: [writeRow.addTo(n, { past: carried[0]!, row: captures[0]! }, { at: 2 }).present],
          }),
        ).carried,
      ['cuda', 'cpu'],
    );
    expect(found.results).toEqual([withRow(cache, 2)]);
  });
});

it.each(networks)('functions for the processor give: $name', async ({ make, expected, dims }) => {
  const { results } = await answer(make, ['cpu'], dims);
  expect(results).toEqual(expected.map((e) => [...e]));
});

it.each([
  ['an output that is none', { aliases: { other: 'past' } }, /no output 'other'/],
  ['an input that is none', { aliases: { present: 'other' } }, /no input 'other'/],
  ['an epilogue', { cuda: { source: '', launches: () => [], epilogue: true } }, /takes no epilogue/],
  [
    'layouts that differ',
    { cuda: { source: '', launches: () => [], formats: [{ past: 'channelsLast' }] } },
    /have different layouts/,
  ],
])('sharing with %s is refused', (_, change, message) => {
  const spec = { name: 'AliasWrong', inputs: ['past'], outputs: ['present'], aliases: { present: 'past' } };
  const functions = { infer: () => ({}), cpu: () => ({}) };
  expect(() => definePlugin({ ...spec, ...functions, ...(change as object) })).toThrow(message);
});

it('the shapes of what shares its memory are the same', () => {
  const wrong = definePlugin({
    name: 'AliasShape',
    inputs: ['past'],
    outputs: ['present'],
    aliases: { present: 'past' },
    infer: ({ inputs: { past } }) => ({ present: { dtype: past.dtype, dims: [2] } }),
    cpu: ({ past }) => ({ present: past }),
  });
  const n = new NetworkDefinition();
  expect(() => wrong.addTo(n, { past: n.addInput('past', 'float32', [4]) })).toThrow(
    /output 'present' shares the memory of input 'past', but infer gives it another dtype or shape/,
  );
});
