/** Where resize reads along one axis, and with which weights. */

import type { Attributes } from '../graph.js';

export interface AxisSampling {
  /** Output extent. */
  readonly extent: number;
  /** Input elements read per output element. */
  readonly taps: number;
  /** extent × taps, clamped to the input. */
  readonly indices: Int32Array;
  readonly weights: Float64Array;
  /** 1 where the extrapolation value stands instead (tf_crop_and_resize). */
  readonly outside: Uint8Array | undefined;
}

/** @param scale output extent / input extent before rounding; @param roi begin and end in units of the input. */
export function sampleAxis(
  attributes: Attributes,
  input: number,
  extent: number,
  scale: number,
  roi: readonly [number, number],
): AxisSampling {
  const coordinates = attributes['coordinateTransformationMode'] as string;
  const crop = coordinates === 'tf_crop_and_resize';
  const outside = crop ? new Uint8Array(extent) : undefined;
  const mode = attributes['mode'] as string;
  const taps = mode === 'nearest' ? 1 : tapsOf(mode, scale, attributes['antialias'] as boolean);
  const indices = new Int32Array(extent * taps);
  const weights = new Float64Array(extent * taps);
  const clamp = (i: number): number => Math.min(Math.max(i, 0), input - 1);
  for (let i = 0; i < extent; i++) {
    const x = originalCoordinate(coordinates, i, input, extent, scale, roi);
    if (outside && (x < 0 || x > input - 1)) outside[i] = 1;
    if (mode === 'nearest') {
      indices[i] = clamp(nearest(x, attributes['nearestMode'] as string));
      weights[i] = 1;
      continue;
    }
    const { first, coefficients } = kernelAt(x, taps, scale, attributes);
    if (attributes['excludeOutside'] === true) excludeOutside(coefficients, first, input);
    coefficients.forEach((w, t) => {
      indices[i * taps + t] = clamp(first + t);
      weights[i * taps + t] = w;
    });
  }
  return { extent, taps, indices, weights, outside };
}

function originalCoordinate(
  mode: string,
  i: number,
  input: number,
  extent: number,
  scale: number,
  roi: readonly [number, number],
): number {
  const width = scale * input;
  switch (mode) {
    case 'align_corners':
      return width === 1 ? 0 : (i * (input - 1)) / (width - 1);
    case 'asymmetric':
      return i / scale;
    case 'tf_crop_and_resize': {
      const begin = roi[0] * (input - 1);
      return width === 1
        ? begin + ((roi[1] - roi[0]) * (input - 1)) / 2
        : begin + (i * (roi[1] - roi[0]) * (input - 1)) / (width - 1);
    }
    case 'pytorch_half_pixel':
      return width > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case 'half_pixel_symmetric':
      return (input / 2) * (1 - extent / width) + (i + 0.5) / scale - 0.5;
    // half_pixel, and tf_half_pixel_for_nn, which opset 11 had besides.
    default:
      return mode === 'tf_half_pixel_for_nn' ? (i + 0.5) / scale : (i + 0.5) / scale - 0.5;
  }
}

function nearest(x: number, mode: string): number {
  switch (mode) {
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    default:
      return Math.ceil(x - 0.5);
  }
}

function tapsOf(mode: string, scale: number, antialias: boolean): number {
  const reach = mode === 'cubic' ? 2 : 1;
  if (!antialias || scale >= 1) return 2 * reach;
  return 2 - 2 * Math.floor(-reach / scale + 1);
}

/** Weights of consecutive input elements from `first` on; the kernel's centre is x. */
function kernelAt(
  x: number,
  taps: number,
  scale: number,
  attributes: Attributes,
): { first: number; coefficients: number[] } {
  const whole = Number.isInteger(x);
  // ONNX counts a whole coordinate as one step right of its left neighbour.
  const left = whole ? x - 1 : Math.floor(x);
  const ratio = x - left;
  const first = left - taps / 2 + 1;
  const cubic = attributes['mode'] === 'cubic';
  const a = attributes['cubicCoeffA'] as number;
  const stretch = attributes['antialias'] === true ? Math.min(scale, 1) : 1;
  const coefficients: number[] = [];
  for (let t = 0; t < taps; t++) {
    const distance = Math.abs((t - taps / 2 + 1 - ratio) * stretch);
    coefficients.push(cubic ? cubicKernel(distance, a) : Math.max(0, 1 - distance));
  }
  if (stretch < 1) {
    const sum = coefficients.reduce((s, w) => s + w, 0);
    for (let t = 0; t < taps; t++) coefficients[t] = coefficients[t]! / sum;
  }
  return { first, coefficients };
}

/** The cubic convolution kernel of Keys with parameter a. */
export function cubicKernel(distance: number, a: number): number {
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
  return 0;
}

function excludeOutside(coefficients: number[], first: number, input: number): void {
  let sum = 0;
  coefficients.forEach((w, t) => {
    if (first + t < 0 || first + t >= input) coefficients[t] = 0;
    else sum += w;
  });
  if (sum !== 0) coefficients.forEach((w, t) => (coefficients[t] = w / sum));
}
