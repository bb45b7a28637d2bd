/** What the stock plugins that sample and scatter say of calls that are wrong. */

import {
  disentangledAttention,
  modulatedDeformConv,
  multiscaleDeformableAttention,
  pillarScatter,
  voxelGenerator,
} from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { add, type Call } from './support/stock-call.js';

type Shapes = Readonly<Record<string, readonly number[]>>;
type Dtypes = Readonly<Record<string, 'int32' | 'int64' | 'float16' | 'float64'>>;

interface Refused extends Pick<Call, 'plugin' | 'fields'> {
  readonly shapes: Shapes;
  readonly dtypes?: Dtypes;
}

function call({ shapes, dtypes = {}, ...rest }: Refused): unknown {
  const inputs = Object.entries(shapes).map(([name, dims]): [string, Call['inputs'][string]] => [
    name,
    [dtypes[name] ?? 'float32', ...dims],
  ]);
  return add({ ...rest, inputs: Object.fromEntries(inputs) });
}

const attention: Refused = {
  plugin: multiscaleDeformableAttention,
  shapes: {
    value: [1, 20, 2, 8],
    spatial_shapes: [1, 2],
    level_start_index: [1],
    sampling_locations: [1, 3, 2, 1, 4, 2],
    attention_weights: [1, 3, 2, 1, 4],
  },
  dtypes: { spatial_shapes: 'int32', level_start_index: 'int32' },
};
const scores: Refused = {
  plugin: disentangledAttention,
  shapes: { data0: [2, 5, 5], data1: [2, 5, 8], data2: [2, 5, 8] },
  fields: { span: 4, factor: 0.5 },
};
const convolution: Refused = {
  plugin: modulatedDeformConv,
  shapes: { x: [1, 4, 5, 5], offset: [1, 18, 5, 5], mask: [1, 9, 5, 5], weight: [6, 4, 3, 3], bias: [6] },
  fields: { padding: [1, 1] },
};
const voxels: Refused = {
  plugin: voxelGenerator,
  shapes: { points: [1, 9, 4], num_points: [1] },
  dtypes: { num_points: 'int32' },
  fields: {
    ...{ max_num_points_per_voxel: 4, max_voxels: 5, voxel_feature_num: 10 },
    ...{ point_cloud_range: [0, 0, 0, 4, 4, 1], voxel_size: [1, 1, 1] },
  },
};
const scatter: Refused = {
  plugin: pillarScatter,
  shapes: { voxels: [1, 9, 4], voxel_coords: [1, 9, 4], num_pillar: [1] },
  dtypes: { voxel_coords: 'int32', num_pillar: 'int32' },
  fields: { dense_shape: [3, 4] },
};
const withShapes = (c: Refused, shapes: Shapes): Refused => ({ ...c, shapes: { ...c.shapes, ...shapes } });
const withDtypes = (c: Refused, dtypes: Dtypes): Refused => ({ ...c, dtypes: { ...c.dtypes, ...dtypes } });
const withFields = (c: Refused, fields: object): Refused => ({ ...c, fields: { ...c.fields, ...fields } });

describe('a call', () => {
  it.each([
    ['attention of Deformable DETR', attention],
    ['scores of DeBERTa', scores],
    ['a convolution', convolution],
    ['voxels', voxels],
    ['pillars', scatter],
  ])('that is right is taken: %s', (_, right) => {
    expect(() => call(right)).not.toThrow();
  });

  it.each([
    ['a rank', withShapes(attention, { value: [1, 20, 16] }), /value must have rank 4/],
    ['points', withShapes(attention, { attention_weights: [1, 3, 2, 1, 5] }), /sampling_locations has shape/],
    ['heads', withShapes(attention, { value: [1, 20, 3, 8] }), /attention_weights has shape \[1, 3, 2, 1, 4\]/],
    ['integers', withDtypes(attention, { spatial_shapes: 'int64' }), /both be int32 or both be int64/],
    ['floats', withDtypes(attention, { attention_weights: 'float16' }), /attention_weights float16/],
    ['no floats', withDtypes(attention, { value: 'int32' }), /value must be float32, float16 or bfloat16, is int32/],
    ['wide floats', withDtypes(scores, { data0: 'float64' }), /data0 must be float32, float16 or bfloat16/],
    ['an image of integers', withDtypes(convolution, { x: 'int32' }), /x must hold floats, is int32/],
    ['pillars of integers', withDtypes(scatter, { voxels: 'int32' }), /voxels must be float32/],
    ['a table', withShapes(scores, { data1: [2, 5, 6] }), /data1 has shape \[2, 5, 6\], expected \[2, 5, 8\]/],
    ['no square', withShapes(scores, { data0: [2, 5, 6] }), /data0 has shape/],
    ['a span', withFields(scores, { span: 1 }), /span must be at least 2/],
    ['a stride', withFields(convolution, { stride: [1, 0] }), /stride must be two numbers of at least 1/],
    ['groups', withFields(convolution, { deformable_group: 3 }), /no whole number of groups/],
    ['displacements', withShapes(convolution, { offset: [1, 16, 5, 5] }), /offset has shape/],
    ['a bias', withShapes(convolution, { bias: [5] }), /bias must have an element/],
    ['features', withFields(voxels, { voxel_feature_num: 11 }), /voxel_feature_num 5 or 6 more/],
    ['a range', withFields(voxels, { point_cloud_range: [0, 0, 0, 0, 4, 1] }), /has no voxels/],
    ['no number', withFields(voxels, { voxel_size: [1, NaN, 1] }), /three positive sizes/],
    ['too many points', withFields(voxels, { max_num_points_per_voxel: 5000 }), /1 to 4096, is 5000/],
    ['a map', withFields(scatter, { dense_shape: [3] }), /dense_shape must be/],
    ['coordinates', withShapes(scatter, { voxel_coords: [1, 9, 3] }), /voxel_coords has shape/],
  ])('of the wrong kind is refused: %s', (_, wrong, message) => {
    expect(() => call(wrong)).toThrow(message);
  });
});
