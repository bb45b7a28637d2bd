/** How products with constant weights carry moments on: the weights are known, the elements of the data independent. */

import { constantOf, type Node, type Tensor } from '@tensorwright/core';
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
  const list = (name: string): readonly number[] => node.attributes[name] as readonly number[];
  const [strides, dilations, pads] = [list('strides'), list('dilations'), list('pads')];
  let shares = [1];
  kernel.forEach((taps, axis) => {
    const [extent, places] = [x[axis + 2], y[axis + 2]];
    const inside = Array.from({ length: taps }, (_, tap) => {
      if (typeof extent !== 'number' || typeof places !== 'number' || places === 0) return 1;
      let met = 0;
      for (let p = 0; p < places; p++) {
        const at = p * strides[axis]! + tap * dilations[axis]! - pads[axis]!;
        if (at >= 0 && at < extent) met++;
      }
      return met / places;
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
  const { data, outputs, channels, group, shares, strides } = weights;
  if (x.mean.length !== 1 && x.mean.length !== channels * group) return undefined;
  const bias = float32Constant(constantOf(node.inputs[2]))?.data as Float32Array | undefined;
  const rows = outputs / group;
  // All of them, or the same one for every channel.
  const step = x.mean.length === 1 ? 0 : 1;
  return momentsOf(outputs, (o) => {
    const shift = bias?.[o] ?? 0;
    let [mean, spread, common, own] = [shift, 0, rounding * shift * shift, 0];
    let at = step * Math.floor(o / rows) * channels;
    for (let c = 0; c < channels; c++, at += step) {
      let [level, power] = [0, 0];
      const from = o * strides[0] + c * strides[1];
      for (let t = 0; t < shares.length; t++) {
        const w = data[from + t]!;
        level += shares[t]! * w;
        power += shares[t]! * w * w;
      }
      const [m, v] = [x.mean[at]!, x.spread[at]!];
      mean += level * m;
      spread += power * v;
      common += level * level * x.common[at]! + rounding * power * m * m;
      own += power * (x.own[at]! + rounding * v);
    }
    return [mean, spread, common, own];
  });
}

/** Multiplications of one element of the batch; undefined where extents are not known. */
export function multiplications(node: Node): number | undefined {
  const weights = weightsOf(node);
  const places = dimsOf(node.outputs[0])?.slice(2);
  if (!weights || places?.every((d) => typeof d === 'number') !== true) return undefined;
  return weights.outputs * weights.channels * weights.shares.length * places.reduce((n, d) => n * d, 1);
}
