/** Convolutions as cuDNN's graphs say them (native/src/cuda/convolution_graph.h). */

import type { DType } from './plan.js';

/** A tensor as cuDNN sees it: dims in the order N, C, pixels (filters: K, C, taps), and how it lies. */
export interface CudnnTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  /** What the address of its first element is a multiple of, in bytes. */
  readonly alignment: number;
}

/** One map after a convolution. Operands: 0 is the sum, i > 0 what map i - 1 gives, -1 - i side i, then the scalars. */
export interface CudnnMap {
  readonly name: string;
  readonly left: number;
  /** Of maps of two operands. */
  readonly right?: number;
}

/** A convolution with the maps that follow it. The last map gives the result; without any, the sum is the result. */
export interface CudnnConvolution {
  readonly image: CudnnTensor;
  readonly filters: CudnnTensor;
  readonly result: CudnnTensor;
  /** What maps read besides: extents of 1 are stretched over the result's. */
  readonly sides: readonly CudnnTensor[];
  readonly scalars: readonly number[];
  readonly padsBefore: readonly number[];
  readonly padsAfter: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly maps: readonly CudnnMap[];
  /** Whether float32 operands may be rounded to TensorFloat-32. */
  readonly tf32: boolean;
}

/** One of cuDNN's kernels, and what it leaves open: type, value, type, value … Means something to one version alone. */
export interface CudnnConfiguration {
  readonly engine: number;
  readonly knobs: readonly number[];
}
