/** Transpose, Slice, Concat, Split, Tile, Pad, DepthToSpace, SpaceToDepth, CenterCropPad: elements that only move. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  exactQuotient,
  floorDivDims,
  inferFacts,
  maxDims,
  minDims,
  mulDims,
  padsOf,
  provablyLessOrEqual,
  subDims,
  Tensor,
  type Value,
} from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { reshaped } from './shape.js';

export function transposed(c: ImportContext, x: Value, perm: readonly number[]): Value {
  return perm.every((p, i) => p === i) ? x : c.op('transpose', [x], { perm });
}

function transpose(c: ImportContext): Value {
  const x = c.input(0);
  const rank = c.rank(x);
  const perm = c.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (perm.length !== rank) c.fail(`perm [${perm.join(', ')}] does not fit rank ${rank}`);
  return c.op('transpose', [x], { perm });
}

interface AxisSlice {
  readonly axis: number;
  readonly start: Dim;
  readonly size: Dim;
  readonly step: number;
}

/** x[…, start : start + size·step : step, …] along some axes. */
export function sliced(c: ImportContext, x: Value, slices: readonly AxisSlice[]): Value {
  const dims = c.dimsOf(x);
  const starts: Dim[] = dims.map(() => 0);
  const sizes: Dim[] = [...dims];
  const steps: Dim[] = dims.map(() => 1);
  for (const s of slices) {
    starts[s.axis] = s.start;
    sizes[s.axis] = s.size;
    steps[s.axis] = s.step;
  }
  return c.op('slice', [x], { starts, sizes, steps });
}

/**
 * Slice bounds as dims. "To the end" is written as the largest integer, which is no exact fact: such values
 * saturate here, where anything beyond every extent means the same.
 */
function boundsOf(c: ImportContext, v: Value): readonly Dim[] | undefined {
  const fact = inferFacts(v);
  if (fact) return fact;
  if (v.node.op === 'concat') {
    const parts = v.node.inputs.map((p) => p && boundsOf(c, p));
    return parts.every((p) => p !== undefined) ? parts.flat() : undefined;
  }
  if (v.node.op === 'reshape' || v.node.op === 'cast') return boundsOf(c, v.node.inputs[0]!);
  const constant = c.constantOf(v);
  if (!constant || constant.dtype === 'string' || constant.size > 256) return undefined;
  const limit = 2 ** 52;
  return Array.from(constant.data as ArrayLike<number | bigint>, (e) => Math.max(-limit, Math.min(limit, Number(e))));
}

/** One axis of numpy's slicing on dims; undefined when the sign of a bound is unknown. */
function axisSlice(axis: number, start: Dim, end: Dim, step: number, extent: Dim): AxisSlice | undefined {
  const from = fromFront(start, extent);
  const to = fromFront(end, extent);
  if (from === undefined || to === undefined) return undefined;
  if (step > 0) {
    // A start past the end needs no clamp: the size is 0 then.
    const first = maxDims(from, 0);
    const last = minDims(to, extent);
    return { axis, start: first, size: maxDims(0, ceilDivDims(subDims(last, first), step)), step };
  }
  const first = minDims(from, subDims(extent, 1));
  const last = maxDims(to, -1);
  return { axis, start: first, size: maxDims(0, ceilDivDims(subDims(first, last), -step)), step };
}

function fromFront(index: Dim, extent: Dim): Dim | undefined {
  const { min, max } = dimBounds(index);
  if (min >= 0) return index;
  return max < 0 ? addDims(index, extent) : undefined;
}

function slice(c: ImportContext): Value {
  const x = c.input(0);
  const attributes = { starts: c.ints('starts'), ends: c.ints('ends'), axes: c.ints('axes') };
  const at = (name: 'starts' | 'ends' | 'axes', i: number): readonly Dim[] | undefined =>
    attributes[name] ?? (c.has(i) ? boundsOf(c, c.input(i)) : undefined);
  const { dims } = c.type(x);
  const starts = at('starts', 1);
  const ends = at('ends', 2);
  const count = starts?.length ?? 0;
  const axes = at('axes', 3) ?? (c.has(3) ? undefined : Array.from({ length: count }, (_, i) => i));
  const steps = c.has(4) ? boundsOf(c, c.input(4)) : Array.from({ length: count }, () => 1);
  if (
    dims &&
    starts &&
    ends &&
    axes?.every((a) => typeof a === 'number') &&
    steps?.every((s) => typeof s === 'number')
  ) {
    if (ends.length !== count || axes.length !== count || steps.length !== count)
      c.fail('starts, ends, axes and steps must have the same length');
    const seen = new Set<number>();
    const slices = axes.map((a, k) => {
      const axis = c.axis(a, dims.length);
      if (seen.has(axis)) c.fail(`axis ${axis} is given twice`);
      seen.add(axis);
      if (steps[k] === 0) c.fail('steps must not be 0');
      return axisSlice(axis, starts[k]!, ends[k]!, steps[k]!, dims[axis]!);
    });
    if (slices.every((s) => s !== undefined)) return sliced(c, x, slices);
  }
  const vector = (name: 'starts' | 'ends' | 'axes', i: number): Value | undefined =>
    attributes[name] ? c.constant(new Tensor('int64', attributes[name])) : wide(c, i);
  return c.op('sliceDynamic', [x, vector('starts', 1), vector('ends', 2), vector('axes', 3), wide(c, 4)]);
}

function wide(c: ImportContext, i: number): Value | undefined {
  const v = c.optional(i);
  if (!v || c.type(v).dtype === 'int64') return v;
  return c.op('cast', [v], { to: 'int64' });
}

function concat(c: ImportContext): Value {
  const parts = c.inputs();
  if (parts.length === 0) c.fail('it has no inputs');
  const axis = c.axis(c.int('axis', 1), c.rank(parts[0]!));
  return parts.length === 1 ? parts[0]! : c.op('concat', parts, { axis });
}

/** Sizes of the parts that Split makes; the last one may be smaller when the extent does not divide. */
function splitSizes(c: ImportContext, extent: Dim, count: number): Dim[] {
  if (count < 1) c.fail(`it cannot split into ${count} parts`);
  const even = exactQuotient(extent, count);
  if (even !== undefined) return Array.from({ length: count }, () => even);
  if (c.opset < 18 && typeof extent === 'number') c.fail(`extent ${extent} does not divide into ${count} equal parts`);
  const size = c.opset < 18 ? floorDivDims(extent, count) : ceilDivDims(extent, count);
  return Array.from({ length: count }, (_, i) => {
    if (c.opset < 18) return size;
    const rest = maxDims(0, subDims(extent, mulDims(size, i)));
    return provablyLessOrEqual(size, rest) ? size : minDims(size, rest);
  });
}

function split(c: ImportContext): Value[] {
  const x = c.input(0);
  const dims = c.dimsOf(x);
  const axis = c.axis(c.int('axis', 0), dims.length);
  const extent = dims[axis]!;
  const given = c.optional(1);
  const sizes = c.ints('split') ?? (given ? c.fact(given) : splitSizes(c, extent, c.int('num_outputs', c.outputCount)));
  if (!sizes) return dynamicSplit(c, x, axis, given!);
  if (sizes.length < c.outputCount) c.fail(`${c.outputCount} outputs for ${sizes.length} parts`);
  const total = sizes.reduce<Dim>((sum, s) => addDims(sum, s), 0);
  if (typeof total === 'number' && typeof extent === 'number' && total !== extent)
    c.fail(`parts [${sizes.map(String).join(', ')}] do not add up to ${extent}`);
  let start: Dim = 0;
  return sizes.map((size) => {
    const part = sliced(c, x, [{ axis, start, size, step: 1 }]);
    start = addDims(start, size);
    return part;
  });
}

/** Part sizes that a run computes: slices from one running sum to the next. */
function dynamicSplit(c: ImportContext, x: Value, axis: number, sizes: Value): Value[] {
  const axes = c.dims([axis]);
  let start = c.dims([0]);
  return Array.from({ length: c.outputCount }, (_, i) => {
    const size = sliced(c, sizes, [{ axis: 0, start: i, size: 1, step: 1 }]);
    const end = c.op('add', [start, size]);
    const part = c.op('sliceDynamic', [x, start, end, axes]);
    start = end;
    return part;
  });
}

/** Repeats every axis: a new axis of the repeats in front of each, joined with it again. */
export function tiled(c: ImportContext, x: Value, repeats: readonly Dim[]): Value {
  const dims = c.dimsOf(x);
  if (repeats.every((r) => r === 1)) return x;
  const split = dims.flatMap((d, i) => (repeats[i] === 1 ? [d] : [1, d]));
  const spread = dims.flatMap((d, i) => (repeats[i] === 1 ? [d] : [repeats[i]!, d]));
  const expanded = c.op('expand', [reshaped(c, x, split)], { dims: spread });
  return reshaped(
    c,
    expanded,
    dims.map((d, i) => mulDims(d, repeats[i]!)),
  );
}

function tile(c: ImportContext): Value {
  const x = c.input(0);
  const { dims } = c.type(x);
  if (c.inputCount === 3) {
    // Opset 1: one axis, repeated `tiles` times.
    const [tiles, axis] = [
      c.fact(c.input(1))?.[0] ?? floatConstant(c, 1),
      c.fact(c.input(2))?.[0] ?? floatConstant(c, 2),
    ];
    const at = c.axis(axis as number, c.rank(x));
    return tiled(
      c,
      x,
      c.dimsOf(x).map((_, i) => (i === at ? tiles : 1)),
    );
  }
  const repeats = c.fact(c.input(1));
  if (!dims || !repeats) return c.op('tileDynamic', [x, c.input(1)]);
  if (repeats.length !== dims.length)
    c.fail(`repeats [${repeats.map(String).join(', ')}] do not fit rank ${dims.length}`);
  return tiled(c, x, repeats);
}

function floatConstant(c: ImportContext, i: number): number {
  const value = c.constantOf(c.input(i));
  return value ? Number((value.data as ArrayLike<number>)[0]) : c.unsupported(`input ${i} must be a constant`);
}

function pad(c: ImportContext): Value {
  const x = c.input(0);
  const mode = c.string('mode', 'constant');
  const { dims, dtype } = c.type(x);
  const attribute = c.ints('pads') ?? c.ints('paddings');
  const pads = attribute ?? c.fact(c.input(1));
  const given = c.optional(2);
  const value = given
    ? c.rank(given) === 0
      ? given
      : reshaped(c, given, [])
    : c.float('value', 0) !== 0
      ? c.scalar(c.float('value', 0), dtype)
      : undefined;
  const axesFact = c.has(3) ? c.fact(c.input(3)) : undefined;
  const known = !c.has(3) || axesFact?.every((a) => typeof a === 'number') === true;
  if (!dims || !pads || !known)
    return c.op('padDynamic', [x, attribute ? c.dims(attribute) : wide(c, 1), value, wide(c, 3)], { mode });
  const axes = (axesFact as number[] | undefined)?.map((a) => c.axis(a, dims.length)) ?? dims.map((_, i) => i);
  if (pads.length !== 2 * axes.length) c.fail(`${pads.length} pads for ${axes.length} axes`);
  const both = padsOf(pads, axes, dims.length);
  if (typeof both === 'string') return c.fail(both);
  const { low, high } = both;
  if ([...low, ...high].every((p) => p === 0)) return x;
  return c.op('pad', [x, value], { low, high, mode });
}

function blockDims(c: ImportContext, x: Value): { n: Dim; channels: Dim; h: Dim; w: Dim; block: number } {
  const dims = c.dimsOf(x);
  const block = c.int('blocksize', 0);
  if (dims.length !== 4) c.fail(`input 0 must have rank 4, has ${dims.length}`);
  if (!(block > 0)) c.fail(`blocksize must be positive, is ${block}`);
  return { n: dims[0]!, channels: dims[1]!, h: dims[2]!, w: dims[3]!, block };
}

function quotient(c: ImportContext, d: Dim, by: number): Dim {
  return (
    exactQuotient(d, by) ??
    (typeof d === 'number' ? c.fail(`extent ${d} does not divide by ${by}`) : floorDivDims(d, by))
  );
}

function depthToSpace(c: ImportContext): Value {
  const x = c.input(0);
  const { n, channels, h, w, block } = blockDims(c, x);
  const depth = quotient(c, channels, block * block);
  const columnsFirst = c.string('mode', 'DCR') === 'DCR';
  const split = reshaped(c, x, columnsFirst ? [n, block, block, depth, h, w] : [n, depth, block, block, h, w]);
  const moved = transposed(c, split, columnsFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]);
  return reshaped(c, moved, [n, depth, mulDims(h, block), mulDims(w, block)]);
}

function spaceToDepth(c: ImportContext): Value {
  const x = c.input(0);
  const { n, channels, h, w, block } = blockDims(c, x);
  const [rows, columns] = [quotient(c, h, block), quotient(c, w, block)];
  const moved = transposed(c, reshaped(c, x, [n, channels, rows, block, columns, block]), [0, 3, 5, 1, 2, 4]);
  return reshaped(c, moved, [n, mulDims(channels, block * block), rows, columns]);
}

function centerCropPad(c: ImportContext): Value {
  const x = c.input(0);
  const dims = c.dimsOf(x);
  const target = c.fact(c.input(1));
  const axes = (c.ints('axes') ?? dims.map((_, i) => i)).map((a) => c.axis(a, dims.length));
  if (!target) return dynamicCenterCropPad(c, x, axes);
  if (axes.length !== target.length) c.fail(`${target.length} extents for ${axes.length} axes`);
  const crops = axes.map((axis, k) => {
    const over = maxDims(0, subDims(dims[axis]!, target[k]!));
    return { axis, start: floorDivDims(over, 2), size: minDims(dims[axis]!, target[k]!), step: 1 };
  });
  const low: Dim[] = dims.map(() => 0);
  const high: Dim[] = dims.map(() => 0);
  axes.forEach((axis, k) => {
    const lack = maxDims(0, subDims(target[k]!, dims[axis]!));
    low[axis] = floorDivDims(lack, 2);
    high[axis] = subDims(lack, low[axis]);
  });
  const cropped = sliced(c, x, crops);
  return [...low, ...high].every((p) => p === 0) ? cropped : c.op('pad', [cropped], { low, high, mode: 'constant' });
}

/** The same arithmetic on tensors, for a target that the run computes. */
function dynamicCenterCropPad(c: ImportContext, x: Value, axes: readonly number[]): Value {
  const dims = c.dimsOf(x);
  const extents = c.dims(axes.map((a) => dims[a]!));
  const target = wide(c, 1)!;
  const [zero, two] = [c.scalar(0, 'int64'), c.scalar(2, 'int64')];
  const start = c.op('div', [c.op('max', [c.op('sub', [extents, target]), zero]), two]);
  const end = c.op('add', [start, c.op('min', [extents, target])]);
  const cropped = c.op('sliceDynamic', [x, start, end, c.dims(axes)]);
  const lack = c.op('max', [c.op('sub', [target, extents]), zero]);
  const low = c.op('div', [lack, two]);
  const pads = c.op('concat', [low, c.op('sub', [lack, low])], { axis: 0 });
  return c.op('padDynamic', [cropped, pads, undefined, c.dims(axes)], { mode: 'constant' });
}

export const movementImporters: ImporterTable = {
  Transpose: transpose,
  Slice: slice,
  Concat: concat,
  Split: split,
  Tile: tile,
  Pad: pad,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  CenterCropPad: centerCropPad,
};
