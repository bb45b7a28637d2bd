import { type NetworkDefinition, type NetworkTensor, Tensor } from '@tensorwright/core';
import { pagedKvCacheUpdate } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';

interface Shape {
  readonly pages: number;
  readonly pageSize: number;
  readonly heads: number;
  readonly size: number;
  readonly batch: number;
  readonly length: number;
  /** Pages of a sequence. */
  readonly columns: number;
}

interface More {
  readonly headsFirst?: boolean;
  /** Sequences of several lengths. */
  readonly counted?: boolean;
  /** Tokens that have no place. */
  readonly strays?: boolean;
  readonly symbolic?: boolean;
  readonly dtype?: 'int8' | 'float8e4m3fn';
  readonly timed?: boolean;
}

function problem(name: string, random: Random, shape: Shape, more: More = {}): Problem {
  const { pages, pageSize, heads, size, batch, length, columns } = shape;
  const { headsFirst = false, counted = false, strays = false, symbolic = false, timed = false } = more;
  const dimsOf = <T>(blocks: T, tokens: T): readonly (T | number)[] =>
    headsFirst ? [blocks, heads, tokens, size] : [blocks, tokens, heads, size];
  const operand = (blocks: number, tokens: number, declared: readonly (string | number)[]): Operand => {
    const floats = random.floats(dimsOf(blocks, tokens), -100, 100);
    const values = more.dtype ? floats.values.map(Math.round) : floats.values;
    return { ...floats, values, ...(more.dtype && { dtype: more.dtype }), ...(symbolic && { declared }) };
  };
  const cache = (): Operand => operand(pages, pageSize, dimsOf('pages', 'slots'));
  const fresh = (): Operand => operand(batch, length, dimsOf('batch', 'length'));
  // Every page belongs to one sequence at most.
  const order = Array.from({ length: pages }, (_, i) => i).sort(() => random.next() - 0.5);
  const table = Float64Array.from({ length: batch * columns }, (_, i) =>
    strays && i % 3 === 1 ? [-1, pages][i % 2]! : order[i]!,
  );
  const numbers = (values: (sample: number) => number): Operand => ({
    dtype: 'int32',
    dims: [batch],
    values: Float64Array.from({ length: batch }, (_, i) => values(i)),
    ...(symbolic && { declared: ['batch'] }),
  });
  const room = columns * pageSize - length;
  return {
    name,
    inputs: {
      key_cache: cache(),
      value_cache: cache(),
      key: fresh(),
      value: fresh(),
      block_table: {
        dtype: 'int32',
        dims: [batch, columns],
        values: table,
        ...(symbolic && { declared: ['batch', 'columns'] }),
      },
      past_lengths: numbers((i) => (strays ? [-2, room + 1][i % 2]! : random.integer(room + 1))),
      ...(counted && { new_lengths: numbers(() => random.integer(length + 1)) }),
    },
    fields: headsFirst ? { layout: 'HND' } : {},
    timed,
  };
}

export const pagedKvCacheUpdateCase: PluginCase = {
  name: 'paged-kv-cache-update',
  plugin: pagedKvCacheUpdate,
  floats: ['float32', 'float16', 'bfloat16'],
  problems: (random) => [
    problem('a token each', random, { pages: 9, pageSize: 4, heads: 2, size: 16, batch: 3, length: 1, columns: 3 }),
    problem(
      ...([
        'several tokens',
        random,
        { pages: 8, pageSize: 2, heads: 3, size: 8, batch: 2, length: 5, columns: 4 },
      ] as const),
      { headsFirst: true },
    ),
    problem(
      ...([
        'odd heads, some tokens',
        random,
        { pages: 7, pageSize: 3, heads: 3, size: 5, batch: 3, length: 4, columns: 2 },
      ] as const),
      { headsFirst: true, counted: true },
    ),
    problem(
      ...([
        'tokens without a place',
        random,
        { pages: 8, pageSize: 4, heads: 1, size: 6, batch: 4, length: 6, columns: 2 },
      ] as const),
      { strays: true },
    ),
    problem(
      ...([
        'extents of the run',
        random,
        { pages: 6, pageSize: 4, heads: 2, size: 8, batch: 2, length: 3, columns: 3 },
      ] as const),
      { symbolic: true, counted: true },
    ),
    problem(
      ...(['int8', random, { pages: 5, pageSize: 4, heads: 2, size: 12, batch: 2, length: 2, columns: 2 }] as const),
      { dtype: 'int8' },
    ),
    problem(
      ...(['float8', random, { pages: 5, pageSize: 4, heads: 2, size: 12, batch: 2, length: 2, columns: 2 }] as const),
      { dtype: 'float8e4m3fn' },
    ),
    problem(
      ...([
        'Llama 3 8B, 64 x 1 of 64 x 256',
        random,
        { pages: 1024, pageSize: 16, heads: 8, size: 128, batch: 64, length: 1, columns: 16 },
      ] as const),
      { timed: true },
    ),
  ],
  reference({ inputs, fields }) {
    const { key_cache: cache, block_table: table, past_lengths: past, new_lengths: counts } = inputs;
    const headsFirst = fields['layout'] === 'HND';
    const [heads, pageSize] = headsFirst ? [cache!.dims[1]!, cache!.dims[2]!] : [cache!.dims[2]!, cache!.dims[1]!];
    const [pages, size, columns] = [cache!.dims[0]!, cache!.dims[3]!, table!.dims[1]!];
    const length = inputs['key']!.dims[headsFirst ? 2 : 1]!;
    const fill = (old: Operand, fresh: Operand): Float64Array => {
      const out = old.values.slice();
      fresh.values.forEach((value, at) => {
        const d = at % size;
        const row = Math.floor(at / size);
        const sample = Math.floor(row / (heads * length));
        const [head, token] = headsFirst
          ? [Math.floor(row / length) % heads, row % length]
          : [row % heads, Math.floor(row / heads) % length];
        const position = past!.values[sample]! + token;
        if (token >= (counts?.values[sample] ?? length) || position < 0 || position >= columns * pageSize) return;
        const page = table!.values[sample * columns + Math.floor(position / pageSize)]!;
        if (page < 0 || page >= pages) return;
        const slot = position % pageSize;
        const target = headsFirst ? (page * heads + head) * pageSize + slot : (page * pageSize + slot) * heads + head;
        out[target * size + d] = value;
      });
      return out;
    };
    return {
      updated_key_cache: fill(cache!, inputs['key']!),
      updated_value_cache: fill(inputs['value_cache']!, inputs['value']!),
    };
  },
  standard(network, { key_cache, value_cache, key, value, block_table, past_lengths }, { inputs }) {
    const [pages, pageSize, heads, size] = inputs['key_cache']!.dims as [number, number, number, number];
    const rows = slotRows(network, block_table!, past_lengths!, inputs['key']!.dims[1]!, pageSize);
    const fill = (cache: NetworkTensor, fresh: NetworkTensor): NetworkTensor => {
      const flat = (x: NetworkTensor): NetworkTensor => network.addShuffle(x, { reshape: [-1, heads, size] });
      const filled = network.addOperator('scatterND', [flat(cache), rows, flat(fresh)])[0]!;
      return network.addShuffle(filled, { reshape: [pages, pageSize, heads, size] });
    };
    return {
      updated_key_cache: fill(key_cache!, key!),
      updated_value_cache: fill(value_cache!, value!),
    };
  },
};

/** Of each token: its slot among those of all pages. */
function slotRows(
  network: NetworkDefinition,
  table: NetworkTensor,
  past: NetworkTensor,
  length: number,
  pageSize: number,
): NetworkTensor {
  const tokens = network.addConstant(
    new Tensor(
      'int32',
      Int32Array.from({ length }, (_, i) => i),
      [1, length],
    ),
  );
  const count = network.addConstant(new Tensor('int32', Int32Array.of(pageSize), []));
  const positions = network.addElementWise(network.addShuffle(past, { reshape: [-1, 1] }), tokens, 'sum');
  const columns = network.addElementWise(positions, count, 'div');
  const pages = network.addGather(table, columns, { axis: 1, mode: 'element' });
  const starts = network.addElementWise(network.addElementWise(pages, columns, 'sub'), count, 'prod');
  const slots = network.addElementWise(starts, positions, 'sum');
  return network.addShuffle(network.addCast(slots, 'int64'), { reshape: [-1, 1] });
}
