/** What a stem keeps of its image and weights in shared memory: StemLines of native/cuda/kernels/stem.cuh. */

import { type MemoryView, provablyDivisible } from '@tensorwright/core';
import { isAligned } from '../../print/views.js';
import type { Geometry } from '../contraction/conv-problem.js';

/** Words that the taps of one filter row and channel take. */
export function runWords(taps: number): number {
  return taps <= 2 ? 1 : taps <= 4 ? 2 : taps <= 8 ? 4 : 8;
}

/** Sixteen taps along the depth are one step. */
export function stepsOf(g: Geometry): number {
  return Math.ceil((g.kernel[0]! * (g.x[1] as number) * runWords(g.kernel[1]!)) / 8);
}

/** Pairs of eight columns, in whole fours of eights. */
export function columnPairs(g: Geometry): number {
  return Math.ceil((g.w[0] as number) / 32) * 2;
}

export function weightBytes(g: Geometry): number {
  return stepsOf(g) * columnPairs(g) * 32 * 16;
}

/** How pixels are loaded. */
export interface Loads {
  /** Pixels side by side. */
  readonly vector: number;
  /** Pixels before a tile's first tap. */
  readonly ahead: number;
}

const single: Loads = { vector: 1, ahead: 0 };
const vectors = [4, 2];

/** Where a block's first tap lies along x. */
export interface Begins {
  /** Of the first block, in pixels of the image; undefined where only the run knows. */
  readonly first: number | undefined;
  /** Pixels from one block to the next. */
  readonly apart: number;
}

/**
 * The widest aligned loads of an image that lies like the view.
 * @param view default: one that lets every load be aligned
 */
export function loadsOf(g: Geometry, { first, apart }: Begins, view?: MemoryView): Loads {
  const width = g.x[3]!;
  if (g.strides[1]! % 2 !== 0 || first === undefined) return single;
  for (const vector of vectors) {
    const ahead = ((first % vector) + vector) % vector;
    const hasRoom = (ahead % 2) + g.kernel[1]! <= 2 * runWords(g.kernel[1]!);
    const isDense = !view || (view.strides[3] === 1 && isAligned(view, 3, vector));
    if (apart % vector === 0 && hasRoom && isDense && provablyDivisible(width, vector)) return { vector, ahead };
  }
  return single;
}

export interface LinesShape {
  /** Rows of the image, of all channels. */
  readonly lines: number;
  /** Words that are copied of each. */
  readonly used: number;
  readonly copies: number;
  readonly bytes: number;
}

/** @param height rows of outputs; `width` their columns */
export function linesShape(height: number, width: number, g: Geometry, { vector, ahead }: Loads): LinesShape {
  const run = runWords(g.kernel[1]!);
  const [strideY, strideX] = g.strides as [number, number];
  const lines = ((height - 1) * strideY + (g.kernel[0]! - 1) * g.dilations[0]! + 1) * (g.x[1] as number);
  const together = vector === 1 ? 1 : vector / 2;
  const words = Math.floor(ahead / 2) + Math.floor(((width - 1) * strideX + 2 * run + 1) / 2);
  const used = Math.ceil(words / together) * together;
  const pitch = run >= 4 ? used : Math.floor((used + 15) / 32) * 32 + 16;
  const copies = strideX % 2 === 0 ? 1 : 2;
  return { lines, used, copies, bytes: copies * lines * pitch * 4 };
}
