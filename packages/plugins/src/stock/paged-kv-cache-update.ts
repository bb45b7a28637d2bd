/** PagedKvCacheUpdate: new keys and values of several sequences into the pages that a block table gives each. */

import { type DType, dtypeInfo, mulDims, type Tensor, type TensorData } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { checkExtents } from './extents.js';
import { pagedCacheSource } from './paged-kv-cache-update-kernel.js';

type PagedKvCacheUpdate = Plugin<
  readonly ['key_cache', 'value_cache', 'key', 'value', 'block_table', 'past_lengths', 'new_lengths?'],
  readonly ['updated_key_cache', 'updated_value_cache'],
  { readonly layout: OptionalField<string> }
>;

/** Positions of axes: of tokens (slots of a page), of heads, of a head's elements. */
const layouts: Readonly<Record<string, { readonly tokens: number; readonly heads: number }>> = {
  NHD: { tokens: 1, heads: 2 },
  HND: { tokens: 2, heads: 1 },
};

const dtypes = ['float32', 'float16', 'bfloat16', 'int8', 'float8e4m3fn', 'float8e5m2'] as const;
const mostThreads = 256;

/**
 * Appends S new keys and values of each of B sequences to caches that consist of pages of P tokens. Token t of sequence b
 * goes to position `p = past_lengths[b] + t`: slot `p mod P` of page `block_table[b, p / P]`.
 *
 * - `key_cache`, `value_cache`: [pages, P, H, D], or with `layout` 'HND' [pages, H, P, D]; float32, float16, bfloat16, int8,
 *   float8e4m3fn or float8e5m2.
 * - `key`, `value`: [B, S, H, D], or with 'HND' [B, H, S, D]; in the dtype of the caches.
 * - `block_table`: [B, most pages of a sequence], int32. `past_lengths`: [B], int32: tokens that are there already.
 * - `new_lengths`: [B], int32: how many of the S tokens count. Default: all.
 * - `updated_key_cache`, `updated_value_cache`: like the caches.
 * - `layout`: 'NHD' (default) or 'HND'.
 *
 * The caches are changed in place, unless something else needs them as they were: then in copies. Those that are inputs of
 * the network are changed where they lie when a run gives the same device buffer for the output, else as the run's own.
 *
 * Tokens are left out whose position the block table does not have, or whose page there is not (-1, say). Two tokens
 * that go to the same slot leave either one's there.
 *
 * Like the caches of Kwon et al., PagedAttention, 2023, and TensorRT's KVCacheUpdate layer with pages.
 */
export const pagedKvCacheUpdate: PagedKvCacheUpdate = definePlugin({
  name: 'PagedKvCacheUpdate',
  version: '1',
  fields: { layout: field.string('NHD') },
  inputs: ['key_cache', 'value_cache', 'key', 'value', 'block_table', 'past_lengths', 'new_lengths?'],
  outputs: ['updated_key_cache', 'updated_value_cache'],
  aliases: { updated_key_cache: 'key_cache', updated_value_cache: 'value_cache' },
  infer(context) {
    const {
      inputs,
      fields: { layout },
      fail,
    } = context;
    const { key_cache: cache, key, block_table: table } = inputs;
    const axes = layouts[layout] ?? fail(`layout must be NHD or HND, not '${layout}'`);
    if (cache.dims.length !== 4 || key.dims.length !== 4) fail('caches, key and value must have rank 4');
    if (!(dtypes as readonly DType[]).includes(cache.dtype))
      fail(`key_cache must be one of ${dtypes.join(', ')}, is ${cache.dtype}`);
    for (const name of ['value_cache', 'key', 'value'] as const)
      if (inputs[name].dtype !== cache.dtype) fail(`${name} is ${inputs[name].dtype}, key_cache is ${cache.dtype}`);
    for (const name of ['block_table', 'past_lengths', 'new_lengths'] as const)
      if (inputs[name] && inputs[name].dtype !== 'int32') fail(`${name} is ${inputs[name].dtype}, expected int32`);
    checkExtents('value_cache', inputs.value_cache.dims, cache.dims, context);
    checkExtents('value', inputs.value.dims, key.dims, context);
    const [heads, size] = [cache.dims[axes.heads], cache.dims[3]];
    if (typeof heads !== 'number' || typeof size !== 'number')
      fail('the heads of key_cache and their size must be known at build time');
    checkExtents('[heads, size] of key', [key.dims[axes.heads]!, key.dims[3]!], [heads!, size!], context);
    const samples = key.dims[0]!;
    if (table.dims.length !== 2) fail('block_table must have rank 2');
    checkExtents('block_table', table.dims, [samples, table.dims[1]!], context);
    checkExtents('past_lengths', inputs.past_lengths.dims, [samples], context);
    if (inputs.new_lengths) checkExtents('new_lengths', inputs.new_lengths.dims, [samples], context);
    return { updated_key_cache: cache, updated_value_cache: inputs.value_cache };
  },
  cuda: {
    source: pagedCacheSource,
    dtypes: [...dtypes, 'int32'],
    launches({ inputs, outputs, fields: { layout } }) {
      const { key_cache: cache, key, value, block_table: table, past_lengths: past, new_lengths: counts } = inputs;
      const caches = [outputs.updated_key_cache, outputs.updated_value_cache];
      const axes = layouts[layout]!;
      const [heads, size] = [cache.dims[axes.heads] as number, cache.dims[3] as number];
      // Where heads come last, those of a token lie side by side.
      const runs = axes.heads === 1 ? heads : 1;
      const bytes = ((heads / runs) * size * dtypeInfo(cache.dtype).bits) / 8;
      let unit = 16;
      while (bytes % unit !== 0) unit /= 2;
      const units = bytes / unit;
      const length = key.dims[axes.tokens]!;
      return [
        {
          kernel: `write_tokens<${String(unit)}>`,
          grid: [mulDims(key.dims[0]!, length), 2],
          block: Math.min(mostThreads, Math.max(32, Math.ceil((runs * units) / 32) * 32)),
          arguments: [
            ...[key, value, ...caches, table, past, counts],
            ...[length, runs, units, cache.dims[0], cache.dims[axes.tokens], table.dims[1]],
          ],
        },
      ];
    },
  },
  cpu({ key_cache, value_cache, key, value, block_table, past_lengths, new_lengths }, { layout }) {
    const places = slots({ cache: key_cache, fresh: key, layout }, block_table, past_lengths, new_lengths);
    return {
      updated_key_cache: updated(key_cache, key, places),
      updated_value_cache: updated(value_cache, value, places),
    };
  },
});

interface Slot {
  /** First elements of a head's run, in the new ones and in the cache. */
  readonly from: number;
  readonly to: number;
}

function slots(
  { cache, fresh, layout }: { cache: Tensor; fresh: Tensor; layout: string },
  blockTable: Tensor,
  pastLengths: Tensor,
  newLengths: Tensor | undefined,
): readonly Slot[] {
  const axes = layouts[layout]!;
  const [pages, pageSize] = [cache.dims[0]!, cache.dims[axes.tokens]!];
  const [heads, size] = [cache.dims[axes.heads]!, cache.dims[3]!];
  const [samples, length] = [fresh.dims[0]!, fresh.dims[axes.tokens]!];
  const [table, past, counts] = [blockTable, pastLengths, newLengths].map((t) => t?.data as Int32Array | undefined);
  const columns = blockTable.dims[1]!;
  const found: Slot[] = [];
  for (let b = 0; b < samples; b++) {
    for (let t = 0; t < Math.min(length, counts?.[b] ?? length); t++) {
      const position = past![b]! + t;
      const column = Math.floor(position / pageSize);
      const page = column >= 0 && column < columns ? table![b * columns + column]! : -1;
      if (page < 0 || page >= pages) continue;
      const run = (block: number, tokens: number, token: number, head: number): number =>
        size * (axes.heads === 1 ? (block * heads + head) * tokens + token : (block * tokens + token) * heads + head);
      for (let h = 0; h < heads; h++)
        found.push({ from: run(b, length, t, h), to: run(page, pageSize, position % pageSize, h) });
    }
  }
  return found;
}

function updated(cache: Tensor, fresh: Tensor, places: readonly Slot[]): TensorData {
  const out = (cache.data as Float32Array).slice();
  const size = cache.dims[3]!;
  const values = fresh.data as Float32Array;
  for (const { from, to } of places) out.set(values.subarray(from, from + size), to);
  return out;
}
