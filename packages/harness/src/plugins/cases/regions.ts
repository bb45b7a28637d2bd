/** ROIAlign_TRT and CropAndResizeDynamic against bilinear samples, one after the other. */

import { type NetworkTensor, Tensor } from '@tensorwright/core';
import { cropAndResize, roiAlign } from '@tensorwright/plugins/stock';
import type { Operand, PluginCase, Problem } from '../case.js';
import type { Random } from '../random.js';
import { timed } from '../timed.js';

interface Sizes {
  readonly images: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly regions: number;
}

type Fields = Readonly<Record<string, number>>;

/** Corners in the units of an image, most of them inside of it, as rows of the two axes' low and high ends. */
function cornersOf(random: Random, count: number, extents: readonly [number, number]): Float64Array {
  const corners = new Float64Array(count * 4);
  for (let i = 0; i < corners.length; i += 4)
    for (const axis of [0, 1]) {
      const extent = extents[axis]!;
      const low = (random.next() * 0.9 - 0.1) * extent;
      corners[i + axis] = low;
      corners[i + 2 + axis] = low + random.next() * extent;
    }
  return corners;
}

function alignInputs(random: Random, sizes: Sizes, scale: number): Problem['inputs'] {
  const { images, channels, height, width, regions } = sizes;
  return {
    X: random.floats([images, channels, height, width]),
    rois: { dtype: 'float', dims: [regions, 4], values: cornersOf(random, regions, [width / scale, height / scale]) },
    batch_indices: random.integers([regions], images),
  };
}

function withInput(problem: Problem, name: string, change: Partial<Operand>): Problem {
  return { ...problem, inputs: { ...problem.inputs, [name]: { ...problem.inputs[name]!, ...change } } };
}

function alignProblems(random: Random): Problem[] {
  const some: Sizes = { images: 2, channels: 3, height: 13, width: 17, regions: 5 };
  const bins = { output_height: 3, output_width: 5 };
  const make = (name: string, sizes: Sizes, fields: Fields): Problem => ({
    ...{ name, fields },
    inputs: alignInputs(random, sizes, fields['spatial_scale'] ?? 1),
  });
  const odd = make('regions that are none', some, bins);
  odd.inputs['rois']!.values.set([NaN, 1, 5, 5, -Infinity, 0, Infinity, 9, 9, 9, 2, 2, 90, 90, 99, 99]);
  const turned = make('regions that are turned round', some, { ...bins, sampling_ratio: 4 });
  turned.inputs['rois']!.values.set([9, 9, 6, 7, 12, 3, 2, 2]);
  const lost = make('images that are not there', some, { ...bins, sampling_ratio: 1 });
  lost.inputs['batch_indices']!.values.set([2, -1]);
  const run = make('extents of the run', some, { ...bins, mode: 0 });
  const declared = withInput(withInput(run, 'X', { declared: ['N', 'C', 'H', 'W'] }), 'rois', { declared: ['R', 4] });
  return [
    make('as many samples as pixels', some, bins),
    make('two samples', some, { ...bins, sampling_ratio: 2, spatial_scale: 0.25 }),
    make('three samples, centres', some, { ...bins, sampling_ratio: 3, coordinate_transformation_mode: 0 }),
    make('the largest', some, { ...bins, mode: 0 }),
    make('the largest of two samples', some, {
      ...bins,
      mode: 0,
      sampling_ratio: 2,
      coordinate_transformation_mode: 0,
    }),
    make('many bins', { ...some, channels: 70, regions: 2 }, { output_height: 9, output_width: 8, sampling_ratio: 1 }),
    make('more samples than a block lists', { ...some, height: 60, width: 200, regions: 2 }, { sampling_ratio: 300 }),
    make('large regions', { ...some, height: 90, width: 100, regions: 3 }, { output_height: 2, mode: 0 }),
    make('one pixel', { ...some, height: 1, width: 1 }, { ...bins, sampling_ratio: 2 }),
    withInput(make('rois in float32, indices in int64', some, bins), 'batch_indices', { dtype: 'int64' }),
    withInput(make('no regions', { ...some, regions: 0 }, bins), 'rois', { dtype: 'float32' }),
    { ...make('no pixels', { ...some, width: 0 }, { ...bins, sampling_ratio: 1 }), deviceOnly: true },
    { ...odd, deviceOnly: true },
    turned,
    { ...lost, deviceOnly: true },
    withInput(declared, 'batch_indices', { declared: ['R'] }),
    timed(
      'Mask R-CNN, 1000 boxes on the second level',
      { output_height: 7, output_width: 7, sampling_ratio: 2, spatial_scale: 0.125 },
      (r) => alignInputs(r, { images: 1, channels: 256, height: 100, width: 168, regions: 1000 }, 0.125),
    ),
  ];
}

/** The pixels on both sides of a position and how much they count; none where the position is outside. */
function neighbours(position: number, extent: number, margin: number): [pixel: number, weight: number][] {
  if (extent === 0 || !(position >= -margin && position <= extent - 1 + margin)) return [];
  const inside = Math.min(Math.max(position, 0), extent - 1);
  const low = Math.floor(inside);
  return [
    [low, 1 - (inside - low)],
    [Math.min(low + 1, extent - 1), inside - low],
  ];
}

function alignReference({ inputs, fields }: Problem): { Y: Float64Array } {
  const { X, rois, batch_indices: indices } = inputs;
  const [images, channels, height, width] = X!.dims as [number, number, number, number];
  const {
    output_height: rows = 1,
    output_width: columns = 1,
    sampling_ratio: ratio = 0,
    spatial_scale: scale = 1,
  } = fields as Record<string, number>;
  const isHalf = fields['coordinate_transformation_mode'] !== 0;
  const isMax = fields['mode'] === 0;
  const Y = new Float64Array(rois!.dims[0]! * channels * rows * columns);
  indices!.values.forEach((image, r) => {
    if (image < 0 || image >= images) return;
    const [x0, y0, x1, y1] = [...rois!.values.subarray(4 * r, 4 * r + 4)].map((v) => v * scale - (isHalf ? 0.5 : 0));
    if (![x0, y0, x1, y1].every(Number.isFinite)) return;
    const extent = (d: number): number => (isHalf ? d : Math.max(d, 1));
    const [binHeight, binWidth] = [extent(y1! - y0!) / rows, extent(x1! - x0!) / columns];
    const [down, across] = [binHeight, binWidth].map((b) => Math.max(ratio > 0 ? ratio : Math.ceil(b), 0));
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let [sum, best] = [0, -Infinity];
          for (let p = 0; p < down!; p++)
            for (let q = 0; q < across!; q++) {
              const vertical = neighbours(y0! + (i + (p + 0.5) / down!) * binHeight, height, 1);
              const horizontal = neighbours(x0! + (j + (q + 0.5) / across!) * binWidth, width, 1);
              // Of a sample outside nothing counts, which for the largest is 0; so does a neighbour of weight 0.
              if (vertical.length * horizontal.length === 0) best = Math.max(best, 0);
              for (const [y, wy] of vertical)
                for (const [x, wx] of horizontal) {
                  const v = wy * wx === 0 ? 0 : wy * wx * X!.values[((image * channels + c) * height + y) * width + x]!;
                  sum += v;
                  best = Math.max(best, v);
                }
            }
          const samples = down! * across!;
          Y[((r * channels + c) * rows + i) * columns + j] = samples === 0 ? 0 : isMax ? best : sum / samples;
        }
  });
  return { Y };
}

export const roiAlignCase: PluginCase = {
  name: 'roi-align',
  plugin: roiAlign,
  problems: alignProblems,
  reference: alignReference,
  standard: 'lowered to the layer roiAlign',
};

function cropInputs(random: Random, { images, channels, height, width, regions }: Sizes): Problem['inputs'] {
  return {
    feature_maps: random.floats([images, channels, height, width]),
    rois: { dtype: 'float', dims: [images, regions, 4, 1], values: cornersOf(random, images * regions, [1, 1]) },
  };
}

function cropProblem(random: Random, name: string, sizes: Sizes, fields: Fields): Problem {
  return { name, fields, inputs: cropInputs(random, sizes) };
}

function cropReference({ inputs, fields }: Problem): { pfmap: Float64Array } {
  const { feature_maps: maps, rois } = inputs;
  const [images, channels, height, width] = maps!.dims as [number, number, number, number];
  const [rows, columns] = [fields['crop_height'] as number, fields['crop_width'] as number];
  const boxes = rois!.dims[1]!;
  const at = (low: number, high: number, place: number, count: number): number =>
    count === 1 ? (low + high) / 2 : low + ((high - low) * place) / (count - 1);
  const pfmap: number[] = [];
  for (let b = 0; b < images * boxes; b++) {
    const [y0, x0, y1, x1] = rois!.values.subarray(4 * b, 4 * b + 4);
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (const [y, wy] of neighbours(at(y0!, y1!, i, rows) * (height - 1), height, 0))
            for (const [x, wx] of neighbours(at(x0!, x1!, j, columns) * (width - 1), width, 0))
              sum += wy * wx * maps!.values[((Math.floor(b / boxes) * channels + c) * height + y) * width + x]!;
          pfmap.push(sum);
        }
  }
  return { pfmap: Float64Array.from(pfmap) };
}

/** As it is exported where all boxes are of one image: a grid of all of their samples, and a transpose. */
const standardCrop: PluginCase['standard'] = (network, { feature_maps: maps, rois }, { inputs, fields }) => {
  const channels = inputs['feature_maps']!.dims[1]!;
  const boxes = inputs['rois']!.dims[1]!;
  const [rows, columns] = [fields['crop_height'] as number, fields['crop_width'] as number];
  const number = (value: number): NetworkTensor =>
    network.addConstant(new Tensor('float32', Float32Array.of(value), [1, 1, 1]));
  const corners = network.addCast(network.addShuffle(rois!, { reshape: [boxes, 4, 1] }), 'float32');
  const corner = (k: number): NetworkTensor =>
    network.addSlice(corners, { start: [0, k, 0], size: [boxes, 1, 1], stride: [1, 1, 1] });
  /** From -1 to 1, or beyond where the sample is outside. */
  const axis = (first: NetworkTensor, last: NetworkTensor, count: number): NetworkTensor => {
    const steps = Float32Array.from({ length: count }, (_, i) => i / (count - 1));
    const places = network.addConstant(new Tensor('float32', steps, [1, 1, count]));
    const span = network.addElementWise(network.addElementWise(last, first, 'sub'), places, 'prod');
    const place = network.addElementWise(network.addElementWise(first, span, 'sum'), number(2), 'prod');
    const at = network.addElementWise(place, number(1), 'sub');
    const isOutside = network.addElementWise(network.addUnary(at, 'abs'), number(1), 'greater');
    return network.addSelect(isOutside, number(-3), at);
  };
  const spread = (x: NetworkTensor, reshape: number[]): NetworkTensor =>
    network.addOperator('expand', [network.addShuffle(x, { reshape })], { dims: [boxes, rows, columns, 1] })[0]!;
  const [y, x] = [axis(corner(0), corner(2), rows), axis(corner(1), corner(3), columns)];
  const grid = network.addConcatenation([spread(x, [boxes, 1, columns, 1]), spread(y, [boxes, rows, 1, 1])], 3);
  const flat = network.addShuffle(grid, { reshape: [1, boxes * rows, columns, 2] });
  const [sampled] = network.addOperator('gridSample', [maps, flat], { alignCorners: true });
  const crops = network.addShuffle(sampled!, { reshape: [channels, boxes, rows, columns] });
  const turned = network.addShuffle(crops, { firstTranspose: [1, 0, 2, 3] });
  return { pfmap: network.addShuffle(turned, { reshape: [1, boxes, channels, rows, columns] }) };
};

export const cropAndResizeCase: PluginCase = {
  name: 'crop-and-resize',
  plugin: cropAndResize,
  problems(random) {
    const some: Sizes = { images: 2, channels: 3, height: 13, width: 17, regions: 4 };
    const crop = { crop_height: 3, crop_width: 5 };
    const odd = cropProblem(random, 'boxes that are none', some, crop);
    odd.inputs['rois']!.values.set([
      NaN,
      0,
      1,
      1,
      -Infinity,
      0,
      Infinity,
      1,
      0.5,
      0.5,
      0.5,
      0.5,
      0.75,
      0.75,
      0.25,
      0.25,
    ]);
    // Sums of steps of these end beyond the last pixel, in float32.
    const whole = cropProblem(random, 'boxes up to the last pixels', { ...some, width: 7 }, crop);
    whole.inputs['rois']!.values.set([0.005, 0.005, 1, 1, 0.016, 0.038, 1, 1, 0, 0.025, 1, 1, 1, 1, 0, 0.005]);
    const none = cropProblem(random, 'no channels, boxes of the run', { ...some, channels: 0 }, crop);
    return [
      cropProblem(random, 'some boxes', some, crop),
      withInput(whole, 'rois', { dtype: 'float32' }),
      withInput(none, 'rois', { declared: [2, 'B', 4, 1] }),
      cropProblem(random, 'the middle', some, { crop_height: 1, crop_width: 1 }),
      cropProblem(random, 'one pixel', { ...some, height: 1, width: 1 }, crop),
      cropProblem(random, 'many results', { ...some, channels: 40 }, { crop_height: 11, crop_width: 7 }),
      cropProblem(
        ...([
          random,
          'more boxes than a block looks up at once',
          { ...some, images: 1, channels: 1062, regions: 37 },
        ] as const),
        { crop_height: 2, crop_width: 1 },
      ),
      withInput(cropProblem(random, 'no boxes', { ...some, regions: 0 }, crop), 'rois', { dtype: 'float32' }),
      withInput(cropProblem(random, 'extents of the run', some, crop), 'feature_maps', {
        declared: [2, 'C', 'H', 'W'],
      }),
      cropProblem(random, 'an image that no block keeps', { ...some, images: 1, height: 130, width: 200 }, crop),
      cropProblem(random, 'no pixels', { ...some, height: 0 }, crop),
      odd,
      timed('Faster R-CNN, 300 boxes', { crop_height: 14, crop_width: 14 }, (r) =>
        cropInputs(r, { images: 1, channels: 1024, height: 38, width: 64, regions: 300 }),
      ),
    ];
  },
  reference: cropReference,
  standard: standardCrop,
};
