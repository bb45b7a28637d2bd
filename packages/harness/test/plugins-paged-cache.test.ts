/** Caches that several layers append to, one after the other. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, readNumbers, Tensor } from '@tensorwright/core';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { pagedKvCacheUpdate } from '@tensorwright/plugins/stock';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { Random } from '../src/plugins/random.js';

const [pages, pageSize, heads, size, length] = [4, 3, 2, 8, 5];
const random = new Random(1);
const floats = (...dims: number[]): Tensor<'float32'> =>
  new Tensor('float32', Float32Array.from(random.numbers(dims.reduce((a, b) => a * b))), dims);
const integers = (...values: number[]): Tensor<'int32'> =>
  new Tensor('int32', Int32Array.from(values), [values.length]);

const inputs = {
  key_cache: floats(pages, pageSize, heads, size),
  value_cache: floats(pages, pageSize, heads, size),
  first: floats(1, length, heads, size),
  second: floats(1, length, heads, size),
};
const table = new Tensor('int32', Int32Array.of(2, 0, 3, 1), [1, pages]);

/** The table's pages in order, as rows of one token; the others keep what they have. */
function expected(cache: Tensor, second: Tensor, first: Tensor): Float64Array {
  const out = readNumbers(cache).slice();
  [...readNumbers(first), ...readNumbers(second)].forEach((value, at) => {
    const token = Math.floor(at / (heads * size));
    const page = [2, 0, 3, 1][Math.floor(token / pageSize)]!;
    out[(page * pageSize + (token % pageSize)) * heads * size + (at % (heads * size))] = value;
  });
  return out;
}

describe.each([['cpu'], ...(cudaBackend.device() === undefined ? [] : [['cuda', 'cpu']])])('on %s', (...backends) => {
  it('appends twice, copying what the caller owns once', async () => {
    const n = new NetworkDefinition();
    const tensors = Object.fromEntries(
      Object.entries(inputs).map(([name, { dims }]) => [name, n.addInput(name, 'float32', dims)]),
    );
    const append = (key_cache = tensors['key_cache']!, value_cache = tensors['value_cache']!, past = 0) =>
      pagedKvCacheUpdate.addTo(n, {
        ...{ key_cache, value_cache, block_table: n.addConstant(table), past_lengths: n.addConstant(integers(past)) },
        ...{ key: tensors[past === 0 ? 'first' : 'second']!, value: tensors[past === 0 ? 'second' : 'first']! },
      });
    const once = append();
    const twice = append(once.updated_key_cache, once.updated_value_cache, length);
    n.markOutput(twice.updated_key_cache, 'keys');
    n.markOutput(twice.updated_value_cache, 'values');
    const plan = await new Builder().build(n.toNetwork(), { backends });
    // A device works on the copies that carry its inputs over.
    if (backends[0] === 'cuda')
      expect(plan.header.program.steps.filter((step) => step.layer.kind === 'alias')).toEqual([]);
    const registry = new PluginRegistry().register(pagedKvCacheUpdate);
    await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
    await using context = engine.createContext();
    const { keys, values } = await context.run(inputs);
    expect(readNumbers(keys!)).toEqual(expected(inputs.key_cache, inputs.second, inputs.first));
    expect(readNumbers(values!)).toEqual(expected(inputs.value_cache, inputs.first, inputs.second));
  });
});
