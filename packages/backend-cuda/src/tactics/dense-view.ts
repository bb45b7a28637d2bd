/** How a value lies where nothing else is known: dense, in the order that tactics ask for. */

import { type Dim, type MemoryView, mulDims, provablyEqual } from '@tensorwright/core';

/** @param channelsLast axis 1 innermost, where there are at least three axes; else row-major */
export function denseView(dims: readonly Dim[], channelsLast = false): MemoryView {
  const axes = dims.map((_, i) => i);
  const innerFirst = channelsLast && dims.length > 2 ? [1, ...axes.slice(2).reverse(), 0] : axes.reverse();
  const strides: Dim[] = [];
  let stride: Dim = 1;
  for (const axis of innerFirst) {
    strides[axis] = stride;
    stride = mulDims(stride, dims[axis]!);
  }
  return { offset: 0, dims, strides };
}

/** Whether values surely lie one after the other in that order; the offset does not matter. */
export function isDense({ dims, strides }: Pick<MemoryView, 'dims' | 'strides'>, channelsLast = false): boolean {
  const dense = denseView(dims, channelsLast);
  return dims.every((d, i) => d === 1 || provablyEqual(strides[i]!, dense.strides[i]!));
}
