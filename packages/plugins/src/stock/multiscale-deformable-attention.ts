/** MultiscaleDeformableAttnPlugin_TRT: attention of Deformable DETR, which reads a few points of each feature map. */

import { ceilDivDims, type Dim, productOf, readNumbers } from '@tensorwright/core';
import type { NoFields } from '../fields.js';
import type { Plugin, Shaped } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { checkExtents } from './extents.js';
import { checkFloat } from './floats.js';
import { source } from './multiscale-deformable-attention-kernel.js';
import { widthOf } from './vector-access.js';

type Inputs = readonly ['value', 'spatial_shapes', 'level_start_index', 'sampling_locations', 'attention_weights'];
type MultiscaleDeformableAttention = Plugin<Inputs, readonly ['output'], NoFields>;

/** 16-byte vectors of shared memory that a block may use. */
const sharedVectors = 2560;

interface Shape {
  /** Channels a thread. */
  readonly width: number;
  /** Threads a query. */
  readonly lanes: number;
  /** Queries a block. */
  readonly rows: number;
  /** Sampling points of a query that are worked out together. */
  readonly points: number;
}

function shapeOf({ dtype, dims }: Shaped, all: Dim, threads: number): Shape {
  const channels = dims[3]!;
  const width = widthOf(dtype, channels);
  const lanes = typeof channels === 'number' ? Math.min(Math.max(channels / width, 1), threads) : 32;
  const rows = Math.floor(threads / lanes);
  const fit = Math.max(1, Math.floor((sharedVectors / rows - 1) / 2));
  return { width, lanes, rows, points: typeof all === 'number' ? Math.max(1, Math.min(all, fit)) : Math.min(16, fit) };
}

/**
 * `output[n, q, m] = Σ over levels l and points p of attention_weights[n, q, m, l, p] · sample(value[n, ·, m], l, p)`: the
 * feature map of level l, bilinearly interpolated where `sampling_locations` says, 0 outside of it. Sums are made in float32.
 *
 * - `value` [N, S, M, D]: feature maps of all levels behind each other, row by row, with M heads of D channels; float32,
 *   float16 or bfloat16, as are `sampling_locations`, `attention_weights` and `output`.
 * - `spatial_shapes` [L, 2]: height and width of each level in pixels, int32 or int64.
 * - `level_start_index` [L]: the first pixel of each level within S, of the same dtype.
 * - `sampling_locations` [N, Lq, M, L, P, 2]: x and y as fractions of width and height; pixel (i, j) has its centre at
 *   ((j + 0.5) / width, (i + 0.5) / height).
 * - `attention_weights` [N, Lq, M, L, P].
 * - `output` [N, Lq, M, D].
 *
 * Refused: ranks, extents and dtypes that do not fit each other. Pixels beyond S, of shapes that do not fit the tensor,
 * count as 0. Versions 1 and 2 of TensorRT's plugin. Source: Zhu et al., Deformable DETR, 2020 (equation 3);
 * NVIDIA/TensorRT, plugin/multiscaleDeformableAttnPlugin.
 */
export const multiscaleDeformableAttentionVersions: readonly MultiscaleDeformableAttention[] = defineVersions(
  ['1', '2'],
  {
    name: 'MultiscaleDeformableAttnPlugin_TRT',
    inputs: ['value', 'spatial_shapes', 'level_start_index', 'sampling_locations', 'attention_weights'] as Inputs,
    outputs: ['output'],
    infer(context) {
      const { inputs, fail } = context;
      const { value, spatial_shapes: shapes, level_start_index: starts } = inputs;
      const { sampling_locations: locations, attention_weights: weights } = inputs;
      const ranks = { value: 4, spatial_shapes: 2, level_start_index: 1, sampling_locations: 6, attention_weights: 5 };
      for (const [name, rank] of Object.entries(ranks))
        if (inputs[name as keyof typeof ranks].dims.length !== rank) fail(`${name} must have rank ${String(rank)}`);
      checkFloat('value', value, fail);
      if (locations.dtype !== value.dtype || weights.dtype !== value.dtype)
        fail(`value is ${value.dtype}, sampling_locations ${locations.dtype}, attention_weights ${weights.dtype}`);
      if (shapes.dtype !== starts.dtype || !['int32', 'int64'].includes(shapes.dtype))
        fail('spatial_shapes and level_start_index must both be int32 or both be int64');
      const [batch, , heads, channels] = value.dims as [Dim, Dim, Dim, Dim];
      const [, queries, , levels, points] = weights.dims as [Dim, Dim, Dim, Dim, Dim];
      checkExtents('attention_weights', weights.dims, [batch, queries, heads, levels, points], context);
      checkExtents('sampling_locations', locations.dims, [batch, queries, heads, levels, points, 2], context);
      checkExtents('spatial_shapes', shapes.dims, [levels, 2], context);
      checkExtents('level_start_index', starts.dims, [levels], context);
      return { output: { dtype: value.dtype, dims: [batch, queries, heads, channels] } };
    },
    cuda: {
      source,
      dtypes: ['float32', 'float16', 'bfloat16', 'int32', 'int64'],
      tactics: ['256', '128', '64'],
      launches({ inputs, outputs: { output }, tactic }) {
        const { value, spatial_shapes: shapes, level_start_index: starts } = inputs;
        const { sampling_locations: locations, attention_weights: weights } = inputs;
        const [batch, pixels, heads, channels] = value.dims as [Dim, Dim, Dim, Dim];
        const [, queries, , levels, points] = weights.dims as [Dim, Dim, Dim, Dim, Dim];
        const threads = Number(tactic);
        const { width, lanes, rows, points: together } = shapeOf(value, productOf([levels, points]), threads);
        const parameters = [value.type, shapes.type, width, lanes, rows, together, threads].join(', ');
        return [
          {
            kernel: `multiscale_deformable_attention<${parameters}>`,
            grid: productOf([batch, ceilDivDims(queries, rows), heads]),
            block: threads,
            arguments: [
              ...[value, shapes, starts, locations, weights, output],
              ...[pixels, queries, heads, channels, levels, points],
            ],
          },
        ];
      },
    },
    cpu(inputs) {
      const [batch, pixels, heads, channels] = inputs.value.dims as [number, number, number, number];
      const [, queries, , levels, points] = inputs.attention_weights.dims as [number, number, number, number, number];
      const value = inputs.value.data as Float32Array;
      const locations = inputs.sampling_locations.data as Float32Array;
      const weights = inputs.attention_weights.data as Float32Array;
      const shapes = readNumbers(inputs.spatial_shapes);
      const starts = readNumbers(inputs.level_start_index);
      const output = new Float32Array(batch * queries * heads * channels);
      const sums = new Float64Array(channels);
      for (let row = 0; row < batch * queries * heads; row++) {
        const head = row % heads;
        const image = Math.floor(row / (heads * queries)) * pixels;
        sums.fill(0);
        for (let k = 0; k < levels * points; k++) {
          const level = Math.floor(k / points);
          const [height, width] = [shapes[2 * level]!, shapes[2 * level + 1]!];
          const at = row * levels * points + k;
          const [x, y] = [locations[2 * at]! * width - 0.5, locations[2 * at + 1]! * height - 0.5];
          if (!(x > -1 && y > -1 && x < width && y < height)) continue;
          for (let corner = 0; corner < 4; corner++) {
            const [u, v] = [Math.floor(x) + (corner & 1), Math.floor(y) + (corner >> 1)];
            const pixel = starts[level]! + v * width + u;
            if (u < 0 || v < 0 || u >= width || v >= height || pixel < 0 || pixel >= pixels) continue;
            const weight = weights[at]! * (1 - Math.abs(x - u)) * (1 - Math.abs(y - v));
            const base = ((image + pixel) * heads + head) * channels;
            for (let c = 0; c < channels; c++) sums[c]! += weight * value[base + c]!;
          }
        }
        output.set(sums, row * channels);
      }
      return { output };
    },
  },
);

/** The newest version; see `multiscaleDeformableAttentionVersions`. */
export const multiscaleDeformableAttention: MultiscaleDeformableAttention =
  multiscaleDeformableAttentionVersions.at(-1)!;
