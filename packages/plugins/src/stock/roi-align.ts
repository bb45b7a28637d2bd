/** ROIAlign_TRT: regions of feature maps brought to one size, as in Mask R-CNN. */

import { provablyEqual, readNumbers } from '@tensorwright/core';
import { field, type OptionalField } from '../fields.js';
import { arg } from '../launch-argument.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { regionLaunch, regionSampling } from './region-kernel.js';
import { type Axis, sampleRegions } from './region-processor.js';

const source = `${regionSampling}
TW_DEVICE Axis aligned_axis(f32 low, f32 high, f32 scale, bool half_pixel, i32 results, i32 ratio, i32 extent) {
  const f32 start = low * scale - (half_pixel ? 0.5f : 0.0f), end = high * scale - (half_pixel ? 0.5f : 0.0f);
  const f32 bin = (half_pixel ? end - start : fmaxf(end - start, 1.0f)) / static_cast<f32>(results);
  const f32 wanted = ratio > 0 ? static_cast<f32>(ratio) : ceilf(bin);
  // What is not finite has no samples, nor has an image without pixels.
  const i32 samples = extent > 0 && wanted > 0.0f && wanted < 1e9f ? static_cast<i32>(wanted) : 0;
  return {start, bin, bin / static_cast<f32>(max(samples, 1)), samples, -1.0f, static_cast<f32>(extent), extent};
}

template <int Threads, int Results, int Width, bool ChannelsLast, bool Max, int Height, int Columns, typename Index,
          typename T, typename R, typename I>
__global__ void roi_align(const T* x, const R* rois, const I* images, T* y, i32 batch, i32 channels, i32 height,
                          i32 width, f32 scale, bool half_pixel, i32 ratio) {
  let_successor_start();
  const i64 region = blockIdx.x;
  const R* const corners = rois + 4 * region;
  Axis vertical = aligned_axis(corners[1], corners[3], scale, half_pixel, Height, ratio, height);
  const Axis horizontal = aligned_axis(corners[0], corners[2], scale, half_pixel, Columns, ratio, width);
  i64 image = images[region];
  if (image < 0 || image >= batch) {
    image = 0;
    vertical.samples = 0;
  }
  sample_region<Threads, Results, Width, ChannelsLast, Max, Height, Columns, Index>(
      vertical, horizontal, x + image * channels * height * width,
      y + region * channels * (Height * Columns), channels);
}`;

type RoiAlign = Plugin<
  readonly ['X', 'rois', 'batch_indices'],
  readonly ['Y'],
  {
    readonly coordinate_transformation_mode: OptionalField<number>;
    readonly mode: OptionalField<number>;
    readonly output_height: OptionalField<number>;
    readonly output_width: OptionalField<number>;
    readonly sampling_ratio: OptionalField<number>;
    readonly spatial_scale: OptionalField<number>;
  }
>;

const floats = ['float32', 'float16', 'bfloat16'];
const integers = ['int32', 'int64'];

/**
 * Regions of feature maps, each cut into a grid of bins; a bin is the mean, or the largest, of bilinear samples.
 *
 * - `X`: [N, C, H, W], float32, float16 or bfloat16, also channels last.
 * - `rois`: [R, 4], x1, y1, x2, y2 of each region; like X, or float32.
 * - `batch_indices`: [R], int32 or int64: the image of each region. A region of an image that is not there gives 0.
 * - `Y`: [R, C, output_height, output_width], like X. Bins without samples are 0, and samples more than a pixel outside.
 * - `coordinate_transformation_mode` (1): 1 takes coordinates as of pixels' edges, 0 as of their centres, and regions as
 *   at least a pixel wide. `mode` (1): 1 for the mean; 0 for the largest weighted neighbour of any sample.
 *   `output_height` and `output_width` (1): bins, 1 to 256 each. `sampling_ratio` (0): samples of a bin in each direction;
 *   0: as many as it has pixels, rounded up. `spatial_scale` (1, positive): what coordinates are multiplied by.
 *
 * The same as RoiAlign of ONNX, operator set 16. Versions 1 and 2 of TensorRT's plugin. Sources: He et al., Mask R-CNN,
 * 2017; NVIDIA/TensorRT, plugin/roiAlignPlugin.
 */
export const roiAlignVersions: readonly RoiAlign[] = defineVersions(['1', '2'], {
  name: 'ROIAlign_TRT',
  fields: {
    coordinate_transformation_mode: field.int(1),
    mode: field.int(1),
    output_height: field.int(1),
    output_width: field.int(1),
    sampling_ratio: field.int(0),
    spatial_scale: field.float(1),
  },
  inputs: ['X', 'rois', 'batch_indices'],
  outputs: ['Y'],
  infer({ inputs: { X, rois, batch_indices: images }, fields, fail }) {
    if (X.dims.length !== 4 || !floats.includes(X.dtype)) fail('X must be floats of the shape [N, C, H, W]');
    if (rois.dims.length !== 2 || rois.dims[1] !== 4) fail('rois must have the shape [R, 4]');
    if (rois.dtype !== X.dtype && rois.dtype !== 'float32') fail(`X is ${X.dtype}, rois are ${rois.dtype}`);
    if (images.dims.length !== 1 || !provablyEqual(images.dims[0]!, rois.dims[0]!) || !integers.includes(images.dtype))
      fail('batch_indices must be as many integers as there are rois');
    const [height, width] = [fields.output_height, fields.output_width];
    if (height < 1 || width < 1 || height > 256 || width > 256) fail('output_height and output_width must be 1 to 256');
    if (![0, 1].includes(fields.coordinate_transformation_mode) || ![0, 1].includes(fields.mode))
      fail('coordinate_transformation_mode and mode must be 0 or 1');
    if (fields.sampling_ratio < 0) fail('sampling_ratio must not be negative');
    if (!(fields.spatial_scale > 0)) fail('spatial_scale must be positive');
    return { Y: { dtype: X.dtype, dims: [rois.dims[0]!, X.dims[1]!, height, width] } };
  },
  cuda: {
    source,
    dtypes: ['float32', 'float16', 'bfloat16', 'int32', 'int64'],
    formats: [{}, { X: 'channelsLast', Y: 'channelsLast' }],
    launches: ({ inputs: { X, rois, batch_indices: images }, outputs: { Y }, fields, format }) => [
      regionLaunch({
        kernel: 'roi_align',
        image: X,
        regions: rois.dims[0]!,
        height: fields.output_height,
        width: fields.output_width,
        isMax: fields.mode === 0,
        isChannelsLast: format['X'] === 'channelsLast',
        arguments: [
          ...[X, rois, images, Y, ...X.dims, arg.float(fields.spatial_scale)],
          ...[fields.coordinate_transformation_mode === 1, fields.sampling_ratio],
        ],
      }),
    ],
  },
  cpu({ X, rois, batch_indices: indices }, fields) {
    const corners = readNumbers(rois);
    const images = readNumbers(indices);
    const [batch, , height, width] = X.dims as [number, number, number, number];
    const axisOf = (low: number, high: number, results: number, extent: number): Axis =>
      alignedAxis(low, high, results, extent, fields);
    return {
      Y: sampleRegions(X, [fields.output_height, fields.output_width], fields.mode === 0, images.length, (region) => {
        const image = images[region]!;
        if (image < 0 || image >= batch) return undefined;
        const [x0, y0, x1, y1] = corners.subarray(4 * region, 4 * region + 4) as unknown as number[];
        return {
          image,
          rows: axisOf(y0!, y1!, fields.output_height, height),
          columns: axisOf(x0!, x1!, fields.output_width, width),
        };
      }),
    };
  },
});

/** The newest version; see `roiAlignVersions`. */
export const roiAlign: RoiAlign = roiAlignVersions.at(-1)!;

function alignedAxis(
  low: number,
  high: number,
  results: number,
  extent: number,
  fields: Readonly<Record<'coordinate_transformation_mode' | 'spatial_scale' | 'sampling_ratio', number>>,
): Axis {
  const isHalf = fields.coordinate_transformation_mode === 1;
  const [start, end] = [low, high].map((v) => v * fields.spatial_scale - (isHalf ? 0.5 : 0)) as [number, number];
  const bin = (isHalf ? end - start : Math.max(end - start, 1)) / results;
  const wanted = fields.sampling_ratio > 0 ? fields.sampling_ratio : Math.ceil(bin);
  const samples = extent > 0 && wanted > 0 && wanted < 1e9 ? wanted : 0;
  return { start, bin, spacing: bin / Math.max(samples, 1), samples, least: -1, most: extent, extent };
}
