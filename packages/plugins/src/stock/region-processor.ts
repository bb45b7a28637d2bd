/** Regions of feature maps brought to one size by bilinear samples, on the processor. */

import { readNumbers, type Tensor } from '@tensorwright/core';

/** Samples along one axis: number s of result p lies at start + p · bin + (s + 0.5) · spacing. */
export interface Axis {
  readonly start: number;
  readonly bin: number;
  readonly spacing: number;
  /** Of a result. */
  readonly samples: number;
  /** Samples outside of `least` and `most` count 0. */
  readonly least: number;
  readonly most: number;
  /** Of the image. */
  readonly extent: number;
}

export interface Region {
  readonly image: number;
  readonly rows: Axis;
  readonly columns: Axis;
}

/** Pixels and weights, two for each sample, for each result along an axis. */
interface Taps {
  readonly at: Int32Array;
  readonly weights: Float64Array;
  /** Of a result. */
  readonly count: number;
}

/**
 * @param x [N, C, H, W]
 * @param regionOf undefined: its results are 0
 * @returns [count, C, ...size]
 */
export function sampleRegions(
  x: Tensor,
  size: readonly [height: number, width: number],
  isMax: boolean,
  count: number,
  regionOf: (region: number) => Region | undefined,
): Float32Array {
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const data = readNumbers(x);
  const cells = size[0] * size[1];
  const out = new Float32Array(count * channels * cells);
  for (let r = 0; r < count; r++) {
    const region = regionOf(r);
    if (!region) continue;
    const [rows, columns] = [tapsOf(region.rows, size[0]), tapsOf(region.columns, size[1])];
    const samples = region.rows.samples * region.columns.samples;
    if (samples === 0) continue;
    for (let c = 0; c < channels; c++) {
      const plane = data.subarray((region.image * channels + c) * height * width);
      for (let cell = 0; cell < cells; cell++) {
        const [row, column] = [Math.floor(cell / size[1]), cell % size[1]];
        const value = resultOf(plane, width, rows, row, columns, column, isMax);
        out[(r * channels + c) * cells + cell] = isMax ? value : value / samples;
      }
    }
  }
  return out;
}

function tapsOf(axis: Axis, results: number): Taps {
  const { start, bin, spacing, samples, least, most, extent } = axis;
  const at = new Int32Array(results * samples * 2);
  const weights = new Float64Array(at.length);
  for (let i = 0; i < results * samples; i++) {
    const position = start + Math.floor(i / samples) * bin + ((i % samples) + 0.5) * spacing;
    if (!(position >= least && position <= most)) continue;
    const inside = Math.max(position, 0);
    const low = Math.min(Math.floor(inside), extent - 1);
    const high = Math.min(low + 1, extent - 1);
    const weight = high > low ? inside - low : 0;
    at.set([low, high], 2 * i);
    weights.set([1 - weight, weight], 2 * i);
  }
  return { at, weights, count: 2 * samples };
}

/** The sum, or the largest, of weighted pixels. */
function resultOf(
  plane: Float64Array,
  width: number,
  rows: Taps,
  row: number,
  columns: Taps,
  column: number,
  isMax: boolean,
): number {
  let sum = isMax ? -Infinity : 0;
  for (let y = row * rows.count; y < (row + 1) * rows.count; y++) {
    for (let x = column * columns.count; x < (column + 1) * columns.count; x++) {
      const weight = rows.weights[y]! * columns.weights[x]!;
      const term = weight === 0 ? 0 : weight * plane[rows.at[y]! * width + columns.at[x]!]!;
      sum = isMax ? Math.max(sum, term) : sum + term;
    }
  }
  return sum;
}
