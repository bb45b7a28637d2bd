/** Sliding windows over spatial dimensions: what conv, pool and col2im share. */

import { addDims, ceilDivDims, type Dim, floorDivDims, minDims, mulDims, subDims } from '../dim.js';
import type { EvaluateContext, InferContext } from '../operator.js';

export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begin of every spatial axis, then end of every one; expressions where `auto_pad` met symbolic extents. */
  readonly pads: readonly Dim[];
}

export interface KnownWindows extends Windows {
  readonly pads: readonly number[];
}

/** Extents the dilated kernel spans. */
export function kernelSpan(kernel: number, dilation: number): number {
  return (kernel - 1) * dilation + 1;
}

/** The window attributes with their defaults, checked against the number of spatial axes. */
export function windowsOf(c: InferContext, kernel: readonly number[]): Windows {
  const rank = kernel.length;
  const list = (name: string, length: number, fallback: number): readonly Dim[] => {
    const given = (c.attributes[name] as readonly Dim[] | undefined) ?? [];
    if (given.length === 0) return new Array<number>(length).fill(fallback);
    if (given.length !== length)
      c.fail(
        `${name} must have ${String(length)} elements for ${String(rank)} spatial axes, has ${String(given.length)}`,
      );
    return given;
  };
  const strides = list('strides', rank, 1) as readonly number[];
  const dilations = list('dilations', rank, 1) as readonly number[];
  for (const [name, values] of Object.entries({ kernel, strides, dilations })) {
    if (values.some((v) => !Number.isInteger(v) || v < 1))
      c.fail(`${name} must be positive integers, is [${values.join(', ')}]`);
  }
  return { kernel, strides, dilations, pads: list('pads', 2 * rank, 0) };
}

/** The same with numbers for pads, for evaluation. */
export function knownWindowsOf(c: EvaluateContext, kernel: readonly number[]): KnownWindows {
  const rank = kernel.length;
  const list = (name: string, length: number, fallback: number): number[] => {
    const given = (c.attributes[name] as readonly Dim[] | undefined) ?? [];
    return given.length === 0 ? new Array<number>(length).fill(fallback) : given.map((d) => c.dim(d));
  };
  return {
    kernel,
    strides: list('strides', rank, 1),
    dilations: list('dilations', rank, 1),
    pads: list('pads', 2 * rank, 0),
  };
}

/**
 * Number of windows along each spatial axis. With `ceil`, windows may hang over the end, but each must start
 * inside the input or the begin padding.
 */
export function windowCounts(input: readonly Dim[], w: Windows, ceil = false): Dim[] {
  return input.map((extent, i) => {
    const rank = input.length;
    const begin = addDims(extent, w.pads[i]!);
    const free = subDims(addDims(begin, w.pads[i + rank]!), kernelSpan(w.kernel[i]!, w.dilations[i]!));
    const stride = w.strides[i]!;
    if (!ceil) return addDims(floorDivDims(free, stride), 1);
    return minDims(addDims(ceilDivDims(free, stride), 1), addDims(floorDivDims(subDims(begin, 1), stride), 1));
  });
}

/** Fails when a known count is not positive: the kernel does not fit its input. */
export function checkCounts(c: InferContext, counts: readonly Dim[]): readonly Dim[] {
  counts.forEach((n, i) => {
    if (typeof n === 'number' && n < 0) c.fail(`the kernel does not fit the padded input on spatial axis ${String(i)}`);
  });
  return counts;
}

/** Total padding that makes ceil(extent / stride) windows, for `auto_pad` SAME. */
export function samePadding(extent: Dim, kernel: number, stride: number, dilation: number): Dim {
  const count = ceilDivDims(extent, stride);
  return subDims(addDims(mulDims(subDims(count, 1), stride), kernelSpan(kernel, dilation)), extent);
}
