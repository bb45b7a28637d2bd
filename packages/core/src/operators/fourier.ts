/** dft, stft, melWeightMatrix: complex numbers are pairs in a last dimension of 2; real input may have 1. */

import { addDims, type Dim, floorDivDims, mulDims, subDims } from '../dim.js';
import type { DType } from '../dtype.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { axisOf, wrapIndex } from './gather.js';

/** The transform of n complex numbers, unscaled; even lengths split in two. */
function transform(re: Float64Array, im: Float64Array, sign: number): [re: Float64Array, im: Float64Array] {
  const n = re.length;
  const outRe = new Float64Array(n);
  const outIm = new Float64Array(n);
  if (n === 0) return [outRe, outIm];
  if (n % 2 === 0) {
    const half = n / 2;
    const pick = (from: Float64Array, odd: number): Float64Array =>
      Float64Array.from({ length: half }, (_, i) => from[2 * i + odd]!);
    const [evenRe, evenIm] = transform(pick(re, 0), pick(im, 0), sign);
    const [oddRe, oddIm] = transform(pick(re, 1), pick(im, 1), sign);
    for (let k = 0; k < half; k++) {
      const angle = (sign * 2 * Math.PI * k) / n;
      const c = Math.cos(angle);
      const s = Math.sin(angle);
      const tRe = c * oddRe[k]! - s * oddIm[k]!;
      const tIm = c * oddIm[k]! + s * oddRe[k]!;
      outRe[k] = evenRe[k]! + tRe;
      outIm[k] = evenIm[k]! + tIm;
      outRe[k + half] = evenRe[k]! - tRe;
      outIm[k + half] = evenIm[k]! - tIm;
    }
    return [outRe, outIm];
  }
  const cos = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * i) / n));
  const sin = Float64Array.from({ length: n }, (_, i) => sign * Math.sin((2 * Math.PI * i) / n));
  for (let k = 0; k < n; k++) {
    for (let i = 0; i < n; i++) {
      const at = (k * i) % n;
      outRe[k] = outRe[k]! + re[i]! * cos[at]! - im[i]! * sin[at]!;
      outIm[k] = outIm[k]! + re[i]! * sin[at]! + im[i]! * cos[at]!;
    }
  }
  return [outRe, outIm];
}

function oneSided(length: Dim): Dim {
  return addDims(floorDivDims(length, 2), 1);
}

function inferDft(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype, dims } = c.tensor(0);
  if (dims === undefined) return [tensorType(dtype, undefined)];
  if (c.has(2))
    return [
      tensorType(
        dtype,
        dims.map((_, i) => c.fresh(`spectrum${String(i)}`)),
      ),
    ];
  const axis = axisOf(c, dims.length);
  if (axis === dims.length - 1) c.fail('the last axis holds real and imaginary parts');
  const inverse = c.attributes['inverse'] as boolean;
  const oneside = c.attributes['onesided'] as boolean;
  const full = inverse && oneside ? mulDims(subDims(dims[axis]!, 1), 2) : dims[axis]!;
  const length = c.has(1) ? c.fact(1)?.[0] : full;
  const out = [...dims];
  // An extent that values decide is a symbol of its own, whatever it is computed from.
  out[axis] = length === undefined ? c.fresh('bins') : oneside && !inverse ? oneSided(length) : length;
  out[dims.length - 1] = oneside && inverse ? 1 : 2;
  return [tensorType(dtype, out)];
}

function dftAxis(c: EvaluateContext, rank: number): number {
  if (!c.has(2)) return axisOf(c, rank);
  const [axis = 0] = c.integers(2);
  return wrapIndex(axis, rank, (m) => c.fail(m));
}

function evaluateDft(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const axis = dftAxis(c, x.dims.length);
  const inverse = c.attributes['inverse'] as boolean;
  const oneside = c.attributes['onesided'] as boolean;
  const extent = x.dims[axis]!;
  const parts = x.dims.at(-1)!;
  const length = c.has(1) ? c.integers(1)[0]! : inverse && oneside ? 2 * (extent - 1) : extent;
  const outExtent = oneside && !inverse ? Math.floor(length / 2) + 1 : length;
  const outParts = oneside && inverse ? 1 : 2;
  const outer = elementCount(x.dims.slice(0, axis));
  const inner = elementCount(x.dims.slice(axis + 1, -1));
  const values = readNumbers(x);
  const out = new Float64Array(outer * outExtent * inner * outParts);
  // A one-sided spectrum stands for its mirror image as well.
  const given = oneside && inverse ? Math.min(extent, Math.floor(length / 2) + 1) : Math.min(extent, length);
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      const re = new Float64Array(length);
      const im = new Float64Array(length);
      for (let i = 0; i < given; i++) {
        const at = ((o * extent + i) * inner + k) * parts;
        re[i] = values[at]!;
        im[i] = parts === 2 ? values[at + 1]! : 0;
        if (oneside && inverse && i > 0 && length - i !== i) {
          re[length - i] = re[i]!;
          im[length - i] = -im[i]!;
        }
      }
      const [outRe, outIm] = transform(re, im, inverse ? 1 : -1);
      const factor = inverse ? 1 / length : 1;
      for (let i = 0; i < outExtent; i++) {
        const at = ((o * outExtent + i) * inner + k) * outParts;
        out[at] = outRe[i]! * factor;
        if (outParts === 2) out[at + 1] = outIm[i]! * factor;
      }
    }
  }
  const dims = x.dims.map((d, i) => (i === axis ? outExtent : i === x.dims.length - 1 ? outParts : d));
  return [tensorFromNumbers(x.dtype, out, dims)];
}

function inferStft(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype } = c.tensor(0);
  const signal = c.dims(0);
  if (signal.length !== 3) c.fail('the signal must have rank 3: batch, length, 1 or 2');
  const step = c.fact(1)?.[0];
  const frame = c.has(2) ? c.dims(2)[0]! : c.has(3) ? c.fact(3)?.[0] : signal[1]!;
  const frames =
    step === undefined || frame === undefined
      ? c.fresh('frames')
      : addDims(floorDivDims(subDims(signal[1]!, frame), step), 1);
  const bins = frame === undefined ? c.fresh('bins') : c.attributes['onesided'] === true ? oneSided(frame) : frame;
  return [tensorType(dtype, [signal[0]!, frames, bins, 2])];
}

function evaluateStft(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const [batch, extent, parts] = x.dims as [number, number, number];
  const step = c.integers(1)[0]!;
  const window = c.has(2) ? readNumbers(c.tensor(2)) : undefined;
  const frame = window?.length ?? (c.has(3) ? c.integers(3)[0]! : extent);
  if (step < 1) c.fail(`frame_step must be positive, is ${String(step)}`);
  const frames = Math.max(0, Math.floor((extent - frame) / step) + 1);
  const bins = c.attributes['onesided'] === true ? Math.floor(frame / 2) + 1 : frame;
  const values = readNumbers(x);
  const out = new Float64Array(batch * frames * bins * 2);
  for (let b = 0; b < batch; b++) {
    for (let f = 0; f < frames; f++) {
      const part = (k: number): Float64Array =>
        Float64Array.from({ length: frame }, (_, i) =>
          k < parts ? values[(b * extent + f * step + i) * parts + k]! * (window?.[i] ?? 1) : 0,
        );
      const [re, im] = transform(part(0), part(1), -1);
      for (let i = 0; i < bins; i++) out.set([re[i]!, im[i]!], ((b * frames + f) * bins + i) * 2);
    }
  }
  return [tensorFromNumbers(x.dtype, out, [batch, frames, bins, 2])];
}

function evaluateMelWeightMatrix(c: EvaluateContext): Tensor[] {
  const number = (i: number): number => readNumbers(c.tensor(i))[0]!;
  const [bands, length, rate, low, high] = [0, 1, 2, 3, 4].map(number) as [number, number, number, number, number];
  const bins = Math.floor(length / 2) + 1;
  const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
  const step = (mel(high) - mel(low)) / (bands + 2);
  const points = Array.from({ length: bands + 2 }, (_, i) => {
    const hertz = 700 * (10 ** ((i * step + mel(low)) / 2595) - 1);
    return Math.floor(((length + 1) * hertz) / rate);
  });
  const out = new Float64Array(bins * bands);
  const put = (bin: number, band: number, value: number): void => {
    if (bin >= 0 && bin < bins) out[bin * bands + band] = value;
  };
  for (let band = 0; band < bands; band++) {
    const [left, centre, right] = points.slice(band, band + 3) as [number, number, number];
    if (left === centre) put(centre, band, 1);
    for (let bin = left; bin <= centre && left !== centre; bin++) put(bin, band, (bin - left) / (centre - left));
    for (let bin = centre; bin < right; bin++) put(bin, band, (right - bin) / (right - centre));
  }
  return [tensorFromNumbers(c.attributes['dtype'] as DType, out, [bins, bands])];
}

export const fourierOperators: readonly Operator[] = [
  /** The axis is an attribute, or an input where only the run tells it. */
  registerOperator({
    name: 'dft',
    kind: 'opaque',
    inputs: ['x', 'dftLength?', 'axis?'],
    attributes: { axis: -2, inverse: false, onesided: false },
    infer: inferDft,
    evaluate: evaluateDft,
  }),
  registerOperator({
    name: 'stft',
    kind: 'opaque',
    inputs: ['signal', 'frameStep', 'window?', 'frameLength?'],
    attributes: { onesided: true },
    infer: inferStft,
    evaluate: evaluateStft,
  }),
  registerOperator({
    name: 'melWeightMatrix',
    kind: 'opaque',
    inputs: ['numMelBins', 'dftLength', 'sampleRate', 'lowerEdgeHertz', 'upperEdgeHertz'],
    attributes: { dtype: 'float32' },
    infer: (c) => {
      const length = c.fact(1)?.[0];
      const bins = length === undefined ? c.fresh('spectrogramBins') : oneSided(length);
      return [tensorType(c.attributes['dtype'] as DType, [bins, c.fact(0)?.[0] ?? c.fresh('melBins')])];
    },
    evaluate: evaluateMelWeightMatrix,
  }),
];
