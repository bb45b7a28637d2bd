/** CropAndResizeDynamic: boxes of feature maps brought to one size, as TensorFlow does. */

import { ceilDivDims, type Dim, dimBounds, dtypeInfo, mulDims, provablyEqual, readNumbers } from '@tensorwright/core';
import { field, type Field } from '../fields.js';
import type { KernelTensor, Launch, LaunchArgument } from '../cuda-implementation.js';
import type { Plugin } from '../plugin.js';
import { source } from './crop-and-resize-kernel.js';
import { defineVersions } from './define-versions.js';
import { checkFloat, floats } from './floats.js';

type CropAndResize = Plugin<
  readonly ['feature_maps', 'rois'],
  readonly ['pfmap'],
  { readonly crop_width: Field<number>; readonly crop_height: Field<number> }
>;

/**
 * Boxes of feature maps, each brought to one size by bilinear interpolation.
 *
 * - `feature_maps`: [N, C, H, W], float32, float16 or bfloat16.
 * - `rois`: [N, B, 4, 1] or [N, B, 4], y1, x1, y2, x2 of the boxes of each image, in units of H - 1 and W - 1: 0 and 1 are
 *   the first and the last pixel. Like feature_maps, or float32.
 * - `pfmap`: [N, B, C, crop_height, crop_width], like feature_maps; 0 outside of the image, and where a box is not finite.
 *   The first and the last results along an axis lie on the box's ends.
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
    checkFloat('feature_maps', maps, fail);
    if (dims.length !== 4) fail('feature_maps must have the shape [N, C, H, W]');
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
    dtypes: floats,
    tactics: ['planes', 'pixels'],
    launches: ({ inputs: { feature_maps: maps, rois }, outputs: { pfmap }, fields, tactic }) => {
      const crop: Crop = {
        maps,
        boxes: rois.dims[1]!,
        size: [fields.crop_height, fields.crop_width],
        arguments: [maps, rois, pfmap, rois.dims[1]!, ...maps.dims.slice(1)],
      };
      return [(tactic === 'planes' ? planesLaunch(crop) : undefined) ?? pixelsLaunch(crop)];
    },
  },
  cpu({ feature_maps: maps, rois }, { crop_height: rows, crop_width: columns }) {
    const [, channels, height, width] = maps.dims as [number, number, number, number];
    const boxes = rois.dims[1]!;
    const [corners, data] = [readNumbers(rois), readNumbers(maps)];
    const results: number[] = [];
    for (let box = 0; box < corners.length / 4; box++) {
      const [y0, x0, y1, x1] = corners.subarray(4 * box, 4 * box + 4) as unknown as number[];
      const [down, across] = [sidesOf(y0!, y1!, rows, height), sidesOf(x0!, x1!, columns, width)];
      for (let c = 0; c < channels; c++) {
        const plane = (Math.floor(box / boxes) * channels + c) * height * width;
        for (const vertical of down)
          for (const horizontal of across) {
            let sum = 0;
            for (const [y, wy] of vertical)
              for (const [x, wx] of horizontal) sum += wy * wx * data[plane + y * width + x]!;
            results.push(sum);
          }
      }
    }
    return { pfmap: Float32Array.from(results) };
  },
});

/** The newest version; see `cropAndResizeVersions`. */
export const cropAndResize: CropAndResize = cropAndResizeVersions.at(-1)!;

interface Crop {
  readonly maps: KernelTensor;
  /** Of an image. */
  readonly boxes: Dim;
  readonly size: readonly [height: number, width: number];
  readonly arguments: readonly LaunchArgument[];
}

/** What every device has for a block. */
const mostSharedBytes = 96 * 1024;
/** Of a block's boxes, where its threads look up what to read. */
const tableBytes = 12 * 1024;
const sideBytes = 16;
const planesThreads = 384;
/** Of a large device, each of which runs up to so many blocks at once: their registers allow no more. */
const multiprocessors = 132;
const mostBlocksEach = 4;
const mostGridZ = 65535;

/** undefined: planes of the images do not fit, or only the run knows how large they are. */
function planesLaunch({ maps, boxes, size, arguments: list }: Crop): Launch | undefined {
  const [images, channels, height, width] = maps.dims as [Dim, Dim, Dim, Dim];
  if (typeof channels !== 'number' || typeof height !== 'number' || typeof width !== 'number') return undefined;
  if (dimBounds(images).max > mostGridZ) return undefined;
  const sides = size[0] + size[1];
  const batch = Math.max(1, Math.min(32, Math.floor(tableBytes / (sides * sideBytes))));
  const elementBytes = dtypeInfo(maps.dtype).bits / 8;
  const sharedOf = (vector: number): number => batch * sides * sideBytes + height * width * vector * elementBytes;
  let vector = 16 / elementBytes;
  while (vector > 1 && (sharedOf(vector) > mostSharedBytes || vector >= 2 * channels)) vector /= 2;
  const sharedBytes = sharedOf(vector);
  if (sharedBytes > mostSharedBytes) return undefined;
  const groups = Math.ceil(channels / vector);
  const each = Math.min(mostBlocksEach, Math.floor((225 * 1024) / sharedBytes));
  // Of no channels, there is one block at most.
  const planes = mulDims(images, Math.max(1, groups));
  const shares = typeof planes === 'number' ? Math.max(1, Math.floor((multiprocessors * each) / planes)) : 1;
  const most = typeof boxes === 'number' ? Math.max(1, boxes) : shares;
  return {
    kernel: `crop_planes<${[planesThreads, vector, batch, ...size].join(', ')}>`,
    grid: [groups, Math.min(shares, most), images],
    block: planesThreads,
    sharedBytes,
    arguments: list,
  };
}

function pixelsLaunch({ maps, boxes, size, arguments: list }: Crop): Launch {
  const [threads, depth] = [256, 8];
  const blocks = ceilDivDims(mulDims(ceilDivDims(maps.dims[1]!, depth), size[0] * size[1]), threads);
  return {
    kernel: `crop_pixels<${[threads, depth, ...size].join(', ')}>`,
    grid: mulDims(mulDims(maps.dims[0]!, boxes), blocks),
    block: threads,
    arguments: [...list, blocks],
  };
}

/** For each result along an axis, pixels and how much they count; none outside of the image. */
function sidesOf(first: number, last: number, results: number, extent: number): [pixel: number, weight: number][][] {
  const end = extent - 1;
  return Array.from({ length: results }, (_, place) => {
    const position = positionOf(first, last, place, results) * end;
    if (!(position >= 0 && position <= end)) return [];
    const low = Math.floor(position);
    const rest = position - low;
    return rest === 0
      ? [[low, 1]]
      : [
          [low, 1 - rest],
          [low + 1, rest],
        ];
  });
}

/** The last is the box's end exactly: a sum of steps may be rounded beyond the image. NaN where there is no such box. */
function positionOf(first: number, last: number, place: number, results: number): number {
  if (results === 1) return 0.5 * (first + last);
  const position = first + (place * (last - first)) / (results - 1);
  return place === results - 1 && !Number.isNaN(position) ? last : position;
}
