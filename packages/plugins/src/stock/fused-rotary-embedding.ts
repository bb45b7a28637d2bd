/** FusedRotaryEmbedding: rotary positions of queries and keys in one kernel. */

import { ceilDivDims, type Dim, mulDims, readNumbers, type Tensor } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type OptionalField } from '../fields.js';
import type { Plugin, Shaped } from '../plugin.js';
import { checkExtents } from './extents.js';
import { checkFloat } from './floats.js';
import { rotarySource } from './fused-rotary-embedding-kernel.js';
import { widthOf } from './vector-access.js';

type Fields = {
  readonly interleaved: OptionalField<number>;
  readonly rotary_embedding_dim: OptionalField<number>;
  readonly num_heads: OptionalField<number>;
  readonly kv_num_heads: OptionalField<number>;
};
type FusedRotaryEmbedding = Plugin<
  readonly ['query', 'key', 'position_ids', 'cos_cache', 'sin_cache'],
  readonly ['rotated_query', 'rotated_key'],
  Fields
>;

/** How the heads of a query or key lie. */
interface Heads {
  readonly samples: Dim;
  readonly length: Dim;
  readonly heads: number;
  readonly size: number;
  /** [B, heads, S, D] instead of [B, S, heads · D]. */
  readonly headsFirst: boolean;
}

/**
 * Rotates pairs of each head's first R elements by angles that grow with the position:
 * `(x, y) → (x · cos - y · sin, x · sin + y · cos)`. Element i is paired with i + R / 2, or, with `interleaved` 1, each even
 * one with the next. The other elements pass.
 *
 * - `query`: [B, H, S, D], or [B, S, H · D] with `num_heads` H. `key`: likewise with H_kv heads (`kv_num_heads`, default
 *   H). float32, float16 or bfloat16; computed in float32.
 * - `position_ids`: [B, S], the position of each token, or [1], that of the first one; int32 or int64. A position that the
 *   caches do not have counts as the nearest that they have; where they have none, nothing turns.
 * - `cos_cache`, `sin_cache`: [positions, R / 2], in the dtype of the query or float32.
 * - `rotated_query`, `rotated_key`: like `query` and `key`.
 * - `rotary_embedding_dim`: R; default: D, all elements. It must be twice the caches' width.
 *
 * ONNX's RotaryEmbedding (opset 23) and com.microsoft's, for queries and keys at once. Source: Su et al., RoFormer, 2021.
 */
export const fusedRotaryEmbedding: FusedRotaryEmbedding = definePlugin({
  name: 'FusedRotaryEmbedding',
  version: '1',
  fields: {
    interleaved: field.int(0),
    rotary_embedding_dim: field.int(0),
    num_heads: field.int(0),
    kv_num_heads: field.int(0),
  },
  inputs: ['query', 'key', 'position_ids', 'cos_cache', 'sin_cache'],
  outputs: ['rotated_query', 'rotated_key'],
  infer(context) {
    const {
      inputs: { query, key, position_ids: ids, cos_cache: cos, sin_cache: sin },
      fields,
      fail,
    } = context;
    checkFloat('query', query, fail);
    if (key.dtype !== query.dtype) fail(`query is ${query.dtype}, key is ${key.dtype}`);
    if (sin.dtype !== cos.dtype || (cos.dtype !== query.dtype && cos.dtype !== 'float32'))
      fail(`cos_cache is ${cos.dtype}, sin_cache ${sin.dtype}: expected ${query.dtype} or float32`);
    if (ids.dtype !== 'int32' && ids.dtype !== 'int64') fail(`position_ids is ${ids.dtype}, expected int32 or int64`);
    const [q, k] = [headsOf(query, queryHeads(fields)), headsOf(key, keyHeads(fields))];
    if (typeof q === 'string') return fail(`query ${q}`);
    if (typeof k === 'string') return fail(`key ${k}`);
    if (q.headsFirst !== k.headsFirst || q.size !== k.size) fail('query and key must have the same rank and head size');
    const tokens = [q.samples, q.length];
    checkExtents('[batch, positions] of key', [k.samples, k.length], tokens, context);
    if (ids.dims.length !== 1 || ids.dims[0] !== 1) checkExtents('position_ids', ids.dims, tokens, context);
    const turning = fields.rotary_embedding_dim || q.size;
    if (turning < 2 || turning > q.size || turning % 2 !== 0)
      fail(`${String(turning)} elements of heads of ${String(q.size)} cannot turn`);
    checkExtents('cos_cache', cos.dims, [cos.dims[0]!, turning / 2], context);
    checkExtents('sin_cache', sin.dims, cos.dims, context);
    return { rotated_query: query, rotated_key: key };
  },
  cuda: {
    source: rotarySource,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32', 'int64'],
    tactics: ['1', '2', '4'],
    launches({ inputs, outputs, fields, tactic }) {
      const { query, key, position_ids: ids, cos_cache: cos, sin_cache: sin } = inputs;
      const [q, k] = [headsOf(query, queryHeads(fields)) as Heads, headsOf(key, keyHeads(fields)) as Heads];
      const interleaved = fields.interleaved !== 0;
      const turning = fields.rotary_embedding_dim || q.size;
      const shape = launchShape(query, q.size, turning, interleaved, q.heads + k.heads, Number(tactic));
      const parameters = [shape.vector, q.size, turning, interleaved, q.headsFirst, shape.lanes, shape.slots, tactic];
      return [
        {
          kernel: `rotate_heads<${parameters.join(', ')}>`,
          grid: [mulDims(q.samples, q.length), ceilDivDims(q.heads + k.heads, shape.slots * Number(tactic))],
          block: shape.lanes * shape.slots,
          arguments: [
            ...[query, key, ids, ids.dims.length === 1, cos, sin],
            ...[outputs.rotated_query, outputs.rotated_key, q.heads, k.heads, q.length, cos.dims[0]],
          ],
        },
      ];
    },
  },
  cpu({ query, key, position_ids, cos_cache, sin_cache }, fields) {
    const angles = { ids: readNumbers(position_ids), cos: readNumbers(cos_cache), sin: readNumbers(sin_cache) };
    const turned = (x: Tensor, heads: number): Float32Array =>
      rotate(readNumbers(x), headsOf(x, heads) as Heads, fields.interleaved !== 0, {
        ...angles,
        half: cos_cache.dims[1]!,
        positions: cos_cache.dims[0]!,
      });
    return { rotated_query: turned(query, queryHeads(fields)), rotated_key: turned(key, keyHeads(fields)) };
  },
});

type FieldNumbers = { readonly [K in keyof Fields]: number };

const queryHeads = ({ num_heads }: FieldNumbers): number => num_heads;
const keyHeads = ({ num_heads, kv_num_heads }: FieldNumbers): number => kv_num_heads || num_heads;

/** Or what is wrong with the shape. */
function headsOf({ dims }: Pick<Shaped, 'dims'>, heads: number): Heads | string {
  if (dims.length === 4) {
    const [samples, own, length, size] = dims as [Dim, Dim, Dim, Dim];
    if (typeof own !== 'number' || typeof size !== 'number') return 'must have heads that are known at build time';
    return { samples, length, heads: own, size, headsFirst: true };
  }
  if (dims.length !== 3) return 'must have rank 3 or 4';
  const [samples, length, width] = dims as [Dim, Dim, Dim];
  if (typeof width !== 'number' || heads < 1 || width % heads !== 0)
    return `of rank 3 must consist of heads: ${String(width)} elements in num_heads ${String(heads)}`;
  return { samples, length, heads, size: width / heads, headsFirst: false };
}

const mostThreads = 256;

function launchShape(
  { dtype }: Shaped,
  size: number,
  turning: number,
  interleaved: boolean,
  heads: number,
  turns: number,
): { vector: number; lanes: number; slots: number } {
  const extent = interleaved ? turning : turning / 2;
  // A pair is never split, even where heads of odd size leave it unaligned.
  const vector = Math.max(interleaved ? 2 : 1, widthOf(dtype, size, extent));
  const lanes = Math.min(mostThreads, Math.ceil(extent / vector));
  const blocks = Math.max(1, Math.ceil(heads / (Math.floor(mostThreads / lanes) * turns)));
  return { vector, lanes, slots: Math.max(1, Math.ceil(heads / (blocks * turns))) };
}

function rotate(
  x: Float64Array,
  { samples, length, heads, size, headsFirst }: Heads,
  interleaved: boolean,
  angles: { ids: Float64Array; cos: Float64Array; sin: Float64Array; half: number; positions: number },
): Float32Array {
  const { ids, cos, sin, half, positions } = angles;
  const out = Float32Array.from(x);
  if (positions === 0) return out;
  const [tokens, places] = [(samples as number) * (length as number), length as number];
  for (let token = 0; token < tokens; token++) {
    const [sample, place] = [Math.floor(token / places), token % places];
    const wanted = ids.length === 1 ? ids[0]! + place : ids[token]!;
    const angle = Math.min(Math.max(wanted, 0), positions - 1) * half;
    for (let head = 0; head < heads; head++) {
      const row = headsFirst ? (sample * heads + head) * places + place : token * heads + head;
      for (let i = 0; i < half; i++) {
        const first = row * size + (interleaved ? 2 * i : i);
        const second = first + (interleaved ? 1 : half);
        const [c, s] = [cos[angle + i]!, sin[angle + i]!];
        out[first] = x[first]! * c - x[second]! * s;
        out[second] = x[first]! * s + x[second]! * c;
      }
    }
  }
  return out;
}
