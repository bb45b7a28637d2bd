/**
 * Tensor maps: how the tensor memory accelerator of compute capability 9.0 sees an operand (CUDA driver API,
 * cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col). The runtime encodes them when shapes and addresses are known.
 */

import { type Dim, dimBounds } from '@tensorwright/core';
import type { Source } from './arguments.js';

export const tensorMapBytes = 128;
/** Bytes of which addresses and strides are multiples. */
export const tensorMapAlignment = 16;

const largestExtent = 2 ** 31 - 1;

/** Whether an axis can have the extent: it is not empty, and coordinates are 32-bit integers. */
export function isMapExtent(d: Dim): boolean {
  const { min, max } = dimBounds(d);
  return min >= 1 && max <= largestExtent;
}

export interface TensorMap {
  readonly operand: Source;
  /** Element size in bytes: 1, 2 or 4. Elements are moved, never interpreted. */
  readonly elementBytes: number;
  /** Extents, innermost first; the innermost axis is dense. */
  readonly dims: readonly Dim[];
  /** Strides of axes 1 and up, in bytes, multiples of 16. */
  readonly strides: readonly Dim[];
  /** Extents of a load, innermost first; for im2col: [channels, pixels]. */
  readonly box: readonly number[];
  /** Bytes of the swizzle pattern: 0, 32, 64 or 128. */
  readonly swizzle: 0 | 32 | 64 | 128;
  /** Element strides, for im2col and strided boxes. Default: all 1. */
  readonly elementStrides?: readonly number[];
  /** Present: an im2col map with these corners of the base pixels' bounding box, innermost spatial axis first. */
  readonly corners?: { readonly lower: readonly number[]; readonly upper: readonly number[] };
}
