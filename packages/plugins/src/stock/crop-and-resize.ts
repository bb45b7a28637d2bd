/** CropAndResizeDynamic: boxes of feature maps brought to one size, as TensorFlow does. */

import { mulDims, provablyEqual, readNumbers } from '@tensorwright/core';
import { field, type Field } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { regionLaunch, regionSampling } from './region-kernel.js';
import { type Axis, sampleRegions } from './region-processor.js';

const source = `${regionSampling}
// One sample for each result, on the pixels that the box begins and ends with, and between them.
TW_DEVICE Axis crop_axis(f32 low, f32 high, i32 results, i32 extent) {
  const f32 last = static_cast<f32>(extent - 1);
  const f32 start = results > 1 ? low * last : 0.5f * (low + high) * last;
  const f32 bin = results > 1 ? (high - low) * last / static_cast<f32>(results - 1) : 0.0f;
  return {start, bin, 0.0f, min(extent, 1), 0.0f, last, extent};
}

template <int Threads, int Results, int Width, bool ChannelsLast, bool Max, int Height, int Columns, typename Index,
          typename T, typename R>
__global__ void crop_and_resize(const T* x, const R* rois, T* y, i32 boxes, i32 channels, i32 height, i32 width) {
  let_successor_start();
  const i64 region = blockIdx.x;
  const R* const corners = rois + 4 * region;
  const i64 image = region / boxes;
  sample_region<Threads, Results, Width, ChannelsLast, Max, Height, Columns, Index>(
      crop_axis(corners[0], corners[2], Height, height), crop_axis(corners[1], corners[3], Columns, width),
      x + image * channels * height * width, y + region * channels * (Height * Columns), channels);
}`;

type CropAndResize = Plugin<
  readonly ['feature_maps', 'rois'],
  readonly ['pfmap'],
  { readonly crop_width: Field<number>; readonly crop_height: Field<number> }
>;

const floats = ['float32', 'float16', 'bfloat16'];

/**
 * Boxes of feature maps, each brought to one size by bilinear interpolation.
 *
 * - `feature_maps`: [N, C, H, W], float32, float16 or bfloat16.
 * - `rois`: [N, B, 4, 1] or [N, B, 4], y1, x1, y2, x2 of the boxes of each image, in units of H - 1 and W - 1: 0 and 1 are
 *   the first and the last pixel. Like feature_maps, or float32.
 * - `pfmap`: [N, B, C, crop_height, crop_width], like feature_maps; 0 outside of the image.
 * - `crop_height`, `crop_width`: 1 to 256; needed. A crop of one pixel is the box's middle.
 *
 * Versions 1 and 2 of TensorRT's plugin. Sources: TensorFlow, tf.image.crop_and_resize; NVIDIA/TensorRT,
 * plugin/cropAndResizePlugin.
 */
export const cropAndResizeVersions: readonly CropAndResize[] = defineVersions(['1', '2'], {
  name: 'CropAndResizeDynamic',
  fields: { crop_width: field.int(), crop_height: field.int() },
  inputs: ['feature_maps', 'rois'],
  outputs: ['pfmap'],
  infer({ inputs: { feature_maps: maps, rois }, fields: { crop_height: height, crop_width: width }, fail }) {
    const { dims, dtype } = maps;
    if (dims.length !== 4 || !floats.includes(dtype)) fail('feature_maps must be floats of the shape [N, C, H, W]');
    const [images, boxes, four, one] = rois.dims;
    if (rois.dims.length < 3 || rois.dims.length > 4 || four !== 4 || (one !== undefined && one !== 1))
      fail('rois must have the shape [N, B, 4, 1] or [N, B, 4]');
    if (!provablyEqual(images!, dims[0]!)) fail('feature_maps and rois must be of as many images');
    if (rois.dtype !== dtype && rois.dtype !== 'float32') fail(`feature_maps are ${dtype}, rois are ${rois.dtype}`);
    if (height < 1 || width < 1 || height > 256 || width > 256) fail('crop_height and crop_width must be 1 to 256');
    return { pfmap: { dtype, dims: [dims[0]!, boxes!, dims[1]!, height, width] } };
  },
  cuda: {
    source,
    dtypes: floats as ['float32', 'float16', 'bfloat16'],
    launches: ({ inputs: { feature_maps: maps, rois }, outputs: { pfmap }, fields }) => [
      regionLaunch({
        kernel: 'crop_and_resize',
        image: maps,
        regions: mulDims(rois.dims[0]!, rois.dims[1]!),
        height: fields.crop_height,
        width: fields.crop_width,
        isMax: false,
        isChannelsLast: false,
        arguments: [maps, rois, pfmap, rois.dims[1]!, ...maps.dims.slice(1)],
      }),
    ],
  },
  cpu({ feature_maps: maps, rois }, { crop_height: height, crop_width: width }) {
    const corners = readNumbers(rois);
    const boxes = rois.dims[1]!;
    return {
      pfmap: sampleRegions(maps, [height, width], false, corners.length / 4, (region) => {
        const [y0, x0, y1, x1] = corners.subarray(4 * region, 4 * region + 4) as unknown as number[];
        return {
          image: Math.floor(region / boxes),
          rows: cropAxis(y0!, y1!, height, maps.dims[2]!),
          columns: cropAxis(x0!, x1!, width, maps.dims[3]!),
        };
      }),
    };
  },
});

/** The newest version; see `cropAndResizeVersions`. */
export const cropAndResize: CropAndResize = cropAndResizeVersions.at(-1)!;

function cropAxis(low: number, high: number, results: number, extent: number): Axis {
  const last = extent - 1;
  return {
    start: results > 1 ? low * last : 0.5 * (low + high) * last,
    bin: results > 1 ? ((high - low) * last) / (results - 1) : 0,
    ...{ spacing: 0, samples: Math.min(extent, 1), least: 0, most: last, extent },
  };
}
