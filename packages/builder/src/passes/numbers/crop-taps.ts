/**
 * Taps of a convolution that only ever meet padding (wide dilations on small images) are dropped from its constant
 * weights.
 */

import { constantOf, type Rule, Tensor, tensorType, type Value } from '@tensorwright/core';
import { dimsOf, rulePass, type RulePass } from '../rules.js';

/** First and last tap of one axis that can meet the input; undefined where none does. */
function liveTaps(
  taps: number,
  extent: number,
  outputs: number,
  stride: number,
  dilation: number,
  pad: number,
): [number, number] | undefined {
  const live: number[] = [];
  for (let k = 0; k < taps; k++) {
    for (let o = 0; o < outputs; o++) {
      const at = k * dilation - pad + o * stride;
      if (at >= 0 && at < extent) {
        live.push(k);
        break;
      }
    }
  }
  return live.length > 0 ? [live[0]!, live.at(-1)!] : undefined;
}

const cropTaps: Rule = {
  name: 'conv(x, w) with taps that meet padding only ⇒ conv(x, w without them)',
  roots: ['conv'],
  apply(node, { builder }) {
    const [x, w] = node.inputs as [Value, Value];
    const weights = constantOf(w);
    const extents = dimsOf(x)?.slice(2);
    const outputs = dimsOf(node.outputs[0])?.slice(2);
    if (
      weights?.dtype !== 'float32' ||
      !extents ||
      !outputs ||
      [...extents, ...outputs].some((d) => typeof d !== 'number')
    )
      return undefined;
    const list = (name: string, fallback: number, n: number): number[] => {
      const value = node.attributes[name] as readonly number[];
      return value.length > 0 ? [...value] : new Array<number>(n).fill(fallback);
    };
    const n = extents.length;
    const [strides, dilations, pads] = [list('strides', 1, n), list('dilations', 1, n), list('pads', 0, 2 * n)];
    if (pads.some((p) => typeof p !== 'number') || dilations.every((d) => d === 1)) return undefined;
    const kernel = weights.dims.slice(2);
    const live = kernel.map((taps, i) =>
      liveTaps(taps, extents[i] as number, outputs[i] as number, strides[i]!, dilations[i]!, pads[i]!),
    );
    if (live.some((l) => l === undefined)) return undefined;
    const kept = live as [number, number][];
    if (kept.every(([first, last], i) => first === 0 && last === kernel[i]! - 1)) return undefined;
    const nextPads = [
      ...kept.map(([first], i) => pads[i]! - first * dilations[i]!),
      ...kept.map(([, last], i) => pads[n + i]! - (kernel[i]! - 1 - last) * dilations[i]!),
    ];
    if (nextPads.some((p) => p < 0)) return undefined;
    const cropped = cropKernel(weights, kept);
    return builder.op('conv', [x, builder.constant(cropped), ...node.inputs.slice(2)], {
      ...node.attributes,
      strides,
      dilations,
      pads: nextPads,
    });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [1, 2, 5, 5]));
    const w = b.constant(
      new Tensor(
        'float32',
        Float32Array.from({ length: 2 * 2 * 9 }, (_, i) => Math.cos(i)),
        [2, 2, 3, 3],
      ),
    );
    return {
      inputs: [x],
      outputs: [b.op('conv', [x, w], { strides: [1, 1], dilations: [6, 6], pads: [6, 6, 6, 6], group: 1 })],
    };
  },
};

function cropKernel(weights: Tensor, kept: readonly [number, number][]): Tensor {
  const { dims } = weights;
  const source = weights.data as Float32Array;
  const next = [...dims.slice(0, 2), ...kept.map(([first, last]) => last - first + 1)];
  const out = new Float32Array(next.reduce((p, d) => p * d, 1));
  const starts = [0, 0, ...kept.map(([first]) => first)];
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let from = 0;
    let stride = 1;
    for (let axis = next.length - 1; axis >= 0; axis--) {
      from += ((rest % next[axis]!) + starts[axis]!) * stride;
      rest = Math.floor(rest / next[axis]!);
      stride *= dims[axis]!;
    }
    out[i] = source[from]!;
  }
  return new Tensor('float32', out, next);
}

export const cropConvTaps: RulePass = rulePass('crop-taps', 'numbers', [cropTaps]);
