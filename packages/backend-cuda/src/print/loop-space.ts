/** The space that elementwise kernels walk: axes merged where all operands allow it, and the width of vectors. */

import {
  type Dim,
  type DType,
  dtypeInfo,
  type Layout,
  type MemoryView,
  minDims,
  mulDims,
  productOf,
  provablyDivisible,
  provablyEqual,
  subDims,
} from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { isAligned } from './views.js';

export interface Axis {
  readonly extent: Dim;
  /** Of each operand, in elements. */
  readonly strides: readonly Dim[];
}

/** The output's dims, outermost first as the output lies, without extents of 1 and with merged neighbours. */
export function mergeAxes(views: readonly MemoryView[], layout: Layout): Axis[] {
  const { dims } = views[0]!;
  const axes: Axis[] = [];
  for (const i of physicalOrder(layout, dims.length)) {
    const extent = dims[i]!;
    if (extent === 1) continue;
    const strides = views.map((v) => v.strides[i]!);
    const outer = axes.at(-1);
    const mergeable = outer?.strides.every((s, k) => provablyEqual(s, mulDims(strides[k]!, extent)));
    if (outer && mergeable === true) axes[axes.length - 1] = { extent: mulDims(outer.extent, extent), strides };
    else axes.push({ extent, strides });
  }
  return axes.length > 0 ? axes : [{ extent: 1, strides: views.map(() => 1) }];
}

function physicalOrder(layout: Layout, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  return layout === 'channelsLast' && rank >= 3 ? [0, ...axes.slice(2), 1] : axes;
}

/** A view of fewer axes against the output's, as broadcasting reads it. */
export function broadcastView(view: MemoryView, dims: readonly Dim[]): MemoryView {
  const lead = dims.length - view.dims.length;
  const strides = dims.map((d, i) => {
    const extent = i < lead ? 1 : view.dims[i - lead]!;
    if (extent === 1) return 0;
    const stride = view.strides[i - lead]!;
    // Whether it repeats along this axis may be known at run time only: 0 for an extent of 1, else the stride.
    return provablyEqual(extent, d) ? stride : mulDims(stride, minDims(subDims(extent, 1), 1));
  });
  return { offset: view.offset, dims, strides };
}

const vectorBytes = 16;

/** Elements that one thread can load and store at once along the innermost axis: 1, 2, 4, 8 or 16. */
export function vectorWidth(axes: readonly Axis[], views: readonly MemoryView[], dtypes: readonly DType[]): number {
  const inner = axes.at(-1)!;
  const widest = Math.max(...dtypes.map((d) => dtypeInfo(d).bits / 8));
  let width = vectorBytes / widest;
  const fits = (w: number): boolean =>
    provablyDivisible(inner.extent, w) &&
    views.every((view, k) => {
      const stride = inner.strides[k]!;
      if (stride === 0) return true;
      const merged = { ...view, dims: axes.map((a) => a.extent), strides: axes.map((a) => a.strides[k]!) };
      return stride === 1 && isAligned(merged, axes.length - 1, w);
    });
  if (inner.strides[0] !== 1) return 1;
  while (width > 1 && !fits(width)) width /= 2;
  return width;
}

/** Statements that turn the linear index `i` (of vectors) into coordinates c0, c1 …; the last one counts elements. */
export function printCoordinates(axes: readonly Axis[], width: number, type: string, args: Arguments): string {
  const lines: string[] = [];
  let rest = 'i';
  for (let k = axes.length - 1; k > 0; k--) {
    const { extent } = axes[k]!;
    const steps = k === axes.length - 1 && width > 1 ? `(${args.dim(extent)} / ${String(width)})` : args.dim(extent);
    const scale = k === axes.length - 1 && width > 1 ? ` * ${String(width)}` : '';
    lines.push(`const ${type} r${String(k)} = ${rest} / ${steps};`);
    lines.push(`const ${type} c${String(k)} = (${rest} - r${String(k)} * ${steps})${scale};`);
    rest = `r${String(k)}`;
  }
  lines.push(`const ${type} c0 = ${rest}${axes.length === 1 && width > 1 ? ` * ${String(width)}` : ''};`);
  return lines.join('\n  ');
}

/** The offset of operand k at the coordinates. */
export function printOffset(axes: readonly Axis[], operand: number, args: Arguments): string {
  const terms = axes.flatMap(({ strides }, k) => {
    const stride = strides[operand]!;
    if (stride === 0) return [];
    return [stride === 1 ? `c${String(k)}` : `c${String(k)} * ${args.dim(stride)}`];
  });
  return terms.length === 0 ? '0' : terms.join(' + ');
}

export function elementsOf(axes: readonly Axis[]): Dim {
  return productOf(axes.map((a) => a.extent));
}
