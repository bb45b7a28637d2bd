/** com.microsoft's attention operators: the canonical one with projections, masks, caches and rotations around it. */

import { type Dim, type DType, maxDims, mulDims, provablyEqual, subDims, type Value } from '@tensorwright/core';
import { anglesAt, appendCache, mergeHeads, splitHeads } from './attention.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { integerMatMul, productScale, toReal } from './integer-contraction.js';
import { matmul } from './matmul.js';
import { cast, concat, dimScalar, element, expand, iota, reshape, sliceAxis, transpose } from './shorthand.js';

function known(c: ImportContext, d: Dim | undefined, what: string): number {
  return typeof d === 'number' ? d : c.unsupported(`${what} that is not known`);
}

/** Consecutive parts of the last axis. */
function splitLast(c: ImportContext, v: Value, sizes: readonly number[]): Value[] {
  let start = 0;
  return sizes.map((size) => sliceAxis(c, v, c.rank(v) - 1, (start += size) - size, size));
}

/** mask_filter_value where `kept` is false, as a bias. */
function filterBias(c: ImportContext, kept: Value, dtype: DType): Value {
  return c.op('where', [kept, c.scalar(0, dtype), c.scalar(c.float('mask_filter_value', -10000), dtype)]);
}

/** [0 … n − 1] along the last of rank dimensions. */
function keyIndices(c: ImportContext, n: Dim, dtype: DType): Value {
  return iota(c, c.dims(n), dtype);
}

/**
 * A padding mask as a bias that broadcasts to [B, H, L, T]: zeros mark padding; or the lengths [B], or the ends
 * and begins [2 · B] of what is no padding.
 */
function paddingBias(
  c: ImportContext,
  mask: Value | undefined,
  batch: Dim,
  keys: Dim,
  dtype: DType,
): Value | undefined {
  if (!mask) return undefined;
  const dims = c.dimsOf(mask);
  const present = (m: Value): Value => c.op('not', [c.op('equal', [m, c.scalar(0, c.type(m).dtype)])]);
  if (dims.length === 2) return filterBias(c, present(reshape(c, mask, [dims[0]!, 1, 1, dims[1]!])), dtype);
  if (dims.length === 3) return filterBias(c, present(reshape(c, mask, [dims[0]!, 1, dims[1]!, dims[2]!])), dtype);
  if (dims.length !== 1) return c.unsupported(`a mask of rank ${String(dims.length)}`);
  const index = keyIndices(c, keys, c.type(mask).dtype);
  const part = (start: Dim): Value => reshape(c, sliceAxis(c, mask, 0, start, batch), [batch, 1, 1, 1]);
  const inside = c.op('less', [index, part(0)]);
  const beginsToo = provablyEqual(dims[0]!, mulDims(batch, 2));
  return filterBias(c, beginsToo ? c.op('and', [inside, c.op('greaterOrEqual', [index, part(batch)])]) : inside, dtype);
}

function sumOf(c: ImportContext, a: Value | undefined, b: Value | undefined): Value | undefined {
  return a && b ? c.op('add', [a, b]) : (a ?? b);
}

function scaleAttribute(c: ImportContext): { scale?: number } {
  const scale = c.float('scale', 0);
  return scale === 0 ? {} : { scale };
}

/** q, k and v with heads apart, the bias and the cache length: what is common to Attention and its quantized form. */
function selfAttention(
  c: ImportContext,
  projected: Value,
  sizes: readonly number[],
  mask: Value | undefined,
  past: Value | undefined,
  bias: Value | undefined,
): Value[] {
  if (c.int('do_rotary', 0) !== 0) c.unsupported('rotary embedding inside Attention');
  if (c.int('past_present_share_buffer', 0) !== 0) c.unsupported('a cache whose past and present share one buffer');
  const heads = c.int('num_heads', 0);
  const [q, newKey, newValue] = splitLast(c, projected, sizes).map((v) => splitHeads(c, v, heads)) as [
    Value,
    Value,
    Value,
  ];
  const cached = (i: number): Value | undefined =>
    past && reshape(c, sliceAxis(c, past, 0, i, 1), c.dimsOf(past).slice(1));
  const k = appendCache(c, cached(0), newKey);
  const v = appendCache(c, cached(1), newValue);
  const batch = c.dimsOf(q)[0]!;
  const padding = paddingBias(c, mask, batch, c.dimsOf(k)[2]!, c.type(q).dtype);
  const y = c.op('attention', [q, k, v, sumOf(c, bias, padding)], {
    ...scaleAttribute(c),
    isCausal: c.int('unidirectional', 0) !== 0,
    causalOffset: past ? c.dimsOf(past)[3]! : 0,
  });
  if (!c.wants(1)) return [mergeHeads(c, y)];
  const present = concat(
    c,
    [k, v].map((t) => reshape(c, t, [1, ...c.dimsOf(t)])),
    0,
  );
  return [mergeHeads(c, y), present];
}

function attention(c: ImportContext): Value[] {
  const [x, w] = [c.input(0), c.input(1)];
  const width = known(c, c.dimsOf(w)[1], 'a projection width');
  const sizes = c.ints('qkv_hidden_sizes') ?? [width / 3, width / 3, width / 3];
  const product = matmul(c, x, w);
  const bias = c.optional(2);
  return selfAttention(
    c,
    bias ? c.op('add', [product, bias]) : product,
    sizes,
    c.optional(3),
    c.optional(4),
    c.optional(5),
  );
}

/** Inputs x, w, bias, x_scale, w_scale, mask, x_zp, w_zp, past. */
function qAttention(c: ImportContext): Value[] {
  const [x, w] = [c.input(0), c.input(1)];
  const width = known(c, c.dimsOf(w)[1], 'a projection width');
  const sums = integerMatMul(c, { value: x, zeroPoint: c.optional(6) }, { value: w, zeroPoint: c.optional(7) });
  const projected = c.op('add', [
    toReal(c, sums, productScale(c, scalarOf(c, c.input(3)), scalarOf(c, c.input(4)))),
    c.input(2),
  ]);
  return selfAttention(c, projected, [width / 3, width / 3, width / 3], c.optional(5), c.optional(8), undefined);
}

/** A vector of one element as a scalar. */
function scalarOf(c: ImportContext, v: Value): Value {
  return c.dimsOf(v).every((d) => d === 1) ? reshape(c, v, []) : v;
}

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

function multiHeadAttention(c: ImportContext): Value[] {
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

function decoderMaskedAttention(c: ImportContext): Value[] {
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
function groupQueryAttention(c: ImportContext): Value[] {
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

/** Only the tokens that are no padding are there: [tokens, width], and where each stands in [B, S]. */
function packedAttention(c: ImportContext): Value {
  const [x, w, bias, places, ends] = [c.input(0), c.input(1), c.input(2), c.input(3), c.input(4)];
  const [batch, positions] = c.dimsOf(places) as [Dim, Dim];
  const slots = mulDims(batch, positions);
  const tokens = c.dimsOf(x)[0]!;
  const width = known(c, c.dimsOf(w)[1], 'a projection width');
  const sizes = c.ints('qkv_hidden_sizes') ?? [width / 3, width / 3, width / 3];
  const projected = c.op('add', [matmul(c, x, w), bias]);
  const flat = reshape(c, places, [slots]);
  const at = reshape(c, cast(c, sliceAxis(c, flat, 0, 0, tokens), 'int64'), [tokens, 1]);
  const empty = expand(c, c.scalar(0, c.type(x).dtype), [slots, width]);
  const dense = reshape(c, c.op('scatterND', [empty, at, projected]), [batch, positions, width]);
  const heads = c.int('num_heads', 0);
  const [q, k, v] = splitLast(c, dense, sizes).map((p) => splitHeads(c, p, heads)) as [Value, Value, Value];
  const cumulative = cast(c, ends, 'int64');
  const lengths = c.op('sub', [sliceAxis(c, cumulative, 0, 1, batch), sliceAxis(c, cumulative, 0, 0, batch)]);
  const y = mergeHeads(c, c.op('attention', [q, k, v, c.optional(5), lengths], scaleAttribute(c)));
  return c.op('gather', [reshape(c, y, [slots, sizes[2]!]), reshape(c, at, [tokens])], { axis: 0 });
}

/** position_ids [B, S], or [1]: the first position of all samples. */
function rotaryEmbedding(c: ImportContext): Value {
  if (c.int('is_packed_batching', 0) !== 0) c.unsupported('packed batching');
  const [x, ids, cosCache, sinCache] = [c.input(0), c.input(1), c.input(2), c.input(3)];
  const packed = c.rank(x) === 3;
  const rotated = 2 * known(c, c.dimsOf(cosCache)[1], 'a rotated size');
  const partial = c.int('rotary_embedding_dim', 0) > 0;
  const width = packed ? known(c, c.dimsOf(x)[2], 'a hidden size') : 0;
  const heads = partial ? c.int('num_heads', 0) : width / rotated;
  const split = packed ? splitHeads(c, x, heads) : x;
  const [, , positions] = c.dimsOf(split) as [Dim, Dim, Dim, Dim];
  const at =
    c.rank(ids) === 2
      ? ids
      : reshape(c, c.op('add', [iota(c, c.dims(positions), 'int64'), cast(c, ids, 'int64')]), [1, positions]);
  const [cos, sin] = [cosCache, sinCache].map((cache) => anglesAt(c, cache, at)) as [Value, Value];
  const scale = c.float('scale', 1);
  if (scale !== 1) c.unsupported(`a scale of ${String(scale)}`);
  const turned = c.op('rotaryEmbedding', [split, cos, sin], { interleaved: c.int('interleaved', 0) !== 0 });
  return packed ? mergeHeads(c, turned) : turned;
}

/** The rotation written out: x · cos(emb) + rotated · sin(emb). */
function gemmaRotaryEmbedding(c: ImportContext): Value[] {
  const emb = c.input(0);
  const [batch, positions, size] = c.dimsOf(emb) as [Dim, Dim, Dim];
  const { dtype } = c.type(c.input(1));
  const [cos, sin] = ['cos', 'sin'].map((f) =>
    reshape(c, cast(c, c.op(f, [emb]), dtype), [batch, 1, positions, size]),
  ) as [Value, Value];
  const turn = (i: number): Value => c.op('add', [c.op('mul', [c.input(i), cos]), c.op('mul', [c.input(i + 1), sin])]);
  return [turn(1), turn(3)];
}

/** T5's bias by buckets of distance: exact for small ones, logarithmic beyond. */
function relativePositionBias(c: ImportContext): Value {
  const table = c.input(0);
  const buckets = known(c, c.dimsOf(table)[0], 'a number of buckets');
  const both = c.int('is_bidirectional', 0) !== 0;
  const farthest = c.int('max_distance', 128);
  const int = (n: number): Value => c.scalar(n, 'int64');
  const rows = iota(c, element(c, c.input(1), 0), 'int64');
  const columns = iota(c, element(c, c.input(2), 0), 'int64');
  const [queries, keys] = [c.dimsOf(rows)[0]!, c.dimsOf(columns)[0]!];
  const distance = c.op('sub', [columns, reshape(c, rows, [queries, 1])]);
  const half = both ? Math.floor(buckets / 2) : buckets;
  const away = both ? c.op('abs', [distance]) : c.op('max', [c.op('neg', [distance]), int(0)]);
  const exact = Math.floor(half / 2);
  const ratio = c.op('div', [cast(c, c.op('max', [away, int(1)]), 'float32'), c.scalar(exact, 'float32')]);
  const logs = c.op('mul', [
    c.op('div', [c.op('log', [ratio]), c.scalar(Math.fround(Math.log(farthest / exact)), 'float32')]),
    c.scalar(half - exact, 'float32'),
  ]);
  const far = c.op('min', [c.op('add', [cast(c, logs, 'int64'), int(exact)]), int(half - 1)]);
  const near = c.op('where', [c.op('less', [away, int(exact)]), away, far]);
  const bucket = both
    ? c.op('add', [near, c.op('where', [c.op('greater', [distance, int(0)]), int(half), int(0)])])
    : near;
  const bias = transpose(c, c.op('gather', [table, bucket], { axis: 0 }), [2, 0, 1]);
  return reshape(c, bias, [1, c.dimsOf(table)[1]!, queries, keys]);
}

export const microsoftAttentionImporters: ImporterTable = {
  Attention: attention,
  QAttention: qAttention,
  MultiHeadAttention: multiHeadAttention,
  DecoderMaskedMultiHeadAttention: decoderMaskedAttention,
  GroupQueryAttention: groupQueryAttention,
  PackedAttention: packedAttention,
  RotaryEmbedding: rotaryEmbedding,
  GemmaRotaryEmbedding: gemmaRotaryEmbedding,
  RelativePositionBias: relativePositionBias,
};
