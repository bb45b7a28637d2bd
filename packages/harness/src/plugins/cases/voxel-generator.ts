/** VoxelGeneratorPlugin against what it is to do, asked of every pillar. */

import { voxelGenerator } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

interface Fields extends Readonly<Record<string, unknown>> {
  readonly max_num_points_per_voxel: number;
  readonly max_voxels: number;
  readonly point_cloud_range: readonly number[];
  readonly voxel_feature_num: number;
  readonly voxel_size: readonly number[];
}

interface Cloud {
  readonly batch: number;
  readonly most: number;
  readonly channels: number;
  readonly counts: readonly number[];
}

/**
 * Points of a grid that floats have exactly, somewhat beyond the range on all sides: those of borders are among them, and
 * rounding decides nothing.
 */
function exactPoints({ batch, most, channels }: Cloud, fields: Fields, random: Random): Operand {
  const values = random.numbers(batch * most * channels);
  for (let i = 0; i < batch * most; i++)
    for (let axis = 0; axis < 3; axis++) {
      const [low, high] = [fields.point_cloud_range[axis]!, fields.point_cloud_range[axis + 3]!];
      values[i * channels + axis] = low - 1 / 4 + random.integer(8 * (high - low) + 4) / 8;
    }
  return { dtype: 'float32', dims: [batch, most, channels], values };
}

/** Points as a scanner sees them: the nearer the denser, never at the border of a pillar. */
function scannedPoints({ batch, most, channels }: Cloud, fields: Fields, random: Random): Operand {
  const values = random.numbers(batch * most * channels);
  const { point_cloud_range: range, voxel_size: size } = fields;
  for (let i = 0; i < batch * most; i++) {
    const [distance, angle] = [random.next() ** 2 * 70, (random.next() - 0.5) * Math.PI];
    const place = [distance * Math.cos(angle), distance * Math.sin(angle), -1 + random.next()];
    for (const axis of [0, 1]) {
      const cell = Math.floor((place[axis]! - range[axis]!) / size[axis]!);
      place[axis] = range[axis]! + (cell + 0.1 + 0.8 * random.next()) * size[axis]!;
    }
    values.set(place, i * channels);
  }
  return { dtype: 'float32', dims: [batch, most, channels], values };
}

function problemOf(name: string, cloud: Cloud, fields: Fields, points: Operand): Problem {
  const counts: Operand = { dtype: 'int32', dims: [cloud.batch], values: Float64Array.from(cloud.counts) };
  return { name, fields, inputs: { points, num_points: counts } };
}

const pillars: Fields = {
  max_num_points_per_voxel: 4,
  max_voxels: 20,
  point_cloud_range: [0, -2, -1, 4, 2, 1],
  voxel_feature_num: 10,
  voxel_size: [0.5, 1, 2],
};

function problems(random: Random): Problem[] {
  const small: Cloud = { batch: 2, most: 60, channels: 4, counts: [60, 41] };
  const exact = (name: string, cloud: Partial<Cloud>, fields: Partial<Fields> = {}): Problem => {
    const [all, values] = [
      { ...small, ...cloud },
      { ...pillars, ...fields },
    ];
    return problemOf(name, all, values, exactPoints(all, values, random));
  };
  const strange = exact('points that are none', { batch: 1, most: 40, counts: [40] });
  strange.inputs['points']!.values.forEach((v, i, all) => (all[i] = [NaN, Infinity, -Infinity][i % 13] ?? v));
  const dynamic = exact('frames and points of the run', {});
  const kitti: Fields = {
    max_num_points_per_voxel: 32,
    max_voxels: 12000,
    point_cloud_range: [0, -39.68, -3, 69.12, 39.68, 1],
    voxel_feature_num: 10,
    voxel_size: [0.16, 0.16, 4],
  };
  const scan: Cloud = { batch: 1, most: 120_000, channels: 4, counts: [115_000] };
  const few: Cloud = { ...scan, most: 1500, counts: [1400] };
  return [
    exact('2 frames', {}),
    exact('5 channels, without z of the centre', { channels: 5 }, { voxel_feature_num: 10 }),
    exact('3 channels', { channels: 3 }, { voxel_feature_num: 9 }),
    exact('more points than pillars keep', { most: 700, counts: [700, 650] }, { max_voxels: 32 }),
    exact('more points than one block numbers', { most: 2500, counts: [2500, 2049] }, { max_voxels: 40 }),
    exact('one pillar, one point', { most: 300, counts: [300, 1] }, { max_voxels: 1, max_num_points_per_voxel: 1 }),
    exact('one cell', { most: 200, counts: [200, 0] }, { voxel_size: [4, 4, 2], max_num_points_per_voxel: 70 }),
    exact('room for many points', { most: 90, counts: [90, 5] }, { max_num_points_per_voxel: 600, max_voxels: 3 }),
    exact('pillars that do not fill the range', {}, { voxel_size: [0.75, 1.5, 2] }),
    exact('counts that are too large or negative', { counts: [99, -3] }),
    exact('empty clouds', { counts: [0, 0] }),
    exact('room for no points', { most: 0, counts: [0, 0] }),
    strange,
    {
      ...dynamic,
      inputs: {
        points: { ...dynamic.inputs['points']!, declared: ['N', 'M', 4] },
        num_points: { ...dynamic.inputs['num_points']!, declared: ['N'] },
      },
    },
    problemOf('a small scan', few, { ...kitti, max_voxels: 700 }, scannedPoints(few, kitti, random)),
    timed('PointPillars on KITTI', kitti, (r) => problemOf('KITTI', scan, kitti, scannedPoints(scan, kitti, r)).inputs),
  ];
}

function reference({ inputs, fields }: Problem): Readonly<Record<string, Float64Array>> {
  const { max_num_points_per_voxel: limit, max_voxels: room, voxel_feature_num: wanted } = fields as Fields;
  const { point_cloud_range: range, voxel_size: size } = fields as Fields;
  const [batch, most, channels] = inputs['points']!.dims as [number, number, number];
  const voxels = new Float64Array(batch * room * limit * wanted);
  const coordinates = new Float64Array(batch * room * 4);
  const counts = new Float64Array(batch);
  for (let n = 0; n < batch; n++) {
    const all = Array.from({ length: Math.max(0, Math.min(most, inputs['num_points']!.values[n]!)) }, (_, p) =>
      inputs['points']!.values.subarray((n * most + p) * channels, (n * most + p + 1) * channels),
    );
    const fits = (p: Float64Array, axis: number): boolean =>
      Math.floor((p[axis]! - range[axis]!) / size[axis]!) < Math.round((range[axis + 3]! - range[axis]!) / size[axis]!);
    const inside = all
      .filter((p) => [0, 1, 2].every((axis) => p[axis]! >= range[axis]! && p[axis]! < range[axis + 3]!))
      .filter((p) => fits(p, 0) && fits(p, 1));
    const nameOf = (p: Float64Array): string =>
      [1, 0].map((axis) => Math.floor((p[axis]! - range[axis]!) / size[axis]!)).join();
    const byCell = new Map<string, Float64Array[]>();
    for (const p of inside) byCell.set(nameOf(p), [...(byCell.get(nameOf(p)) ?? []), p].slice(0, limit));
    const kept = [...byCell].slice(0, room);
    counts[n] = kept.length;
    kept.forEach(([name, points], v) => {
      const [y, x] = name.split(',').map(Number) as [number, number];
      coordinates.set([n, 0, y, x], 4 * (n * room + v));
      const mean = (axis: number): number => points.reduce((sum, p) => sum + p[axis]!, 0) / points.length;
      const centre = (axis: number): number => range[axis]! + ([x, y, 0][axis]! + 0.5) * size[axis]!;
      points.forEach((p, i) => {
        const shifts = [mean, centre].flatMap((of) => [0, 1, 2].map((axis) => p[axis]! - of(axis)));
        voxels.set([...p, ...shifts].slice(0, wanted), ((n * room + v) * limit + i) * wanted);
      });
    });
  }
  return { voxels, voxel_coords: coordinates, num_pillar: counts };
}

export const voxelGeneratorCase: PluginCase = {
  name: 'voxel-generator',
  plugin: voxelGenerator,
  floats: ['float32'],
  problems,
  reference,
  standard: 'no standard layers number cells and list their points',
};
