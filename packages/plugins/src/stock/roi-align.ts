/** ROIAlign_TRT: regions of feature maps brought to one size, as in Mask R-CNN. */

import { provablyEqual } from '@tensorwright/core';
import { field, type OptionalField } from '../fields.js';
import type { Plugin } from '../plugin.js';
import { defineVersions } from './define-versions.js';
import { checkFloat } from './floats.js';

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

const integers = ['int32', 'int64'];

/**
 * Regions of feature maps, each cut into a grid of bins; a bin is the mean, or the largest, of bilinear samples.
 *
 * - `X`: [N, C, H, W], float32, float16 or bfloat16.
 * - `rois`: [R, 4], x1, y1, x2, y2 of each region; like X, or float32.
 * - `batch_indices`: [R], int32 or int64: the image of each region. One that is not there is an error on the processor,
 *   and gives 0 on a device.
 * - `Y`: [R, C, output_height, output_width], like X. Bins without samples are 0, and samples more than a pixel outside.
 * - `coordinate_transformation_mode` (1): 1 takes coordinates as of pixels' edges, 0 as of their centres, and regions as
 *   at least a pixel wide. `mode` (1): 1 for the mean; 0 for the largest weighted neighbour of any sample.
 *   `output_height` and `output_width` (1): bins, 1 to 256 each. `sampling_ratio` (0): samples of a bin in each direction;
 *   0: as many as it has pixels, rounded up. `spatial_scale` (1, positive): what coordinates are multiplied by.
 *
 * The same as RoiAlign of ONNX, operator set 16, to whose standard layer it is lowered. Versions 1 and 2 of TensorRT's plugin. Sources: He et al., Mask R-CNN,
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
  lower({ inputs: { X, rois, batch_indices: images }, fields, fail }, network) {
    checkFloat('X', X, fail);
    if (X.dims.length !== 4) fail('X must have the shape [N, C, H, W]');
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
    const [Y] = network.addOperator('roiAlign', [X, rois, images], {
      mode: fields.mode === 0 ? 'max' : 'avg',
      coordinateTransformationMode: fields.coordinate_transformation_mode === 0 ? 'output_half_pixel' : 'half_pixel',
      outputHeight: height,
      outputWidth: width,
      samplingRatio: fields.sampling_ratio,
      spatialScale: fields.spatial_scale,
    });
    return { Y: Y! };
  },
});

/** The newest version; see `roiAlignVersions`. */
export const roiAlign: RoiAlign = roiAlignVersions.at(-1)!;
