/** com.microsoft's attention operators: the canonical one with projections, masks, caches and rotations around it. */

import { type Dim, mulDims, type Value } from '@tensorwright/core';
import { appendCache, mergeHeads, splitHeads } from './attention.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { integerMatMul, productScale, toReal } from './integer-contraction.js';
import { matmul } from './matmul.js';
import { known, paddingBias, scaleAttribute, splitLast, sumOf } from './microsoft-attention-parts.js';
import { decoderMaskedAttention, groupQueryAttention, multiHeadAttention } from './microsoft-cached-attention.js';
import { gemmaRotaryEmbedding, relativePositionBias, rotaryEmbedding } from './microsoft-positions.js';
import { cast, concat, expand, reshape, sliceAxis } from './shorthand.js';

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
