/** Attention, RotaryEmbedding, LinearAttention, FlexAttention, CausalConvWithState. */

import { type Dim, floorDivDims, type ScoreStage, scoreStages, subDims, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { cast, concat, dimScalar, expand, reshape, sliceAxis, transpose } from './shorthand.js';

/** [B, S, H · D] → [B, H, S, D]. */
export function splitHeads(c: ImportContext, v: Value, heads: number): Value {
  if (c.rank(v) !== 3) c.fail(`an input of rank 3 is expected, found rank ${String(c.rank(v))}`);
  if (heads < 1) c.fail(`the number of heads must be positive, is ${String(heads)}`);
  const [batch, positions, width] = c.dimsOf(v) as [Dim, Dim, Dim];
  return transpose(c, reshape(c, v, [batch, positions, heads, floorDivDims(width, heads)]), [0, 2, 1, 3]);
}

/** [B, H, S, D] → [B, S, H · D]. */
export function mergeHeads(c: ImportContext, v: Value): Value {
  const [batch, heads, positions, size] = c.dimsOf(v) as [Dim, Dim, Dim, Dim];
  const width =
    typeof heads === 'number' && typeof size === 'number' ? heads * size : c.unsupported('unknown head counts');
  return reshape(c, transpose(c, v, [0, 2, 1, 3]), [batch, positions, width]);
}

/** past and v joined along the positions. */
export function appendCache(c: ImportContext, past: Value | undefined, v: Value): Value {
  return past ? concat(c, [past, v], 2) : v;
}

function attention(c: ImportContext): readonly (Value | undefined)[] {
  const packed = c.rank(c.input(0)) === 3;
  const [queryHeads, keyHeads] = [c.int('q_num_heads', 0), c.int('kv_num_heads', 0)];
  const q = packed ? splitHeads(c, c.input(0), queryHeads) : c.input(0);
  const newKey = packed ? splitHeads(c, c.input(1), keyHeads) : c.input(1);
  const newValue = packed ? splitHeads(c, c.input(2), keyHeads) : c.input(2);
  const [pastKey, pastValue] = [c.optional(4), c.optional(5)];
  if ((pastKey === undefined) !== (pastValue === undefined)) c.fail('past_key and past_value go together');
  const k = appendCache(c, pastKey, newKey);
  const v = appendCache(c, pastValue, newValue);
  const mask = c.optional(3);
  const lengths = c.optional(6);
  const attributes = {
    ...(c.hasAttribute('scale') && { scale: c.float('scale', 1) }),
    isCausal: c.int('is_causal', 0) !== 0,
    causalOffset: pastKey ? c.dimsOf(pastKey)[2]! : 0,
    softcap: c.float('softcap', 0),
    leftWindow: c.int('left_window_size', -1),
    rightWindow: c.int('right_window_size', -1),
  };
  // With a cache kept outside, the queries are the last of the valid positions.
  const positioned = attributes.isCausal || attributes.leftWindow >= 0 || attributes.rightWindow >= 0;
  const offsets = lengths && positioned ? c.op('sub', [lengths, dimScalar(c, c.dimsOf(q)[2]!, 'int64')]) : undefined;
  const y = c.op('attention', [q, k, v, mask, lengths, offsets], attributes);
  const outputs: (Value | undefined)[] = [packed ? mergeHeads(c, y) : y, k, v];
  if (c.wants(3)) {
    const stage: ScoreStage =
      scoreStages[c.int('qk_matmul_output_mode', 0)] ?? c.fail('qk_matmul_output_mode must be 0, 1, 2 or 3');
    outputs.push(c.op('attentionScores', [q, k, mask, lengths, offsets], { ...attributes, stage }));
  }
  return outputs;
}

/** cos or sin [positions, R / 2] → [B, S, R / 2]. */
export function anglesAt(c: ImportContext, cache: Value, positions: Value): Value {
  return c.op('gather', [cache, positions], { axis: 0 });
}

function rotaryEmbedding(c: ImportContext): Value {
  const x = c.input(0);
  const packed = c.rank(x) === 3;
  const positions = c.optional(3);
  const [cos, sin] = [1, 2].map((i) => (positions ? anglesAt(c, c.input(i), positions) : c.input(i)));
  const turned = c.op('rotaryEmbedding', [packed ? splitHeads(c, x, c.int('num_heads', 0)) : x, cos, sin], {
    interleaved: c.int('interleaved', 0) !== 0,
  });
  return packed ? mergeHeads(c, turned) : turned;
}

function linearAttention(c: ImportContext): readonly Value[] {
  return c.node('linearAttention', [c.input(0), c.input(1), c.input(2), c.optional(3), c.optional(4), c.optional(5)], {
    qNumHeads: c.int('q_num_heads', 0),
    kvNumHeads: c.int('kv_num_heads', 0),
    scale: c.float('scale', 0),
    updateRule: c.string('update_rule', 'gated_delta'),
    chunkSize: c.int('chunk_size', 64),
  });
}

/** A depthwise convolution over the past and the new positions. */
function causalConvWithState(c: ImportContext): readonly Value[] {
  const [x, w] = [c.input(0), c.input(1)];
  const { dtype } = c.type(x);
  const [batch, channels] = c.dimsOf(x) as [Dim, Dim, Dim];
  const taps = c.dimsOf(w)[2];
  if (typeof taps !== 'number' || typeof channels !== 'number')
    return c.unsupported('a kernel or channel count that is not known');
  const past = c.optional(3) ?? expand(c, c.scalar(0, dtype), [batch, channels, taps - 1]);
  const padded = concat(c, [past, x], 2);
  const convolved = c.op('conv', [padded, w, c.optional(2)], {
    strides: [1],
    dilations: [1],
    pads: [0, 0],
    group: channels,
  });
  const activation = c.string('activation', 'none');
  if (!['none', 'silu', 'swish'].includes(activation)) c.fail(`activation '${activation}' is unknown`);
  const y = activation === 'none' ? convolved : c.op('mul', [convolved, c.op('sigmoid', [convolved])]);
  return [y, sliceAxis(c, padded, 2, subDims(c.dimsOf(padded)[2]!, taps - 1), taps - 1)];
}

/** Scores and probabilities may be changed by subgraphs, which are imported in place. */
function flexAttention(c: ImportContext): Value {
  const [q, k, v] = [c.input(0), c.input(1), c.input(2)];
  const { dtype } = c.type(q);
  const precision = c.dtype('softmax_precision') ?? (dtype === 'float64' ? 'float64' : 'float32');
  const [batch, heads, positions, size] = c.dimsOf(q) as [Dim, Dim, Dim, Dim];
  const keyHeads = c.dimsOf(k)[1]!;
  const group = floorDivDims(heads, keyHeads);
  if (!c.hasAttribute('scale') && typeof size !== 'number') c.unsupported('a head size that is not known');
  const factor = c.hasAttribute('scale') ? c.float('scale', 1) : 1 / Math.sqrt(size as number);
  // Query heads that share a key head stand side by side: [B, Hkv, G, L, D].
  const wide = cast(c, reshape(c, q, [batch, keyHeads, group, positions, size]), precision);
  const raw = c.op('dot', [wide, cast(c, k, precision)], { lhs: 'bhgld', rhs: 'bhsd', out: 'bhgls' });
  const keys = c.dimsOf(k)[2]!;
  let scores = reshape(c, c.op('mul', [raw, c.scalar(factor, precision)]), [batch, heads, positions, keys]);
  if (c.hasAttribute('score_mod')) scores = c.inline('score_mod', [scores])[0]!;
  let weights = c.op('softmax', [scores], { axis: -1 });
  if (c.hasAttribute('prob_mod')) weights = c.inline('prob_mod', [weights])[0]!;
  const grouped = cast(c, reshape(c, weights, [batch, keyHeads, group, positions, keys]), dtype);
  const y = c.op('dot', [grouped, v], { lhs: 'bhgls', rhs: 'bhsd', out: 'bhgld' });
  return reshape(c, y, [batch, heads, positions, c.dimsOf(v)[3]!]);
}

export const attentionImporters: ImporterTable = {
  Attention: attention,
  RotaryEmbedding: rotaryEmbedding,
  LinearAttention: linearAttention,
  CausalConvWithState: causalConvWithState,
};

export const previewAttentionImporters: ImporterTable = { FlexAttention: flexAttention };
