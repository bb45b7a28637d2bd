/** resize: resampling along any axes, nearest, linear or cubic. ONNX's Resize in its newest form. */

import { type Dim, dimBounds, floorDivDims, mulDims } from '../dim.js';
import { isBig, isInteger } from '../dtype.js';
import { allocateElements, elementsOf, readNumbers, tensorFromNumbers, tensorOf } from '../elements.js';
import { type Attributes } from '../graph.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { saturateIntegers } from './saturate.js';
import { agreeOnSome } from './some-there.js';
import { type AxisSampling, sampleAxis } from './resize-sampling.js';
import { type Movable } from './strided.js';

/** The axes that roi, scales and sizes speak of. */
export function resizeAxes(attributes: Attributes, rank: number): number[] {
  const axes = attributes['axes'] as readonly number[] | undefined;
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  return axes.map((a) => (a < 0 ? a + rank : a));
}

/** floor(extent · scale), where the scale is a constant; undefined when no expression says it. */
function scaledExtent(extent: Dim, scale: number): Dim | undefined {
  if (typeof extent === 'number') return Math.floor(Math.fround(extent * scale));
  // Scales p / 2^q are exact in floating point, so that integer arithmetic gives the same answer.
  for (let q = 1; q <= 64; q *= 2) {
    if (Number.isInteger(scale * q)) return floorDivDims(mulDims(extent, scale * q), q);
  }
  return undefined;
}

function inferResize(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype } = c.tensor(0);
  const x = c.dims(0);
  const axes = resizeAxes(c.attributes, x.length);
  if (c.has(2) === c.has(3)) c.fail('exactly one of scales and sizes must be given');
  const dims = [...x];
  const list = c.has(3) ? c.fact(3) : undefined;
  const constant = c.has(2) ? c.constant(2) : undefined;
  const scales = constant ? readNumbers(constant.tensor) : undefined;
  const length = list?.length ?? scales?.length;
  if (length !== undefined && length !== axes.length)
    c.fail(`scales or sizes have ${String(length)} elements for ${String(axes.length)} axes`);
  const policy = c.attributes['keepAspectRatioPolicy'] as string;
  if (list && policy !== 'stretch') {
    const known = [...list, ...axes.map((a) => x[a]!)].every((d) => typeof d === 'number');
    if (known) {
      fitted(
        list as number[],
        axes.map((a) => x[a] as number),
        policy,
      ).extents.forEach((extent, i) => (dims[axes[i]!] = extent));
      return [tensorType(dtype, dims)];
    }
  }
  axes.forEach((axis, i) => {
    const extent = x[axis]!;
    const bound = scales ? { max: Math.ceil(dimBounds(extent).max * scales[i]!) } : {};
    const size = policy === 'stretch' ? list?.[i] : undefined;
    if (size !== undefined)
      agreeOnSome(c, [size], [extent], `what is wanted and what is there along axis ${String(axis)}`);
    dims[axis] =
      size ?? (scales ? scaledExtent(extent, scales[i]!) : undefined) ?? c.fresh(`resized${String(axis)}`, bound);
  });
  return [tensorType(dtype, dims)];
}

/** Extents under keep_aspect_ratio_policy, and the scale common to all of them. */
function fitted(
  sizes: readonly number[],
  extents: readonly number[],
  policy: string,
): { extents: number[]; scale: number } {
  const ratios = sizes.map((s, i) => s / extents[i]!);
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return { extents: extents.map((e) => Math.floor(scale * e + 0.5)), scale };
}

interface Plan {
  readonly axis: number;
  readonly scale: number;
  readonly extent: number;
  readonly roi: readonly [number, number];
}

function planOf(c: EvaluateContext, x: Tensor): Plan[] {
  const axes = resizeAxes(c.attributes, x.dims.length);
  const roiValues = c.has(1) && c.tensor(1).size > 0 ? readNumbers(c.tensor(1)) : undefined;
  const roi = (i: number): [number, number] => [roiValues?.[i] ?? 0, roiValues?.[axes.length + i] ?? 1];
  if (c.has(2) && c.tensor(2).size > 0) {
    const scales = readNumbers(c.tensor(2));
    return axes.map((axis, i) => ({
      axis,
      scale: scales[i]!,
      extent: Math.floor(Math.fround(scales[i]! * x.dims[axis]!)),
      roi: roi(i),
    }));
  }
  const sizes = c.integers(3);
  const policy = c.attributes['keepAspectRatioPolicy'] as string;
  if (policy === 'stretch')
    return axes.map((axis, i) => ({ axis, scale: sizes[i]! / x.dims[axis]!, extent: sizes[i]!, roi: roi(i) }));
  const { extents, scale } = fitted(
    sizes,
    axes.map((a) => x.dims[a]!),
    policy,
  );
  return axes.map((axis, i) => ({ axis, scale, extent: extents[i]!, roi: roi(i) }));
}

function evaluateResize(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const whole = planOf(c, x);
  if (x.size === 0 && whole.some((p) => x.dims[p.axis] === 0 && p.extent > 0)) c.fail('x is empty, the result is not');
  const plan = whole.filter(
    ({ axis, scale, extent, roi }) => scale !== 1 || extent !== x.dims[axis] || roi[0] !== 0 || roi[1] !== 1,
  );
  const sampled = plan.map((p) => ({
    axis: p.axis,
    sampling: sampleAxis(c.attributes, x.dims[p.axis]!, p.extent, p.scale, p.roi),
  }));
  const dims = [...x.dims];
  const nearest = c.attributes['mode'] === 'nearest';
  const outside = c.attributes['extrapolationValue'] as number;
  if (nearest && sampled.every((s) => s.sampling.outside === undefined)) {
    let elements = elementsOf(x) as Movable;
    for (const { axis, sampling } of sampled) {
      elements = pickAlong(x, elements, dims, axis, sampling);
      dims[axis] = sampling.extent;
    }
    return [tensorOf(x.dtype, elements as Float32Array, dims)];
  }
  let values = readNumbers(x);
  for (const { axis, sampling } of sampled) {
    values = resampleAlong(values, dims, axis, sampling, outside);
    dims[axis] = sampling.extent;
  }
  if (isInteger(x.dtype) && !isBig(x.dtype)) values = saturateIntegers(values, x.dtype);
  return [tensorFromNumbers(x.dtype, values, dims)];
}

/** Nearest: elements only move. */
function pickAlong(x: Tensor, from: Movable, dims: readonly number[], axis: number, s: AxisSampling): Movable {
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const extent = dims[axis]!;
  const out = allocateElements(x.dtype, outer * s.extent * inner) as Movable;
  for (let o = 0, p = 0; o < outer; o++) {
    for (let i = 0; i < s.extent; i++) {
      const at = (o * extent + s.indices[i]!) * inner;
      for (let k = 0; k < inner; k++) out[p++] = from[at + k];
    }
  }
  return out;
}

function resampleAlong(
  from: Float64Array,
  dims: readonly number[],
  axis: number,
  s: AxisSampling,
  outside: number,
): Float64Array {
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const extent = dims[axis]!;
  const out = new Float64Array(outer * s.extent * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < s.extent; i++) {
      const to = (o * s.extent + i) * inner;
      if (s.outside?.[i] === 1) {
        out.fill(outside, to, to + inner);
        continue;
      }
      for (let t = 0; t < s.taps; t++) {
        const weight = s.weights[i * s.taps + t]!;
        if (weight === 0) continue;
        const at = (o * extent + s.indices[i * s.taps + t]!) * inner;
        for (let k = 0; k < inner; k++) out[to + k] = out[to + k]! + weight * from[at + k]!;
      }
    }
  }
  return out;
}

export const resize: Operator = registerOperator({
  name: 'resize',
  kind: 'opaque',
  inputs: ['x', 'roi?', 'scales?', 'sizes?'],
  attributes: {
    mode: 'nearest',
    coordinateTransformationMode: 'half_pixel',
    nearestMode: 'round_prefer_floor',
    antialias: false,
    axes: undefined,
    cubicCoeffA: -0.75,
    excludeOutside: false,
    extrapolationValue: 0,
    keepAspectRatioPolicy: 'stretch',
  },
  infer: inferResize,
  evaluate: evaluateResize,
});
