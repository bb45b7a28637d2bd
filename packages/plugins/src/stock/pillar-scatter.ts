/** PillarScatterPlugin: pillars of PointPillars back on their map. */

import { ceilDivDims, type Dim, mulDims } from '@tensorwright/core';
import { field, type Field } from '../fields.js';
import { definePlugin } from '../define-plugin.js';
import type { KernelTensor, Launch, SpecialArgument } from '../cuda-implementation.js';
import type { Plugin } from '../plugin.js';
import { checkExtents } from './extents.js';
import { checkFloat } from './floats.js';
import { source } from './pillar-scatter-kernel.js';
import { scratchMemory, type ScratchMemory } from './scratch-memory.js';
import { widthOf } from './vector-access.js';

interface PillarScatterFields {
  readonly dense_shape: Field<readonly number[]>;
  readonly [name: string]: Field<unknown>;
}
type Inputs = readonly ['voxels', 'voxel_coords', 'num_pillar'];

const threads = 128;
/** Channels that one thread writes. */
const channelsPerBlock = 32;

function scratchOf(batch: Dim, [height, width]: readonly number[]): ScratchMemory<'pillars'> {
  return scratchMemory({ pillars: mulDims(batch, height! * width!) });
}

function scatterPlanes(voxels: KernelTensor, pillars: SpecialArgument, image: KernelTensor, cells: number): Launch {
  const [batch, most, channels] = voxels.dims as [Dim, Dim, Dim];
  const width = widthOf(voxels.dtype, channels, cells);
  return {
    kernel: `scatter_pillars<${String(width)}, ${String(channelsPerBlock)}>`,
    grid: [mulDims(batch, Math.ceil(cells / (threads * width))), ceilDivDims(channels, channelsPerBlock)],
    block: threads,
    arguments: [voxels, pillars, image, most, channels, cells],
  };
}

function scatterChannels(voxels: KernelTensor, pillars: SpecialArgument, image: KernelTensor, cells: number): Launch {
  const [batch, most, channels] = voxels.dims as [Dim, Dim, Dim];
  const width = widthOf(voxels.dtype, channels);
  const all = mulDims(mulDims(batch, cells), ceilDivDims(channels, width));
  return {
    kernel: `scatter_channels<${String(width)}>`,
    grid: ceilDivDims(all, 256),
    block: 256,
    arguments: [voxels, pillars, image, all, most, channels, cells],
  };
}

/**
 * `dense_feature_map[n, c, y, x] = voxels[n, p, c]` where pillar p < num_pillar[n] has the coordinates (·, ·, y, x), and 0
 * where none has. Of several pillars in a cell the last counts; those outside of the map are left out.
 *
 * - `voxels` [N, P, C]: features of up to P pillars a frame; float32, float16 or bfloat16.
 * - `voxel_coords` [N, P, 4]: (frame, z, y, x) of each, int32; the first two are not read.
 * - `num_pillar` [N]: pillars that there are, int32.
 * - `dense_feature_map` [N, C, H, W].
 * - `dense_shape`: H and W.
 *
 * Refused: shapes and dtypes that do not fit. TensorRT's plugin, which takes 64 channels only, leaves the order of pillars
 * in one cell open. Source: Lang et al., PointPillars, 2019; NVIDIA/TensorRT, plugin/pillarScatterPlugin.
 */
export const pillarScatter: Plugin<Inputs, readonly ['dense_feature_map'], PillarScatterFields> = definePlugin<
  Inputs,
  readonly ['dense_feature_map'],
  PillarScatterFields
>({
  name: 'PillarScatterPlugin',
  fields: { dense_shape: field.ints() },
  inputs: ['voxels', 'voxel_coords', 'num_pillar'],
  outputs: ['dense_feature_map'],
  infer(context) {
    const {
      inputs,
      fields: { dense_shape: shape },
      fail,
    } = context;
    const { voxels, voxel_coords: coordinates, num_pillar: counts } = inputs;
    if (shape.length !== 2 || shape.some((d) => d < 0)) fail('dense_shape must be the height and the width of the map');
    checkFloat('voxels', voxels, fail);
    if (voxels.dims.length !== 3) fail('voxels must have rank 3');
    const [batch, most, channels] = voxels.dims as [Dim, Dim, Dim];
    checkExtents('voxel_coords', coordinates.dims, [batch, most, 4], context);
    checkExtents('num_pillar', counts.dims, [batch], context);
    if (coordinates.dtype !== 'int32' || counts.dtype !== 'int32') fail('voxel_coords and num_pillar must be int32');
    return { dense_feature_map: { dtype: voxels.dtype, dims: [batch, channels, ...shape] } };
  },
  cuda: {
    source,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32'],
    formats: [{}, { dense_feature_map: 'channelsLast' }],
    workspaceBytes: ({ inputs: { voxels }, fields }) => scratchOf(voxels.dims[0]!, fields.dense_shape).bytes,
    launches({ inputs, outputs: { dense_feature_map: image }, fields: { dense_shape: shape }, format }) {
      const { voxels, voxel_coords: coordinates, num_pillar: counts } = inputs;
      const [batch, most] = voxels.dims as [Dim, Dim, Dim];
      const [height, width] = shape as readonly [number, number];
      const cells = height * width;
      const { pillars } = scratchOf(batch, shape).at;
      return [
        {
          kernel: 'clear_cells',
          grid: ceilDivDims(mulDims(batch, cells), 256),
          block: 256,
          arguments: [pillars, mulDims(batch, cells)],
        },
        {
          kernel: 'find_cells',
          grid: ceilDivDims(mulDims(batch, most), 256),
          block: 256,
          arguments: [coordinates, counts, pillars, mulDims(batch, most), most, height, width],
        },
        format['dense_feature_map'] === 'channelsLast'
          ? scatterChannels(voxels, pillars, image, cells)
          : scatterPlanes(voxels, pillars, image, cells),
      ];
    },
  },
  cpu({ voxels, voxel_coords: coordinates, num_pillar: counts }, { dense_shape: shape }) {
    const [batch, most, channels] = voxels.dims as [number, number, number];
    const [height, width] = shape as readonly [number, number];
    const [features, at] = [voxels.data as Float32Array, coordinates.data as Int32Array];
    const image = new Float32Array(batch * channels * height * width);
    for (let frame = 0; frame < batch; frame++)
      for (let i = 0; i < Math.min(most, (counts.data as Int32Array)[frame]!); i++) {
        const pillar = frame * most + i;
        const [y, x] = [at[4 * pillar + 2]!, at[4 * pillar + 3]!];
        if (y < 0 || x < 0 || y >= height || x >= width) continue;
        for (let c = 0; c < channels; c++)
          image[((frame * channels + c) * height + y) * width + x] = features[pillar * channels + c]!;
      }
    return { dense_feature_map: image };
  },
});
