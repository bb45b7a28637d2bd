/** PillarScatterPlugin against what it is to do, asked of every cell. */

import { type NetworkTensor, Tensor } from '@tensorwright/core';
import { pillarScatter } from '@tensorwright/plugins/stock';
import type { PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

interface Sizes {
  readonly batch: number;
  readonly most: number;
  readonly channels: number;
  readonly shape: readonly [number, number];
  /** Pillars of each frame. */
  readonly counts: readonly number[];
}

/** @param margin cells outside of the map that pillars may lie in */
function problemOf(name: string, sizes: Sizes, random: Random, margin = 0): Problem {
  const { batch, most, channels, shape, counts } = sizes;
  const [height, width] = shape;
  const coordinates = new Float64Array(4 * batch * most);
  for (let i = 0; i < batch * most; i++)
    coordinates.set(
      [Math.floor(i / most), 0, ...[height, width].map((n) => random.integer(n + 2 * margin) - margin)],
      4 * i,
    );
  return {
    name,
    fields: { dense_shape: shape },
    inputs: {
      voxels: random.floats([batch, most, channels]),
      voxel_coords: { dtype: 'int32', dims: [batch, most, 4], values: coordinates },
      num_pillar: { dtype: 'int32', dims: [batch], values: Float64Array.from(counts) },
    },
  };
}

function problems(random: Random): Problem[] {
  const kitti: Sizes = { batch: 1, most: 12000, channels: 64, shape: [496, 432], counts: [9000] };
  const small: Sizes = { batch: 2, most: 9, channels: 8, shape: [6, 8], counts: [9, 4] };
  const dynamic = problemOf('batch and pillars of the run', small, random);
  const declared: Readonly<Record<string, readonly (number | string)[]>> = {
    voxels: ['N', 'P', 8],
    voxel_coords: ['N', 'P', 4],
    num_pillar: ['N'],
  };
  return [
    problemOf('2 frames', small, random),
    problemOf('an odd map', { ...small, shape: [5, 7], channels: 5 }, random),
    problemOf('odd channels', { ...small, channels: 3 }, random),
    problemOf('many channels', { ...small, channels: 72 }, random),
    problemOf('several pillars in a cell', { ...small, most: 40, shape: [2, 4], counts: [40, 20] }, random),
    problemOf('pillars outside of the map', { ...small, most: 30, counts: [30, 25] }, random, 3),
    problemOf('counts that are too large or negative', { ...small, counts: [99, -1] }, random),
    problemOf('no pillars', { ...small, counts: [0, 0] }, random),
    problemOf('room for no pillars', { ...small, most: 0, counts: [0, 0] }, random),
    problemOf('no map', { ...small, shape: [0, 8], counts: [2, 0] }, random, 1),
    {
      ...dynamic,
      inputs: Object.fromEntries(Object.entries(dynamic.inputs).map(([n, o]) => [n, { ...o, declared: declared[n]! }])),
    },
    timed('PointPillars on KITTI', { dense_shape: kitti.shape }, (r) => problemOf('KITTI', kitti, r).inputs),
  ];
}

function reference({ inputs, fields }: Problem): { dense_feature_map: Float64Array } {
  const [batch, most, channels] = inputs['voxels']!.dims as [number, number, number];
  const [height, width] = fields['dense_shape'] as [number, number];
  const coordinates = inputs['voxel_coords']!.values;
  const image = new Float64Array(batch * channels * height * width);
  for (let n = 0; n < batch; n++) {
    // The last pillar of each cell.
    const pillarOf = new Map<string, number>();
    for (let p = 0; p < most && p < inputs['num_pillar']!.values[n]!; p++)
      pillarOf.set(coordinates.subarray(4 * (n * most + p) + 2, 4 * (n * most + p) + 4).join(), p);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const pillar = pillarOf.get(`${String(y)},${String(x)}`);
        if (pillar === undefined) continue;
        for (let c = 0; c < channels; c++)
          image[((n * channels + c) * height + y) * width + x] =
            inputs['voxels']!.values[(n * most + pillar) * channels + c]!;
      }
  }
  return { dense_feature_map: image };
}

export const pillarScatterCase: PluginCase = {
  name: 'pillar-scatter',
  plugin: pillarScatter,
  problems,
  reference,
  /** Rows of a map with one more cell, where pillars go that do not count, then a transpose. */
  standard(network, { voxels, voxel_coords: coordinates, num_pillar: counts }, { inputs, fields }) {
    const [batch, most, channels] = inputs['voxels']!.dims as [number, number, number];
    const [height, width] = fields['dense_shape'] as [number, number];
    const cells = height * width;
    const integers = (values: readonly number[], dims: readonly number[]): NetworkTensor =>
      network.addConstant(new Tensor('int32', Int32Array.from(values), [...dims]));
    const column = (k: number): NetworkTensor => {
      const part = network.addSlice(coordinates!, { start: [0, 0, k], size: [batch, most, 1], stride: [1, 1, 1] });
      return network.addShuffle(part, { reshape: [batch, most] });
    };
    const numbers = integers(
      Array.from({ length: most }, (_, i) => i),
      [1, most],
    );
    const counted = network.addElementWise(numbers, network.addShuffle(counts!, { reshape: [batch, 1] }), 'less');
    const rows = network.addElementWise(column(2), integers([width], [1, 1]), 'prod');
    const cell = network.addElementWise(rows, column(3), 'sum');
    const frames = integers(
      Array.from({ length: batch }, (_, n) => n * (cells + 1)),
      [batch, 1],
    );
    const place = network.addElementWise(network.addSelect(counted, cell, integers([cells], [1, 1])), frames, 'sum');
    const zero = network.addCast(integers([0], [1, 1]), voxels!.dtype);
    const [empty] = network.addOperator('expand', [zero], { dims: [batch * (cells + 1), channels] });
    const flat = network.addShuffle(voxels!, { reshape: [batch * most, channels] });
    const places = network.addCast(network.addShuffle(place, { reshape: [batch * most, 1] }), 'int64');
    const [map] = network.addOperator('scatterND', [empty, places, flat]);
    const framed = network.addShuffle(map!, { reshape: [batch, cells + 1, channels] });
    const kept = network.addSlice(framed, { start: [0, 0, 0], size: [batch, cells, channels], stride: [1, 1, 1] });
    const planes = network.addShuffle(kept, { firstTranspose: [0, 2, 1] });
    return { dense_feature_map: network.addShuffle(planes, { reshape: [batch, channels, height, width] }) };
  },
};
