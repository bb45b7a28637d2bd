/** VoxelGeneratorPlugin: points of a cloud gathered in the pillars of PointPillars. */

import { ceilDivDims, type Dim, mulDims, type Tensor } from '@tensorwright/core';
import { definePlugin } from '../define-plugin.js';
import { field, type Field } from '../fields.js';
import { arg, floatText } from '../launch-argument.js';
import type { Plugin } from '../plugin.js';
import { checkExtents } from './extents.js';
import { scratchMemory, type ScratchMemory } from './scratch-memory.js';
import { source } from './voxel-generator-kernel.js';

interface VoxelGeneratorFields {
  readonly max_num_points_per_voxel: Field<number>;
  readonly max_voxels: Field<number>;
  readonly point_cloud_range: Field<readonly number[]>;
  readonly voxel_feature_num: Field<number>;
  readonly voxel_size: Field<readonly number[]>;
  readonly [name: string]: Field<unknown>;
}
interface Values {
  readonly max_num_points_per_voxel: number;
  readonly max_voxels: number;
  readonly point_cloud_range: readonly number[];
  readonly voxel_feature_num: number;
  readonly voxel_size: readonly number[];
}
type Inputs = readonly ['points', 'num_points'];
type Outputs = readonly ['voxels', 'voxel_coords', 'num_pillar'];

const mostPointsPerVoxel = 4096;
/** Points that a block numbers voxels by. */
const chunk = 1024;

/** Pillars along x and y. */
function gridOf({ point_cloud_range: range, voxel_size: size }: Values): readonly [number, number] {
  const [width, height] = [0, 1].map((axis) => {
    const exact = Math.fround(Math.fround(range[axis + 3]! - range[axis]!) / Math.fround(size[axis]!));
    const down = Math.floor(exact);
    // Halves to even, as numpy does.
    return exact - down === 0.5 ? down + (down % 2) : Math.round(exact);
  });
  return [width!, height!];
}

function wrongFields(fields: Values): string | undefined {
  const { point_cloud_range: range, voxel_size: size } = fields;
  const { max_num_points_per_voxel: points, max_voxels: voxels } = fields;
  if (range.length !== 6) return 'point_cloud_range must be the least x, y, z, then the ends of x, y, z';
  if (size.length !== 3 || !size.every((s) => s > 0)) return 'voxel_size must be three positive sizes: of x, y and z';
  if (points < 1 || points > mostPointsPerVoxel)
    return `max_num_points_per_voxel must be 1 to ${String(mostPointsPerVoxel)}, is ${String(points)}`;
  if (voxels < 1) return `max_voxels must be at least 1, is ${String(voxels)}`;
  const [width, height] = gridOf(fields);
  // Written so that NaN is refused too.
  return width >= 1 && height >= 1 && width * height < 2 ** 31 ? undefined : 'point_cloud_range has no voxels';
}

type Scratch = 'first' | 'counts' | 'voxels' | 'cellOf' | 'list' | 'chunkCounts' | 'pieces' | 'totals' | 'used';

function scratchOf(batch: Dim, most: Dim, fields: Values): ScratchMemory<Scratch> {
  const [width, height] = gridOf(fields);
  const cells = mulDims(batch, width * height);
  return scratchMemory({
    ...{ first: cells, counts: cells, voxels: cells },
    ...{ cellOf: mulDims(batch, most), list: mulDims(batch, most) },
    chunkCounts: mulDims(batch, ceilDivDims(most, chunk)),
    pieces: mulDims(batch, 2 * fields.max_voxels),
    ...{ totals: batch, used: batch },
  });
}

/**
 * Points of each frame in pillars of `voxel_size` in x and y. Pillars are numbered in the order of their first points; a
 * pillar keeps its first points in their order, and what is beyond the limits is left out. TensorRT's plugin leaves both
 * orders, and with them which points and pillars are left out, to chance.
 *
 * - `points` [N, M, C]: x, y, z and any other channels, C at least 3; float32.
 * - `num_points` [N]: points that there are, int32.
 * - `voxels` [N, V, P, F], float32: of each point its C channels, x, y and z less those of the mean of the pillar's kept
 *   points, x, y and, with F = C + 6, z less those of the pillar's centre; 0 where there is no point.
 * - `voxel_coords` [N, V, 4]: (frame, 0, y, x) of each pillar, int32; 0 where there is none. TensorRT's code gives frame 0
 *   for all frames, other than its documentation.
 * - `num_pillar` [N]: pillars that there are, at most V; int32.
 * - `max_num_points_per_voxel`: P, 1 to 4096. `max_voxels`: V. `voxel_feature_num`: F, C + 5 or C + 6.
 * - `point_cloud_range`: least x, y, z, and the ends of x, y, z, in the points' unit. Points on an end lie outside, and so do
 *   those with NaN. Pillars reach from the least z to its end, whatever `voxel_size` says.
 * - `voxel_size`: in x, y, z.
 *
 * A pillar is `⌊(x - least x) / size⌋`, computed in float32; there are as many as sizes in the range, rounded, and points
 * beyond the last are left out. Refused: other ranks, dtypes and sizes. Source: Lang et al.,
 * PointPillars, 2019; NVIDIA/TensorRT, plugin/voxelGeneratorPlugin.
 */
export const voxelGenerator: Plugin<Inputs, Outputs, VoxelGeneratorFields> = definePlugin<
  Inputs,
  Outputs,
  VoxelGeneratorFields
>({
  name: 'VoxelGeneratorPlugin',
  fields: {
    max_num_points_per_voxel: field.int(),
    max_voxels: field.int(),
    point_cloud_range: field.floats(),
    voxel_feature_num: field.int(),
    voxel_size: field.floats(),
  },
  inputs: ['points', 'num_points'],
  outputs: ['voxels', 'voxel_coords', 'num_pillar'],
  infer(context) {
    const {
      inputs: { points, num_points: sizes },
      fields,
      fail,
    } = context;
    const { max_voxels: room, max_num_points_per_voxel: limit, voxel_feature_num: wanted } = fields;
    const wrong = wrongFields(fields);
    if (wrong !== undefined) fail(wrong);
    if (points.dims.length !== 3) fail('points must have rank 3');
    const [batch, , channels] = points.dims as [Dim, Dim, Dim];
    checkExtents('num_points', sizes.dims, [batch], context);
    if (points.dtype !== 'float32' || sizes.dtype !== 'int32') fail('points must be float32 and num_points int32');
    if (typeof channels !== 'number') return fail('the channels of points must be known at build time');
    if (channels < 3 || (wanted !== channels + 5 && wanted !== channels + 6))
      fail(
        `points have ${String(channels)} channels: at least 3 are needed, and voxel_feature_num 5 or 6 more than they`,
      );
    return {
      voxels: { dtype: 'float32', dims: [batch, room, limit, wanted] },
      voxel_coords: { dtype: 'int32', dims: [batch, room, 4] },
      num_pillar: { dtype: 'int32', dims: [batch] },
    };
  },
  cuda: {
    source,
    dtypes: ['float32', 'int32'],
    workspaceBytes: ({ inputs: { points }, fields }) => scratchOf(points.dims[0]!, points.dims[1]!, fields).bytes,
    launches({ inputs: { points, num_points: sizes }, outputs, fields }) {
      const { max_voxels: room, max_num_points_per_voxel: limit, voxel_feature_num: wanted } = fields;
      const [batch, most, channels] = points.dims as [Dim, Dim, Dim];
      const [width, height] = gridOf(fields);
      const cells = width * height;
      const { first, counts, voxels, cellOf, list, chunkCounts, pieces, totals, used } = scratchOf(
        batch,
        most,
        fields,
      ).at;
      const bounds = [...fields.point_cloud_range, ...fields.voxel_size].map(floatText);
      const range = arg.text(`{${[...bounds, width, height].join(', ')}}`);
      const [allCells, allPoints, allVoxels] = [mulDims(batch, cells), mulDims(batch, most), mulDims(batch, room)];
      const [perPoint, chunks] = [ceilDivDims(allPoints, 256), mulDims(batch, ceilDivDims(most, chunk))];
      const warps = limit <= 512 ? 4 : 1;
      return [
        {
          kernel: 'clear_cells',
          grid: ceilDivDims(allCells, 256),
          block: 256,
          arguments: [first, counts, totals, used, allCells, batch],
        },
        {
          kernel: 'find_cells',
          grid: perPoint,
          block: 256,
          arguments: [points, sizes, cellOf, first, counts, allPoints, most, channels, range],
        },
        {
          kernel: 'count_first_points',
          grid: chunks,
          block: chunk,
          arguments: [cellOf, first, chunkCounts, most, cells],
        },
        {
          kernel: 'number_voxels',
          grid: chunks,
          block: chunk,
          arguments: [
            ...[cellOf, first, counts, chunkCounts, voxels, pieces, totals, used],
            ...[outputs.voxel_coords, most, cells, width, room],
          ],
        },
        {
          kernel: 'list_points',
          grid: perPoint,
          block: 256,
          arguments: [cellOf, voxels, counts, pieces, list, allPoints, most, cells, room],
        },
        {
          kernel: `describe_points<${String(warps)}>`,
          grid: ceilDivDims(allVoxels, warps),
          block: warps * 32,
          sharedBytes: warps * 2 * limit * 4,
          arguments: [
            ...[points, list, pieces, totals, outputs.voxels, outputs.voxel_coords, outputs.num_pillar],
            ...[allVoxels, most, channels, room, limit, wanted, range],
          ],
        },
      ];
    },
  },
  cpu: ({ points, num_points: sizes }, fields) => generate(points, sizes.data as Int32Array, fields),
});

function generate(
  points: Tensor,
  sizes: Int32Array,
  fields: Values,
): Record<Outputs[number], Float32Array | Int32Array> {
  const { max_voxels: room, max_num_points_per_voxel: limit, voxel_feature_num: wanted } = fields;
  const [batch, most, channels] = points.dims as [number, number, number];
  const range = fields.point_cloud_range.map(Math.fround);
  const size = fields.voxel_size.map(Math.fround);
  const [width, height] = gridOf(fields);
  const cloud = points.data as Float32Array;
  const voxels = new Float32Array(batch * room * limit * wanted);
  const coordinates = new Int32Array(batch * room * 4);
  const counts = new Int32Array(batch);
  const index = (v: number, axis: number): number =>
    Math.floor(Math.fround(Math.fround(v - range[axis]!) / size[axis]!));
  for (let frame = 0; frame < batch; frame++) {
    /** Offsets of the kept points by cell, in the order of first points. */
    const pillars = new Map<number, number[]>();
    for (let p = 0; p < Math.min(most, sizes[frame]!); p++) {
      const at = (frame * most + p) * channels;
      if (![0, 1, 2].every((axis) => cloud[at + axis]! >= range[axis]! && cloud[at + axis]! < range[axis + 3]!))
        continue;
      const [x, y] = [index(cloud[at]!, 0), index(cloud[at + 1]!, 1)];
      if (x >= width || y >= height) continue;
      const cell = y * width + x;
      const kept = pillars.get(cell);
      if (!kept && pillars.size < room) pillars.set(cell, [at]);
      else if (kept && kept.length < limit) kept.push(at);
    }
    counts[frame] = pillars.size;
    let voxel = frame * room;
    for (const [cell, kept] of pillars) {
      const place = [cell % width, Math.floor(cell / width), 0];
      coordinates.set([frame, ...[...place].reverse()], 4 * voxel);
      const mean = place.map((_, axis) => kept.reduce((sum, at) => sum + cloud[at + axis]!, 0) / kept.length);
      const centre = place.map((at, axis) => size[axis]! / 2 + at * size[axis]! + range[axis]!);
      kept.forEach((at, i) => {
        const point = cloud.subarray(at, at + channels);
        const offsets = [mean, centre].flatMap((from) => from.map((v, axis) => point[axis]! - v));
        voxels.set([...point, ...offsets].slice(0, wanted), (voxel * limit + i) * wanted);
      });
      voxel++;
    }
  }
  return { voxels, voxel_coords: coordinates, num_pillar: counts };
}
