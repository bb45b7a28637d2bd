/** DisentangledAttention_TRT: the scores of DeBERTa's attention out of those of contents and of relative positions. */

import { ceilDivDims, productOf, Tensor } from '@tensorwright/core';
import { field, type Field, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { source } from './disentangled-attention-kernel.js';
import { checkExtents } from './extents.js';
import { checkFloat } from './floats.js';

interface DisentangledAttentionFields {
  readonly span: Field<number>;
  readonly factor: Field<number>;
  readonly log_buckets: OptionalField<boolean>;
  readonly [name: string]: Field<unknown>;
}
type DisentangledAttention = Plugin<
  readonly ['data0', 'data1', 'data2'],
  readonly ['result'],
  DisentangledAttentionFields
>;

/** Distances from the last on share its bucket. */
function bucketsOf(span: number, inLogarithms: boolean): Int32Array {
  if (!inLogarithms) return Int32Array.from({ length: span + 1 }, (_, distance) => distance);
  const middle = Math.floor(span / 2);
  const scale = (middle - 1) / Math.log((2 * span - 1) / middle);
  const buckets: number[] = [];
  // Both sides of the table end at span; with one bucket behind the middle all distances end there.
  for (let distance = 0; (buckets.at(-1) ?? 0) < span && (scale > 0 || distance <= middle + 1); distance++)
    // Where the logarithms meet an integer they must not miss it by an error of rounding.
    buckets.push(distance <= middle ? distance : Math.ceil(Math.log(distance / middle) * scale - 1e-9) + middle);
  return Int32Array.from(buckets);
}

const tileSize = 64;

/**
 * `result[b, i, j] = factor · (data0[b, i, j] + data1[b, i, δ(i - j)] + data2[b, j, δ(i - j)])` with the place
 * `δ(d) = clamp(bucket(d) + span, 0, 2 · span - 1)` of a relative position. Sums are made in float32.
 *
 * - `data0` [B · heads, S, S]: contents to contents, QcKcᵀ; float32, float16 or bfloat16, like the others.
 * - `data1` [B · heads, S, 2 · span]: contents to positions, QcKrᵀ.
 * - `data2` [B · heads, S, 2 · span]: positions to contents, KcQrᵀ.
 * - `result` [B · heads, S, S].
 * - `span`: the largest relative position k, at least 1, with `log_buckets` 2.
 * - `factor`: 1 / √(3 · size of a head).
 * - `log_buckets`: true (default) for DeBERTa-V2 and V3, as in TensorRT: with m = ⌊span / 2⌋, `bucket(d)` is d up to
 *   |d| = m and `sign(d) · (⌈ln(|d| / m) / ln((2 · span - 1) / m) · (m - 1)⌉ + m)` beyond. false for DeBERTa, where it is d;
 *   TensorRT has that as a switch of its build.
 *
 * Refused: shapes and dtypes that do not fit. Versions 1 and 2 of TensorRT's plugin, without int8. Source: He et al.,
 * DeBERTa, 2020 (equations 3 and 4) and DeBERTa-V2's code in Hugging Face transformers; NVIDIA/TensorRT,
 * plugin/disentangledAttentionPlugin.
 */
export const disentangledAttentionVersions: readonly DisentangledAttention[] = defineVersions(['1', '2'], {
  name: 'DisentangledAttention_TRT',
  fields: { span: field.int(), factor: field.float(), log_buckets: field.bool(true) },
  inputs: ['data0', 'data1', 'data2'],
  outputs: ['result'],
  infer(context) {
    const {
      inputs: { data0, data1, data2 },
      fields: { span, log_buckets: inLogarithms },
      fail,
    } = context;
    if (span < (inLogarithms ? 2 : 1)) fail(`span must be at least ${inLogarithms ? '2' : '1'}, is ${String(span)}`);
    checkFloat('data0', data0, fail);
    if (data0.dims.length !== 3) fail('data0 must have rank 3');
    if (data1.dtype !== data0.dtype || data2.dtype !== data0.dtype)
      fail(`data0 is ${data0.dtype}, data1 ${data1.dtype}, data2 ${data2.dtype}`);
    const [heads, length] = [data0.dims[0]!, data0.dims[1]!];
    checkExtents('data0', data0.dims, [heads, length, length], context);
    checkExtents('data1', data1.dims, [heads, length, 2 * span], context);
    checkExtents('data2', data2.dims, [heads, length, 2 * span], context);
    return { result: data0 };
  },
  cuda: {
    source,
    dtypes: ['float32', 'float16', 'bfloat16'],
    epilogue: true,
    launches({ inputs: { data0, data1, data2 }, outputs: { result }, fields: { span, factor, log_buckets } }) {
      const [heads, length] = [data0.dims[0]!, data0.dims[1]!];
      const buckets = bucketsOf(span, log_buckets);
      const tiles = ceilDivDims(length, tileSize);
      return [
        {
          kernel: `disentangled_attention<${data0.type}>`,
          grid: productOf([heads, tiles, tiles]),
          block: 256,
          arguments: [
            ...[data0, data1, data2, result],
            ...[new Tensor('int32', buckets, [buckets.length]), buckets.length - 1, span, length, arg.float(factor)],
          ],
        },
      ];
    },
  },
  cpu({ data0, data1, data2 }, { span, factor, log_buckets }) {
    const [heads, length] = data0.dims as [number, number, number];
    const [contents, right, left] = [data0, data1, data2].map((t) => t.data) as Float32Array[];
    const buckets = bucketsOf(span, log_buckets);
    const place = (distance: number): number => {
      const bucket = Math.sign(distance) * buckets[Math.min(Math.abs(distance), buckets.length - 1)]!;
      return Math.min(Math.max(bucket + span, 0), 2 * span - 1);
    };
    const places = Int32Array.from({ length: Math.max(0, 2 * length - 1) }, (_, i) => place(i - length + 1));
    const result = new Float32Array(contents!.length);
    for (let head = 0, at = 0; head < heads; head++)
      for (let i = 0; i < length; i++)
        for (let j = 0; j < length; j++, at++) {
          const p = places[i - j + length - 1]!;
          const [to, from] = [(head * length + i) * 2 * span + p, (head * length + j) * 2 * span + p];
          result[at] = factor * (contents![at]! + right![to]! + left![from]!);
        }
    return { result };
  },
});

/** The newest version; see `disentangledAttentionVersions`. */
export const disentangledAttention: DisentangledAttention = disentangledAttentionVersions.at(-1)!;
