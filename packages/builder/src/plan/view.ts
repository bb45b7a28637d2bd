/** Strided views over symbolic extents: how movement operators become operands instead of copies. Strides in elements. */

import {
  addDims,
  type Attributes,
  type Dim,
  exactQuotient,
  type Layout,
  maxDims,
  type MemoryView,
  minDims,
  mulDims,
  provablyEqual,
  subDims,
} from '@tensorwright/core';

export type View = MemoryView;

/** Physical order of the axes, outermost first. */
export function axisOrder(layout: Layout, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  if (rank < 3 || layout === 'rows') return axes;
  return layout === 'channelsLast' ? [0, ...axes.slice(2), 1] : [0, 2, 1, ...axes.slice(3)];
}

/** The whole of a dense tensor stored in this axis order. */
export function denseView(dims: readonly Dim[], order: readonly number[]): View {
  const strides = new Array<Dim>(dims.length).fill(1);
  let stride: Dim = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    const axis = order[i]!;
    strides[axis] = stride;
    stride = mulDims(stride, dims[axis]!);
  }
  return { offset: 0, dims, strides };
}

/** True when the view's elements are dense in this axis order. Extents of 1 may have any stride. */
export function isDense(view: View, order: readonly number[]): boolean {
  let stride: Dim = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    const axis = order[i]!;
    const extent = view.dims[axis]!;
    if (extent !== 1 && !provablyEqual(view.strides[axis]!, stride)) return false;
    stride = mulDims(stride, extent);
  }
  return true;
}

/** Movements that strides can express, on most inputs. */
export const viewMovements: ReadonlySet<string> = new Set(['reshape', 'transpose', 'expand', 'slice']);

/** The view a movement operator makes of its input's view, or undefined when only a copy can do it. */
export function moveView(op: string, attributes: Attributes, view: View, outDims: readonly Dim[]): View | undefined {
  switch (op) {
    case 'reshape':
      return reshapeView(view, outDims);
    case 'transpose': {
      const perm = attributes['perm'] as readonly number[];
      return { offset: view.offset, dims: outDims, strides: perm.map((p) => view.strides[p]!) };
    }
    case 'expand': {
      const lead = outDims.length - view.dims.length;
      const strides = outDims.map((d, i) => {
        const extent = view.dims[i - lead];
        if (i < lead || extent === undefined) return 0;
        const stride = view.strides[i - lead]!;
        return provablyEqual(extent, d) ? stride : mulDims(stride, isMany(extent));
      });
      return { offset: view.offset, dims: outDims, strides };
    }
    case 'slice': {
      const starts = attributes['starts'] as readonly Dim[];
      const steps = attributes['steps'] as readonly Dim[];
      let offset = view.offset;
      starts.forEach((s, i) => (offset = addDims(offset, mulDims(s, view.strides[i]!))));
      return { offset, dims: outDims, strides: view.strides.map((s, i) => mulDims(s, steps[i]!)) };
    }
    default:
      return undefined;
  }
}

/** 0 of extents 0 and 1, 1 of others: where only the run knows whether an axis is repeated. */
function isMany(extent: Dim): Dim {
  return subDims(maxDims(1, minDims(extent, 2)), 1);
}

/** Splits and merges of axes that strides can express. */
function reshapeView(view: View, outDims: readonly Dim[]): View | undefined {
  // Dense elements are dense under any extents, also where their products cannot be compared.
  if (isDense(view, axisOrder('rows', view.dims.length)))
    return { ...denseView(outDims, axisOrder('rows', outDims.length)), offset: view.offset };
  const from = view.dims.map((d, i) => ({ extent: d, stride: view.strides[i]! })).filter((a) => a.extent !== 1);
  const strides: Dim[] = [];
  let at = 0;
  let i = 0;
  while (i < outDims.length) {
    if (outDims[i] === 1) {
      strides.push(0);
      i++;
      continue;
    }
    // Match the smallest run of output axes with the smallest run of input axes of the same product.
    const outStart = i;
    const inStart = at;
    let outProduct = outDims[i++]!;
    const first = from[at++];
    if (!first) return undefined;
    let inProduct: Dim = first.extent;
    while (!provablyEqual(outProduct, inProduct)) {
      const ratio = exactQuotient(outProduct, inProduct);
      const next = from[at];
      if (ratio !== undefined && next) {
        inProduct = mulDims(inProduct, next.extent);
        at++;
      } else if (i < outDims.length) {
        outProduct = mulDims(outProduct, outDims[i++]!);
      } else if (next) {
        inProduct = mulDims(inProduct, next.extent);
        at++;
      } else {
        return undefined;
      }
    }
    for (let k = inStart; k < at - 1; k++) {
      const a = from[k]!;
      const b = from[k + 1]!;
      if (!provablyEqual(a.stride, mulDims(b.stride, b.extent))) return undefined;
    }
    let stride = from[at - 1]!.stride;
    const run: Dim[] = [];
    for (let k = i - 1; k >= outStart; k--) {
      run.unshift(stride);
      stride = mulDims(stride, outDims[k]!);
    }
    strides.push(...run);
  }
  return at === from.length ? { offset: view.offset, dims: outDims, strides } : undefined;
}

/** The view with leading axes of extent 1 up to `rank`. */
export function padRank(view: View, rank: number): View {
  const lead = rank - view.dims.length;
  if (lead <= 0) return view;
  return {
    offset: view.offset,
    dims: [...new Array<Dim>(lead).fill(1), ...view.dims],
    strides: [...new Array<Dim>(lead).fill(0), ...view.strides],
  };
}

/** Where element 0 of axis `axis` at position `start` of a whole view lies: the slot of one operand of a concat. */
export function slotView(whole: View, axis: number, start: Dim, extent: Dim): View {
  return {
    offset: addDims(whole.offset, mulDims(start, whole.strides[axis]!)),
    dims: whole.dims.map((d, i) => (i === axis ? extent : d)),
    strides: whole.strides,
  };
}
