/** Views as C++ index arithmetic. */

import { dimBounds, type MemoryView, mulDims, productOf, provablyDivisible } from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';

/**
 * The offset in elements of the element at these coordinates, from the pointer that a step gets (which is at the view's
 * own offset already). Coordinates are C++ expressions, one for each axis; '0' leaves an axis out.
 */
export function index(view: MemoryView, coordinates: readonly string[], args: Arguments): string {
  const terms: string[] = [];
  view.dims.forEach((extent, axis) => {
    const at = coordinates[axis]!;
    const stride = view.strides[axis]!;
    if (extent === 1 || stride === 0 || at === '0') return;
    terms.push(stride === 1 ? at : `${at} * ${args.dim(stride)}`);
  });
  return terms.length === 0 ? '0' : terms.join(' + ');
}

/** 'i32' where offsets of all elements fit, else 'i64'. */
export function indexType(...views: readonly (MemoryView | undefined)[]): 'i32' | 'i64' {
  const fits = views.every((view) => {
    if (!view) return true;
    let span = dimBounds(productOf(view.dims)).max;
    view.dims.forEach((d, i) => (span = Math.max(span, dimBounds(mulDims(d, view.strides[i]!)).max)));
    return span < 2 ** 31 - 1;
  });
  return fits ? 'i32' : 'i64';
}

/** Whether vectors of `width` elements along the dense axis `axis` are aligned, wherever they begin. */
export function isAligned(view: MemoryView, axis: number, width: number): boolean {
  return (
    provablyDivisible(view.offset, width) &&
    view.strides.every((s, i) => i === axis || view.dims[i] === 1 || provablyDivisible(s, width))
  );
}
