/** How a block of a mobile network is cut into blocks of threads, and how those lay out their shared memory. */

import { dimBounds } from '@tensorwright/core';
import type { ResidualProblem } from './problem.js';

export interface ResidualShape {
  /** Output pixels of a tile. */
  readonly tileY: number;
  readonly tileX: number;
  readonly warps: number;
  /** Warps that share the rows of the projection; the others share its columns. */
  readonly warpsDown: number;
  /** Fragments of 16 pixels and of eight channels that a warp expands at once. */
  readonly rows: number;
  readonly columns: number;
  /** Neighbours along x that a thread filters. */
  readonly run: number;
  /** Expanded channels that are computed at once. */
  readonly chunk: number;
  /** Chunks whose weights are held or on their way. */
  readonly stages: number;
  /** Blocks of a cluster that share a tile's chunks. */
  readonly splits: number;
}

/** In bytes but for counts: ResidualTile of native/cuda/kernels/inverted_residual.cuh. */
export interface Layout {
  readonly chunks: number;
  /** Input pixels that a tile meets at most, of those that exist. */
  readonly pixels: number;
  readonly depth: number;
  readonly depthPitch: number;
  readonly chunkPitch: number;
  readonly projectAt: number;
  readonly tapsAt: number;
  readonly biasesAt: number;
  readonly weightBytes: number;
  readonly sharedBytes: number;
  /** Fragments of the projection's sums that a warp holds. */
  readonly down: number;
  readonly across: number;
}

const fragment = 16;
const vector = 8;
const floatBytes = 4;
const halfBytes = 2;
const copyBytes = 16;

const ceilTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;
const oddPitch = (elements: number): number => ((elements / vector) | 1) * copyBytes;

/** The part of an image that a tile's windows cover: all of it, and what of it can exist. */
function haloOf({ filter }: ResidualProblem, shape: ResidualShape): { extents: number[]; pixels: number } {
  const { kernel, strides, dilations, x } = filter.geometry;
  const extents = [shape.tileY, shape.tileX].map(
    (tile, i) => (tile - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1,
  );
  const met = extents.map((n, i) => Math.min(n, Math.max(1, dimBounds(x[2 + i]!).max)));
  return { extents, pixels: met[0]! * met[1]! };
}

export function layoutOf(problem: ResidualProblem, shape: ResidualShape): Layout {
  const { expand, filter, project, inputs, expanded, outputs } = problem;
  const { tileY, tileX, warps, warpsDown, rows, chunk, stages } = shape;
  const { extents, pixels } = haloOf(problem, shape);
  const { kernel } = filter.geometry;
  const depth = ceilTo(inputs, fragment);
  const down = Math.ceil(Math.ceil((tileY * tileX) / fragment) / warpsDown);
  const across = project ? Math.ceil(Math.ceil(outputs / vector) / (warps / warpsDown)) : 0;
  const columns = across * (warps / warpsDown) * vector;
  const depthPitch = oddPitch(depth);
  const chunkPitch = oddPitch(chunk);
  const projectAt = expand ? chunk * depthPitch : 0;
  const tapsAt = projectAt + columns * chunkPitch;
  const biasesAt = tapsAt + kernel[0]! * kernel[1]! * chunk * floatBytes;
  const weightBytes = biasesAt + 2 * chunk * floatBytes;
  const imageBytes = extents[0]! * extents[1]! * chunkPitch;
  const inputRows = expand ? ceilTo(pixels, fragment * rows) : 0;
  const working =
    ceilTo(inputRows * halfBytes, copyBytes) +
    inputRows * depthPitch +
    (expand ? imageBytes : 0) +
    down * warpsDown * fragment * chunkPitch +
    stages * (weightBytes + (expand ? 0 : imageBytes));
  const sums = project ? tileY * tileX * (ceilTo(columns, 32) + vector) * floatBytes : 0;
  return {
    ...{
      chunks: Math.ceil(expanded / chunk),
      pixels,
      depth,
      depthPitch,
      chunkPitch,
      projectAt,
      tapsAt,
      biasesAt,
    },
    ...{ weightBytes, sharedBytes: Math.max(working, sums), down, across },
  };
}

/** Blocks that the registers of a multiprocessor hold: the sums of the projection stay in them. */
export function residentByRegisters(shape: ResidualShape, { down, across }: Layout): number {
  const sums = (down * across + shape.rows * shape.columns) * 4;
  const warpsHeld = sums <= 24 ? 24 : sums <= 72 ? 16 : 8;
  return Math.max(1, Math.floor(warpsHeld / shape.warps));
}
