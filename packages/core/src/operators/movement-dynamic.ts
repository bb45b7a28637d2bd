/** Movement operators whose sizes are tensors computed at run time. Where the sizes are known, importers make the plain forms. */

import { broadcastDims, isOneDim } from '../broadcast.js';
import { addDims, type Dim, dimBounds, mulDims, productOf, subDims } from '../dim.js';
import { isInteger } from '../dtype.js';
import { elementFacts } from '../facts.js';
import { type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount } from '../tensor.js';
import { tensorType } from '../type.js';
import { expandTensor, gatherView, sliceTensor } from './movement.js';
import { checkedPad, padModes } from './pad.js';
import { axesOf, padsOf, resolveReshape, sliceBounds } from './size-conventions.js';
import { rowMajorStrides } from './strided.js';

/** Fresh dims for a shape vector of known length but unknown elements. */
function freshDims(c: InferContext, count: Dim | undefined, max?: number): Dim[] | undefined {
  if (typeof count !== 'number') return undefined;
  return Array.from({ length: count }, (_, i) => c.fresh(`${c.op}.${String(i)}`, max === undefined ? {} : { max }));
}

function elementBound(dims: readonly Dim[] | undefined): number | undefined {
  if (dims === undefined) return undefined;
  const { max } = dimBounds(productOf(dims));
  // Without elements one extent is 0 and the others can be anything.
  return Number.isFinite(max) && max > 0 ? Math.min(max, 2 ** 31 - 1) : undefined;
}

function vectorLength(c: InferContext, i: number): Dim | undefined {
  const { dims, dtype } = c.tensor(i);
  if (!isInteger(dtype)) c.fail(`input ${String(i)} must be an integer tensor`);
  if (dims !== undefined && dims.length !== 1) c.fail(`input ${String(i)} must have rank 1`);
  return dims?.[0];
}

function inferReshapeDynamic(c: InferContext): ReturnType<typeof tensorType>[] {
  const x = c.tensor(0);
  const length = vectorLength(c, 1);
  const target = c.fact(1);
  if (target) {
    const dims = resolveReshape(x.dims, target, c.attributes['allowzero'] === 1);
    if (typeof dims !== 'string') return [tensorType(x.dtype, dims)];
    if (x.dims !== undefined) return c.fail(dims);
  }
  return [tensorType(x.dtype, partialTarget(c, length, elementBound(x.dims)))];
}

/** Extents of a target shape: those that are known, and fresh dims for the rest. */
function partialTarget(c: InferContext, length: Dim | undefined, max?: number): Dim[] | undefined {
  const known = elementFacts(c.inputs[1]!);
  return freshDims(c, length, max)?.map((fresh, i) => {
    const d = known?.[i];
    // 0 and -1 are no extents, and a symbolic element may turn out to be one.
    return d !== undefined && dimBounds(d).min > 0 ? d : fresh;
  });
}

function inferExpandDynamic(c: InferContext): ReturnType<typeof tensorType>[] {
  const x = c.tensor(0);
  const length = vectorLength(c, 1);
  const target = c.fact(1);
  if (x.dims === undefined || typeof length !== 'number') return [tensorType(x.dtype, undefined)];
  if (target) {
    const dims = broadcastDims(x.dims, target);
    if (!dims) c.fail(`the input does not broadcast to [${target.map(String).join(', ')}]`);
    return [tensorType(x.dtype, dims)];
  }
  const lead = Math.max(length, x.dims.length);
  const dims = partialTarget(c, length)!;
  const from = x.dims;
  return [
    tensorType(
      x.dtype,
      Array.from({ length: lead }, (_, i) =>
        expandedExtent(c, from[i - lead + from.length] ?? 1, dims[i - lead + length] ?? 1),
      ),
    ),
  ];
}

/** A broadcast extent: known where one side is known and is not 1, or is all there is. */
function expandedExtent(c: InferContext, from: Dim, target: Dim): Dim {
  if (from === 1) return target;
  if (dimBounds(from).min > 1) return from;
  return target === 1 ? from : dimBounds(target).min > 1 ? target : c.fresh(`${c.op}.extent`);
}

function knownAxes(c: InferContext, i: number, count: number, rank: number): number[] | undefined {
  const fact = c.has(i) ? c.fact(i) : undefined;
  if (c.has(i) && !fact?.every((d) => typeof d === 'number')) return undefined;
  const axes = axesOf(fact as number[] | undefined, count, rank);
  return typeof axes === 'string' ? c.fail(axes) : axes;
}

function inferSliceDynamic(c: InferContext): ReturnType<typeof tensorType>[] {
  const x = c.tensor(0);
  const count = vectorLength(c, 1);
  if (x.dims === undefined) return [x];
  const axes = typeof count === 'number' ? knownAxes(c, 3, count, x.dims.length) : undefined;
  const dims = x.dims.map((d, i) => {
    if (axes && !axes.includes(i)) return d;
    const { max } = dimBounds(d);
    return c.fresh(`slice.${String(i)}`, { max: Number.isFinite(max) ? max : 2 ** 31 - 1 });
  });
  return [tensorType(x.dtype, dims)];
}

function inferPadDynamic(c: InferContext): ReturnType<typeof tensorType>[] {
  const x = c.tensor(0);
  vectorLength(c, 1);
  const mode = c.attributes['mode'] as string;
  if (!(padModes as readonly string[]).includes(mode)) c.fail(`unknown mode '${mode}'`);
  if (x.dims === undefined) return [x];
  const fact = c.fact(1);
  const axes = fact ? knownAxes(c, 3, fact.length / 2, x.dims.length) : undefined;
  if (!fact || !axes)
    return [
      tensorType(
        x.dtype,
        x.dims.map((_, i) => c.fresh(`pad.${String(i)}`)),
      ),
    ];
  const dims = [...x.dims];
  axes.forEach((axis, k) => {
    dims[axis] = addDims(dims[axis]!, addDims(fact[k]!, fact[k + axes.length]!));
  });
  return [tensorType(x.dtype, dims)];
}

function inferTileDynamic(c: InferContext): ReturnType<typeof tensorType>[] {
  const x = c.tensor(0);
  vectorLength(c, 1);
  if (x.dims === undefined) return [x];
  const fact = c.fact(1);
  return [
    tensorType(
      x.dtype,
      x.dims.map((d, i) => (fact ? mulDims(d, fact[i]!) : c.fresh(`tile.${String(i)}`))),
    ),
  ];
}

export const dynamicMovementOperators: readonly Operator[] = [
  registerOperator({
    name: 'reshapeDynamic',
    kind: 'movement',
    inputs: ['x', 'shape'],
    attributes: { allowzero: 0 },
    infer: inferReshapeDynamic,
    facts: (c) => [c.fact(0)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const dims = resolveReshape(x.dims, c.integers(1), c.attributes['allowzero'] === 1);
      if (typeof dims === 'string') return c.fail(dims);
      if (elementCount(dims as number[]) !== x.size)
        c.fail(`[${x.dims.join(', ')}] cannot become [${dims.join(', ')}]`);
      return [x.reshape(dims as number[])];
    },
  }),
  registerOperator({
    name: 'expandDynamic',
    kind: 'movement',
    inputs: ['x', 'shape'],
    infer: inferExpandDynamic,
    evaluate: (c) => {
      const x = c.tensor(0);
      const dims = broadcastDims(x.dims, c.integers(1)) as number[] | undefined;
      if (!dims) return c.fail(`[${x.dims.join(', ')}] does not broadcast to [${c.integers(1).join(', ')}]`);
      return [expandTensor(c, x, dims)];
    },
  }),
  registerOperator({
    name: 'sliceDynamic',
    kind: 'movement',
    inputs: ['x', 'starts', 'ends', 'axes?', 'steps?'],
    infer: inferSliceDynamic,
    evaluate: (c) => {
      const x = c.tensor(0);
      const [starts, ends] = [c.integers(1), c.integers(2)];
      const axes = axesOf(c.has(3) ? c.integers(3) : undefined, starts.length, x.dims.length);
      if (typeof axes === 'string') return c.fail(axes);
      const steps = c.has(4) ? c.integers(4) : starts.map(() => 1);
      if (ends.length !== starts.length || steps.length !== starts.length)
        c.fail('starts, ends and steps must have the same length');
      const full = { starts: x.dims.map(() => 0), sizes: [...x.dims], steps: x.dims.map(() => 1) };
      axes.forEach((axis, k) => {
        if (steps[k] === 0) c.fail('steps must not be 0');
        const { start, size } = sliceBounds(starts[k]!, ends[k]!, steps[k]!, x.dims[axis]!);
        full.starts[axis] = start;
        full.sizes[axis] = size;
        full.steps[axis] = steps[k]!;
      });
      return [sliceTensor(c, x, full.starts, full.sizes, full.steps)];
    },
  }),
  registerOperator({
    name: 'padDynamic',
    kind: 'movement',
    inputs: ['x', 'pads', 'value?', 'axes?'],
    attributes: { mode: 'constant' },
    infer: inferPadDynamic,
    evaluate: (c) => {
      const x = c.tensor(0);
      const pads = padsOf(c.integers(1), c.has(3) ? c.integers(3) : undefined, x.dims.length);
      if (typeof pads === 'string') return c.fail(pads);
      return [checkedPad(c, x, pads.low, pads.high, c.has(2) ? c.tensor(2) : undefined)];
    },
  }),
  registerOperator({
    name: 'squeezeDynamic',
    kind: 'movement',
    inputs: ['x', 'axes?'],
    infer: (c) => {
      const x = c.tensor(0);
      // Extents that are unknown count as more than 1; a run in which one is 1 fails.
      if (!c.has(1) && x.dims !== undefined) {
        const kept = x.dims.filter((d) => d !== 1);
        const left = kept.reduce<Dim>((rank, d) => subDims(rank, isOneDim(d)), kept.length);
        c.agree(kept.length, left, 'the ranks without extents that are 1 in every run and in this run');
        return [tensorType(x.dtype, kept)];
      }
      const count = c.has(1) ? vectorLength(c, 1) : undefined;
      if (x.dims === undefined || typeof count !== 'number') return [tensorType(x.dtype, undefined)];
      return [tensorType(x.dtype, freshDims(c, x.dims.length - count, elementBound(x.dims)))];
    },
    facts: (c) => [c.fact(0)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const given = c.has(1) ? c.integers(1) : x.dims.flatMap((d, i) => (d === 1 ? [i] : []));
      const axes = axesOf(given, given.length, x.dims.length);
      if (typeof axes === 'string') return c.fail(axes);
      if (axes.some((a) => x.dims[a] !== 1))
        c.fail(`axes [${axes.join(', ')}] of [${x.dims.join(', ')}] cannot be squeezed`);
      const inferred = c.outputTypes[0];
      const rank = inferred?.kind === 'tensor' ? inferred.dims?.length : undefined;
      if (!c.has(1) && rank !== undefined && rank !== x.dims.length - axes.length) {
        c.fail(`[${x.dims.join(', ')}] has an extent 1 that was not known to be 1: name the axes to squeeze`);
      }
      return [x.reshape(x.dims.filter((_, i) => !axes.includes(i)))];
    },
  }),
  registerOperator({
    name: 'unsqueezeDynamic',
    kind: 'movement',
    inputs: ['x', 'axes'],
    infer: (c) => {
      const x = c.tensor(0);
      const count = c.tensor(1).dims?.length === 0 ? 1 : vectorLength(c, 1);
      if (x.dims === undefined || typeof count !== 'number') return [tensorType(x.dtype, undefined)];
      return [tensorType(x.dtype, freshDims(c, x.dims.length + count, elementBound(x.dims)))];
    },
    facts: (c) => [c.fact(0)],
    evaluate: (c) => {
      const x = c.tensor(0);
      const given = c.integers(1);
      const axes = axesOf(given, given.length, x.dims.length + given.length);
      if (typeof axes === 'string') return c.fail(axes);
      let next = 0;
      return [
        x.reshape(
          Array.from({ length: x.dims.length + given.length }, (_, i) => (axes.includes(i) ? 1 : x.dims[next++]!)),
        ),
      ];
    },
  }),
  registerOperator({
    name: 'tileDynamic',
    kind: 'movement',
    inputs: ['x', 'repeats'],
    infer: inferTileDynamic,
    evaluate: (c) => {
      const x = c.tensor(0);
      const repeats = c.integers(1);
      if (repeats.length !== x.dims.length || repeats.some((r) => r < 0))
        c.fail(`repeats [${repeats.join(', ')}] do not fit [${x.dims.join(', ')}]`);
      const strides = rowMajorStrides(x.dims);
      const split = x.dims.flatMap((d, i) => [repeats[i]!, d]);
      const tiled = gatherView(x, { offset: 0, strides: strides.flatMap((s) => [0, s]) }, split);
      return [tiled.reshape(x.dims.map((d, i) => d * repeats[i]!))];
    },
  }),
];
