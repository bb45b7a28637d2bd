/** How products with constant weights carry moments on: the weights are known, the elements of the data independent. */

import { constantOf, type Dim, type Node, type Tensor } from '@tensorwright/core';
import { dimsOf } from '../../rules.js';
import { type Moments, momentsOf } from './moments.js';

/** Weights as rows of taps of an input channel each: [outputs, channels of a group, taps]. */
interface Weights {
  readonly data: ArrayLike<number>;
  readonly outputs: number;
  readonly channels: number;
  readonly group: number;
  /** For each tap the share of places where it meets an element, not padding. */
  readonly shares: readonly number[];
  /** Elements from one output's weights to the next one's, and from one channel's to the next one's. */
  readonly strides: readonly [number, number];
}

/** undefined: weights or extents are not known, or the node is no such product. */
export function weightsOf(node: Node): Weights | undefined {
  if (node.op === 'conv') return convWeights(node);
  return node.op === 'dot' ? dotWeights(node) : undefined;
}

function float32Constant(t: Tensor | undefined): Tensor | undefined {
  return t?.dtype === 'float32' ? t : undefined;
}

function convWeights(node: Node): Weights | undefined {
  const w = float32Constant(constantOf(node.inputs[1]));
  const x = dimsOf(node.inputs[0]);
  const y = dimsOf(node.outputs[0]);
  if (!w || !x || !y) return undefined;
  const [outputs, channels, ...kernel] = w.dims as [number, number, ...number[]];
  const attribute = (name: string, axis: number): Dim | undefined => (node.attributes[name] as readonly Dim[])[axis];
  let shares = [1];
  kernel.forEach((taps, axis) => {
    const [extent, places] = [x[axis + 2], y[axis + 2]];
    const stride = (attribute('strides', axis) ?? 1) as number;
    const dilation = (attribute('dilations', axis) ?? 1) as number;
    const pad = attribute('pads', axis) ?? 0;
    const inside = Array.from({ length: taps }, (_, tap) => {
      if (typeof extent !== 'number' || typeof places !== 'number' || typeof pad !== 'number' || places === 0) return 1;
      const before = pad - tap * dilation;
      const first = Math.max(0, Math.ceil(before / stride));
      const end = Math.min(places, Math.ceil((extent + before) / stride));
      return Math.max(0, end - first) / places;
    });
    shares = shares.flatMap((s) => inside.map((share) => s * share));
  });
  return {
    data: w.data as Float32Array,
    outputs,
    channels,
    group: node.attributes['group'] as number,
    shares,
    strides: [channels * shares.length, shares.length],
  };
}

/** Rows of data of rank 2 times a matrix: classifiers. */
function dotWeights(node: Node): Weights | undefined {
  const { lhs, rhs, out } = node.attributes as Record<string, string>;
  const w = float32Constant(constantOf(node.inputs[1]));
  if (!w || lhs?.length !== 2 || rhs?.length !== 2 || out?.length !== 2) return undefined;
  const contracted = lhs[1]!;
  const at = rhs.indexOf(contracted);
  if (at < 0 || out[1] !== rhs[1 - at]) return undefined;
  const strides: [number, number] = [w.dims[1]!, 1];
  if (at === 0) strides.reverse();
  return {
    data: w.data as Float32Array,
    outputs: w.dims[1 - at]!,
    channels: w.dims[at]!,
    group: 1,
    shares: [1],
    strides,
  };
}

/**
 * Moments of the product and the bias; `rounding`: mean square of the relative errors of weights and bias. undefined:
 * the data have other channels.
 */
export function contract(node: Node, weights: Weights, x: Moments, rounding: number): Moments | undefined {
  const { outputs, channels, group, shares } = weights;
  if (x.mean.length !== 1 && x.mean.length !== channels * group) return undefined;
  const bias = float32Constant(constantOf(node.inputs[2]))?.data as Float32Array | undefined;
  const y = momentsOf(outputs, (o) => {
    const shift = bias?.[o] ?? 0;
    return [shift, 0, rounding * shift * shift, 0];
  });
  // A classifier may have a hundred million weights: a loop for one tap each, in the order in which they lie.
  if (shares.length === 1 && shares[0] === 1 && group === 1) addMatrix(y, weights, x, rounding);
  else for (let o = 0; o < outputs; o++) addTaps(y, o, weights, x, rounding);
  return y;
}

function addMatrix(y: Moments, { data, outputs, channels, strides }: Weights, x: Moments, rounding: number): void {
  // What a weight's square is multiplied by.
  const common = x.common.map((e, c) => e + rounding * x.mean[c]! ** 2);
  const own = x.own.map((e, c) => e + rounding * x.spread[c]!);
  const isShared = x.mean.length === 1;
  const add = (o: number, c: number): void => {
    const w = data[o * strides[0] + c * strides[1]]!;
    const power = w * w;
    const at = isShared ? 0 : c;
    y.mean[o]! += w * x.mean[at]!;
    y.spread[o]! += power * x.spread[at]!;
    y.common[o]! += power * common[at]!;
    y.own[o]! += power * own[at]!;
  };
  if (strides[0] < strides[1]) for (let c = 0; c < channels; c++) for (let o = 0; o < outputs; o++) add(o, c);
  else for (let o = 0; o < outputs; o++) for (let c = 0; c < channels; c++) add(o, c);
}

function addTaps(y: Moments, o: number, weights: Weights, x: Moments, rounding: number): void {
  const { data, outputs, channels, group, shares, strides } = weights;
  const first = Math.floor(o / (outputs / group)) * channels;
  for (let c = 0; c < channels; c++) {
    const from = o * strides[0] + c * strides[1];
    let level = 0;
    let power = 0;
    for (let t = 0; t < shares.length; t++) {
      const w = data[from + t]!;
      level += shares[t]! * w;
      power += shares[t]! * w * w;
    }
    const at = x.mean.length === 1 ? 0 : first + c;
    const m = x.mean[at]!;
    const v = x.spread[at]!;
    y.mean[o]! += level * m;
    y.spread[o]! += power * v;
    y.common[o]! += level * level * x.common[at]! + rounding * power * m * m;
    y.own[o]! += power * (x.own[at]! + rounding * v);
  }
}

/** Multiplications of one element of the batch; undefined where extents are not known. */
export function multiplications(node: Node): number | undefined {
  const weights = weightsOf(node);
  const places = dimsOf(node.outputs[0])?.slice(2);
  if (!weights || places?.every((d) => typeof d === 'number') !== true) return undefined;
  return weights.outputs * weights.channels * weights.shares.length * places.reduce((n, d) => n * d, 1);
}
