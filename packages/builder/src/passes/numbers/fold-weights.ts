/** Per-channel scales and shifts after a convolution with constant weights go into the weights (batch norm). */

import {
  type Attributes,
  constantDataOf,
  constantOf,
  type GraphBuilder,
  type Node,
  type Rule,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, rulePass, type RulePass } from '../rules.js';

/** The constant as one number per channel, when it varies along the channel axis only. */
function perChannel(v: Value | undefined, rank: number, channels: number): Float64Array | undefined {
  const constant = constantDataOf(v);
  if (constant?.dtype !== 'float32') return undefined;
  const lead = rank - constant.dims.length;
  if (lead < 0 || constant.dims.some((d, i) => d !== 1 && i + lead !== 1)) return undefined;
  const data = constant.tensor.data as Float32Array;
  if (data.length === 1) return new Float64Array(channels).fill(data[0]!);
  return data.length === channels ? Float64Array.from(data) : undefined;
}

/** conv's weights and bias as float32 constants, when it has them and nothing else reads it. */
function constantConv(
  v: Value | undefined,
  uses: (v: Value) => number,
): { conv: Node; weights: Float32Array; bias: Float64Array; channels: number } | undefined {
  const conv = v?.node;
  if (conv?.op !== 'conv' || uses(v!) !== 1) return undefined;
  const weights = constantOf(conv.inputs[1]);
  const bias = constantOf(conv.inputs[2]);
  if (weights?.dtype !== 'float32' || (conv.inputs[2] && bias?.dtype !== 'float32')) return undefined;
  const channels = weights.dims[0]!;
  return {
    conv,
    weights: weights.data as Float32Array,
    bias: bias ? Float64Array.from(bias.data as Float32Array) : new Float64Array(channels),
    channels,
  };
}

function rebuild(builder: GraphBuilder, conv: Node, weights: Float32Array, bias: Float64Array): Value {
  const dims = dimsOf(conv.inputs[1]) as number[];
  return builder.op(
    'conv',
    [
      conv.inputs[0],
      builder.constant(new Tensor('float32', weights, dims)),
      builder.constant(new Tensor('float32', Float32Array.from(bias), [bias.length])),
    ],
    conv.attributes,
  );
}

const scaleIntoConv: Rule = {
  name: 'conv(x, w, b) · s ⇒ conv(x, w·s, b·s)',
  roots: ['mul', 'div'],
  apply(node, { builder, uses }) {
    const [a, b] = node.inputs as [Value, Value];
    const swapped = node.op === 'mul' && a.node.op === 'constant';
    const found = constantConv(swapped ? b : a, uses);
    const scale = found && perChannel(swapped ? a : b, dimsOf(found.conv.outputs[0])!.length, found.channels);
    if (!scale) return undefined;
    const factor = node.op === 'div' ? scale.map((s) => 1 / s) : scale;
    const per = found.weights.length / found.channels;
    const weights = found.weights.map((w, i) => w * factor[Math.floor(i / per)]!);
    return rebuild(
      builder,
      found.conv,
      weights,
      found.bias.map((v, i) => v * factor[i]!),
    );
  },
  example: (b) => convExample(b, (y, c) => b.op('mul', [y, c])),
};

const shiftIntoConv: Rule = {
  name: 'conv(x, w, b) + t ⇒ conv(x, w, b + t)',
  roots: ['add', 'sub'],
  apply(node, { builder, uses }) {
    const [a, b] = node.inputs as [Value, Value];
    const swapped = node.op === 'add' && a.node.op === 'constant';
    const found = constantConv(swapped ? b : a, uses);
    const shift = found && perChannel(swapped ? a : b, dimsOf(found.conv.outputs[0])!.length, found.channels);
    if (!shift) return undefined;
    const sign = node.op === 'sub' ? -1 : 1;
    return rebuild(
      builder,
      found.conv,
      found.weights,
      found.bias.map((v, i) => v + sign * shift[i]!),
    );
  },
  example: (b) => convExample(b, (y, c) => b.op('add', [y, c])),
};

function convExample(
  builder: GraphBuilder,
  after: (y: Value, c: Value) => Value,
): { inputs: Value[]; outputs: Value[] } {
  const x = builder.input('x', tensorType('float32', [1, 2, 4, 4]));
  const w = builder.constant(
    new Tensor(
      'float32',
      Float32Array.from({ length: 3 * 2 * 9 }, (_, i) => Math.sin(i)),
      [3, 2, 3, 3],
    ),
  );
  const attributes: Attributes = { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 };
  const c = builder.constant(new Tensor('float32', [0.5, 2, 3], [3, 1, 1]));
  return { inputs: [x], outputs: [after(builder.op('conv', [x, w], attributes), c)] };
}

export const foldWeights: RulePass = rulePass('fold-weights', 'numbers', [scaleIntoConv, shiftIntoConv]);
