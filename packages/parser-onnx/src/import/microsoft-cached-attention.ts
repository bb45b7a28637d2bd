/** com.microsoft's attention operators whose keys and values come apart from the query's, or from a cache. */

import { type Dim, maxDims, subDims, type Value } from '@tensorwright/core';
import { anglesAt, appendCache, mergeHeads, splitHeads } from './attention.js';
import type { ImportContext } from './importer.js';
import { known, paddingBias, scaleAttribute, splitLast, sumOf } from './microsoft-attention-parts.js';
import { cast, concat, dimScalar, element, expand, iota, reshape, sliceAxis, transpose } from './shorthand.js';

/** [B, S, N, parts, D] → the parts as [B, N, S, D]. */
function packedParts(c: ImportContext, v: Value): Value[] {
  const [batch, positions, heads, parts, size] = c.dimsOf(v) as [Dim, Dim, Dim, Dim, Dim];
  return Array.from({ length: known(c, parts, 'a number of packed parts') }, (_, i) =>
    transpose(c, reshape(c, sliceAxis(c, v, 3, i, 1), [batch, positions, heads, size]), [0, 2, 1, 3]),
  );
}

/** Adds part i of the bias [q | k | v], whose widths are those of the inputs. */
function withBias(c: ImportContext, v: Value, bias: Value | undefined, start: number): Value {
  if (!bias) return v;
  const width = known(c, c.dimsOf(v).at(-1), 'a hidden size');
  return c.op('add', [v, sliceAxis(c, bias, 0, start, width)]);
}

interface Heads {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

function separateHeads(c: ImportContext, bias: Value | undefined): Heads {
  const heads = c.int('num_heads', 0);
  const [query, key, value] = [c.input(0), c.optional(1), c.optional(2)];
  if (c.rank(query) === 5) {
    const [q, k, v] = packedParts(c, query) as [Value, Value, Value];
    return { q, k, v };
  }
  if (!key) {
    // DecoderMaskedMultiHeadAttention packs q, k and v along the last axis.
    const width = known(c, c.dimsOf(query)[2], 'a hidden size') / 3;
    const parts = splitLast(c, query, [width, width, width]).map((p, i) =>
      splitHeads(c, withBias(c, p, bias, i * width), heads),
    );
    return { q: parts[0]!, k: parts[1]!, v: parts[2]! };
  }
  const width = known(c, c.dimsOf(query)[2], 'a hidden size');
  const q = splitHeads(c, withBias(c, query, bias, 0), heads);
  if (c.rank(key) === 5) {
    const [k, v] = packedParts(c, key) as [Value, Value];
    return { q, k, v };
  }
  if (!value) return c.fail('value is missing');
  if (c.rank(key) === 4) return { q, k: key, v: value };
  const keyWidth = known(c, c.dimsOf(key)[2], 'a hidden size');
  return {
    q,
    k: splitHeads(c, withBias(c, key, bias, width), heads),
    v: splitHeads(c, withBias(c, value, bias, width + keyWidth), heads),
  };
}

/** New positions written into a buffer of fixed length from position `start` (scalar) on. */
function writeCache(c: ImportContext, buffer: Value, v: Value, start: Value): Value {
  const starts = expand(c, reshape(c, cast(c, start, 'int64'), [1]), [c.dimsOf(buffer)[0]!]);
  return c.op('tensorScatter', [buffer, v, starts], { axis: 2 });
}

interface CacheInputs {
  readonly mask: Value | undefined;
  readonly attentionBias: Value | undefined;
  readonly pastKey: Value | undefined;
  readonly pastValue: Value | undefined;
  /** Where the buffers are shared: how much of them is filled. */
  readonly pastLength: Value | undefined;
}

function crossAttention(c: ImportContext, { q, k, v }: Heads, cache: CacheInputs): Value[] {
  const { pastKey, pastValue } = cache;
  const shared = cache.pastLength !== undefined && pastKey !== undefined;
  const start = shared ? element(c, cache.pastLength, 0) : undefined;
  const grow = (past: Value | undefined, fresh: Value): Value =>
    past && start ? writeCache(c, past, fresh, start) : appendCache(c, past, fresh);
  const [keys, values] = [grow(pastKey, k), grow(pastValue, v)];
  const [batch, , positions] = c.dimsOf(q) as [Dim, Dim, Dim, Dim];
  const perBatch = (length: Value): Value => expand(c, reshape(c, length, [1]), [batch]);
  const offset = start && cast(c, start, 'int64');
  const lengths = offset && perBatch(c.op('add', [offset, dimScalar(c, positions, 'int64')]));
  const padding = paddingBias(c, cache.mask, batch, c.dimsOf(keys)[2]!, c.type(q).dtype);
  const mask = sumOf(c, cache.attentionBias, padding);
  const attributes = {
    ...scaleAttribute(c),
    isCausal: c.int('unidirectional', 0) !== 0,
    causalOffset: pastKey && !shared ? c.dimsOf(pastKey)[2]! : 0,
  };
  const extras = [mask, lengths, offset && perBatch(offset)];
  const y = c.op('attention', [q, keys, values, ...extras], attributes);
  const outputs = [mergeHeads(c, y), keys, values];
  if (c.wants(3))
    outputs.push(c.op('attentionScores', [q, keys, ...extras], { ...attributes, stage: 'probabilities' }));
  return outputs;
}

export function multiHeadAttention(c: ImportContext): Value[] {
  if (c.has(9)) c.unsupported('cache_indirection (beam search)');
  const cache = {
    mask: c.optional(4),
    attentionBias: c.optional(5),
    pastKey: c.optional(6),
    pastValue: c.optional(7),
    pastLength: c.optional(8),
  };
  return crossAttention(c, separateHeads(c, c.optional(3)), cache);
}

export function decoderMaskedAttention(c: ImportContext): Value[] {
  if (c.has(9)) c.unsupported('cache_indirection (beam search)');
  const shared = c.int('past_present_share_buffer', 0) !== 0;
  const cache = {
    mask: c.optional(3),
    attentionBias: c.optional(4),
    pastKey: c.optional(5),
    pastValue: c.optional(6),
    pastLength: shared ? c.optional(7) : undefined,
  };
  return crossAttention(c, separateHeads(c, c.optional(10)), cache);
}

/** Query, key and value heads of GroupQueryAttention, rotated at their positions. */
function groupedHeads(c: ImportContext, offsets: Value): Heads {
  const [heads, keyHeads] = [c.int('num_heads', 0), c.int('kv_num_heads', 0)];
  let parts: readonly Value[];
  if (c.has(1)) {
    parts = [c.input(0), c.input(1), c.input(2)];
  } else {
    const size = known(c, c.dimsOf(c.input(0))[2], 'a hidden size') / (heads + 2 * keyHeads);
    parts = splitLast(c, c.input(0), [heads * size, keyHeads * size, keyHeads * size]);
  }
  const [wholeQ, wholeK, v] = parts.map((p, i) => splitHeads(c, p, i === 0 ? heads : keyHeads)) as [
    Value,
    Value,
    Value,
  ];
  let [q, k] = [wholeQ, wholeK];
  if (c.has(14)) {
    const epsilon = c.float('qk_norm_epsilon', 1e-6);
    q = c.op('rmsNorm', [q, c.input(14)], { axis: -1, epsilon });
    k = c.op('rmsNorm', [k, c.input(15)], { axis: -1, epsilon });
  }
  if (c.int('do_rotary', 0) !== 0) {
    const [batch, , positions] = c.dimsOf(q) as [Dim, Dim, Dim, Dim];
    const counted = c.op('add', [reshape(c, offsets, [batch, 1]), iota(c, c.dims(positions), 'int64')]);
    const at = c.optional(9) ?? counted;
    const [cos, sin] = [7, 8].map((i) => anglesAt(c, c.input(i), at)) as [Value, Value];
    const turn = (x: Value): Value =>
      c.op('rotaryEmbedding', [x, cos, sin], { interleaved: c.int('rotary_interleaved', 0) !== 0 });
    [q, k] = [turn(q), turn(k)];
  }
  return { q, k, v };
}

/** past made long enough for `total` positions. */
function withCapacity(c: ImportContext, past: Value, total: Value): Value {
  const dims = c.dimsOf(past);
  const wanted = c.fact(total)?.[0];
  const length = dims[2]!;
  if (wanted !== undefined) {
    const high = [0, 0, subDims(maxDims(wanted, length), length), 0];
    return high[2] === 0 ? past : c.op('pad', [past], { low: [0, 0, 0, 0], high, mode: 'constant' });
  }
  // The extent of a range stands for the positions that are missing.
  const missing = c.op('sub', [c.op('max', [cast(c, total, 'int64'), c.dims(length)]), c.dims(length)]);
  const count = c.dimsOf(iota(c, missing, 'int64'))[0]!;
  return concat(c, [past, expand(c, c.scalar(0, c.type(past).dtype), dims.with(2, count))], 2);
}

/**
 * Every sample has seqlens_k + 1 valid positions, the new ones last; right-padded prompts have fewer than the
 * query's, and begin at 0.
 */
export function groupQueryAttention(c: ImportContext): Value[] {
  if (c.int('sliding_window_cache', 0) !== 0) c.unsupported('a window-sized cache');
  if (c.string('k_quant_type', 'NONE') !== 'NONE' || c.string('v_quant_type', 'NONE') !== 'NONE')
    c.unsupported('a quantized cache');
  const positions = c.dimsOf(c.input(0))[1]!;
  const seqlens = c.input(5);
  const lengths = c.op('add', [
    cast(c, reshape(c, seqlens, [c.dimsOf(c.input(0))[0]!]), 'int64'),
    c.scalar(1, 'int64'),
  ]);
  const offsets = c.op('max', [c.op('sub', [lengths, dimScalar(c, positions, 'int64')]), c.scalar(0, 'int64')]);
  const { q, k, v } = groupedHeads(c, offsets);
  const total = element(c, c.input(6), 0);
  const grow = (past: Value | undefined, fresh: Value): Value =>
    past ? c.op('tensorScatter', [withCapacity(c, past, total), fresh, offsets], { axis: 2 }) : fresh;
  const [keys, values] = [grow(c.optional(3), k), grow(c.optional(4), v)];
  const window = c.int('local_window_size', -1);
  const smooth = c.int('smooth_softmax', 0) !== 0;
  const sinks =
    c.optional(11) ?? (smooth ? expand(c, c.scalar(0, c.type(q).dtype), [c.int('num_heads', 0)]) : undefined);
  const attributes = {
    ...scaleAttribute(c),
    isCausal: c.int('causal', 1) !== 0,
    softcap: c.float('softcap', 0),
    leftWindow: window < 0 ? -1 : window - 1,
  };
  const extras = [c.optional(10), lengths, offsets, sinks];
  const outputs = [mergeHeads(c, c.op('attention', [q, keys, values, ...extras], attributes)), keys, values];
  const stage = c.int('qk_output', 0);
  if (c.wants(3))
    outputs.push(
      c.op('attentionScores', [q, keys, ...extras], { ...attributes, stage: stage === 2 ? 'probabilities' : 'masked' }),
    );
  return outputs;
}
