/** roiAlign, maxRoiPool: regions of feature maps brought to one size. x [N, C, H, W]. */

import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { agreeOnSome } from './some-there.js';

function inferRoi(c: InferContext, height: number, width: number): ReturnType<Operator['infer']> {
  const x = c.dims(0);
  const rois = c.dims(1);
  if (x.length !== 4) c.fail('x must have rank 4');
  if (rois.length !== 2) c.fail('rois must have rank 2');
  agreeOnSome(c, [rois[0]!], [x[0]!], 'regions and images');
  return [tensorType(c.tensor(0).dtype, [rois[0]!, x[1]!, height, width])];
}

/** Four neighbours and their weights for each sampling point of one region. */
interface Samples {
  readonly offsets: Int32Array;
  readonly weights: Float64Array;
  /** Points per output bin. */
  readonly perBin: number;
}

function samplesOf(c: EvaluateContext, roi: readonly number[], height: number, width: number): Samples {
  const outHeight = c.attributes['outputHeight'] as number;
  const outWidth = c.attributes['outputWidth'] as number;
  const scale = c.attributes['spatialScale'] as number;
  const ratio = c.attributes['samplingRatio'] as number;
  const halfPixel = c.attributes['coordinateTransformationMode'] === 'half_pixel';
  const shift = halfPixel ? 0.5 : 0;
  const [x0, y0, x1, y1] = roi.map((v) => v * scale - shift) as [number, number, number, number];
  // Without half-pixel coordinates regions are at least one pixel wide.
  const roiWidth = halfPixel ? x1 - x0 : Math.max(x1 - x0, 1);
  const roiHeight = halfPixel ? y1 - y0 : Math.max(y1 - y0, 1);
  const binHeight = roiHeight / outHeight;
  const binWidth = roiWidth / outWidth;
  const rows = Math.max(ratio > 0 ? ratio : Math.ceil(binHeight), 0);
  const columns = Math.max(ratio > 0 ? ratio : Math.ceil(binWidth), 0);
  const perBin = rows * columns;
  const offsets = new Int32Array(outHeight * outWidth * perBin * 4);
  const weights = new Float64Array(offsets.length);
  let at = 0;
  for (let bin = 0; bin < outHeight * outWidth; bin++) {
    const binY = y0 + Math.floor(bin / outWidth) * binHeight;
    const binX = x0 + (bin % outWidth) * binWidth;
    for (let i = 0; i < perBin; i++, at += 4) {
      const y = binY + ((Math.floor(i / columns) + 0.5) * binHeight) / rows;
      const x = binX + (((i % columns) + 0.5) * binWidth) / columns;
      if (y < -1 || y > height || x < -1 || x > width) continue;
      const [yLow, yHigh, fy] = neighbours(y, height);
      const [xLow, xHigh, fx] = neighbours(x, width);
      offsets.set([yLow * width + xLow, yLow * width + xHigh, yHigh * width + xLow, yHigh * width + xHigh], at);
      weights.set([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], at);
    }
  }
  return { offsets, weights, perBin };
}

function neighbours(position: number, extent: number): [low: number, high: number, fraction: number] {
  const p = Math.max(position, 0);
  const low = Math.floor(p);
  return low >= extent - 1 ? [extent - 1, extent - 1, 0] : [low, low + 1, p - low];
}

function evaluateRoiAlign(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const rois = readNumbers(c.tensor(1));
  const batches = c.integers(2);
  const outHeight = c.attributes['outputHeight'] as number;
  const outWidth = c.attributes['outputWidth'] as number;
  const bins = outHeight * outWidth;
  const max = c.attributes['mode'] === 'max';
  const data = readNumbers(x);
  const out = new Float64Array(batches.length * channels * bins);
  batches.forEach((image, r) => {
    if (image < 0 || image >= batch)
      c.fail(`region ${String(r)} is of image ${String(image)}, the batch has ${String(batch)}`);
    const { offsets, weights, perBin } = samplesOf(c, Array.from(rois.subarray(r * 4, r * 4 + 4)), height, width);
    for (let channel = 0; channel < channels; channel++) {
      const base = (image * channels + channel) * height * width;
      for (let bin = 0; bin < bins; bin++) {
        let sum = 0;
        let best = -Infinity;
        for (let i = bin * perBin * 4; i < (bin + 1) * perBin * 4; i += 4) {
          for (let k = i; k < i + 4; k++) {
            const v = weights[k]! * data[base + offsets[k]!]!;
            sum += v;
            best = Math.max(best, v);
          }
        }
        out[(r * channels + channel) * bins + bin] = perBin === 0 ? 0 : max ? best : sum / perBin;
      }
    }
  });
  return [tensorFromNumbers(x.dtype, out, [batches.length, channels, outHeight, outWidth])];
}

/** Rounds half away from zero, as C does. */
function roundAway(v: number): number {
  return Math.sign(v) * Math.floor(Math.abs(v) + 0.5);
}

function evaluateMaxRoiPool(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const [batch, channels, height, width] = x.dims as [number, number, number, number];
  const rois = readNumbers(c.tensor(1));
  const count = c.tensor(1).dims[0]!;
  const [outHeight, outWidth] = c.attributes['pooledShape'] as [number, number];
  const scale = c.attributes['spatialScale'] as number;
  const data = readNumbers(x);
  const out = new Float64Array(count * channels * outHeight * outWidth);
  for (let r = 0, o = 0; r < count; r++) {
    const image = rois[r * 5]!;
    if (image < 0 || image >= batch)
      c.fail(`region ${String(r)} is of image ${String(image)}, the batch has ${String(batch)}`);
    const [x0, y0, x1, y1] = [1, 2, 3, 4].map((k) => roundAway(rois[r * 5 + k]! * scale)) as [
      number,
      number,
      number,
      number,
    ];
    const binHeight = Math.max(y1 - y0 + 1, 1) / outHeight;
    const binWidth = Math.max(x1 - x0 + 1, 1) / outWidth;
    for (let channel = 0; channel < channels; channel++) {
      const base = (image * channels + channel) * height * width;
      for (let ph = 0; ph < outHeight; ph++) {
        for (let pw = 0; pw < outWidth; pw++, o++) {
          const clamp = (v: number, max: number): number => Math.min(Math.max(v, 0), max);
          const top = clamp(Math.floor(ph * binHeight) + y0, height);
          const bottom = clamp(Math.ceil((ph + 1) * binHeight) + y0, height);
          const left = clamp(Math.floor(pw * binWidth) + x0, width);
          const right = clamp(Math.ceil((pw + 1) * binWidth) + x0, width);
          let best = bottom <= top || right <= left ? 0 : -Infinity;
          for (let y = top; y < bottom; y++)
            for (let k = left; k < right; k++) best = Math.max(best, data[base + y * width + k]!);
          out[o] = best;
        }
      }
    }
  }
  return [tensorFromNumbers(x.dtype, out, [count, channels, outHeight, outWidth])];
}

export const roiOperators: readonly Operator[] = [
  /** rois [R, 4] as x1, y1, x2, y2; batchIndices [R]. */
  registerOperator({
    name: 'roiAlign',
    kind: 'opaque',
    inputs: ['x', 'rois', 'batchIndices'],
    attributes: {
      mode: 'avg',
      coordinateTransformationMode: 'half_pixel',
      outputHeight: 1,
      outputWidth: 1,
      samplingRatio: 0,
      spatialScale: 1,
    },
    infer: (c) => inferRoi(c, c.attributes['outputHeight'] as number, c.attributes['outputWidth'] as number),
    evaluate: evaluateRoiAlign,
  }),
  /** rois [R, 5] as image, x1, y1, x2, y2. */
  registerOperator({
    name: 'maxRoiPool',
    kind: 'opaque',
    inputs: ['x', 'rois'],
    attributes: { pooledShape: undefined, spatialScale: 1 },
    infer: (c) => {
      const [height, width] = c.attributes['pooledShape'] as [number, number];
      return inferRoi(c, height, width);
    },
    evaluate: evaluateMaxRoiPool,
  }),
];
