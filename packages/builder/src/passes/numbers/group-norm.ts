/**
 * Group norms as exporters write them: groups in the place of channels, an instance norm, the shape it was, and a factor
 * and a shift of each channel. As one node it reads images whatever the order of their axes, and what follows joins it.
 */

import {
  constantDataOf,
  type Dim,
  elementCount,
  type GraphBuilder,
  type Rule,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, ramp, sameDims, typeOf, unaryExample } from '../rules.js';

/** [C] with each element as often as channels share it. */
function ofChannels(builder: GraphBuilder, v: Value, groups: number, channels: number): Value {
  const apart = builder.op('reshape', [v], { dims: [groups, 1] });
  const repeated = builder.op('expand', [apart], { dims: [groups, channels / groups] });
  return builder.op('reshape', [repeated], { dims: [channels] });
}

const groupedInstances: Rule = {
  name: 'reshape(instanceNorm(reshape(x, [N, G, …]), s, b)) ⇒ groupNorm(x, s, b) in G groups',
  roots: ['reshape'],
  apply(node, { builder, uses }) {
    const normalised = node.inputs[0]!;
    if (normalised.node.op !== 'instanceNorm' || uses(normalised) !== 1) return undefined;
    const [grouped, scale, bias] = normalised.node.inputs as [Value, Value, Value];
    const x = grouped.node.op === 'reshape' ? grouped.node.inputs[0]! : undefined;
    const dims = dimsOf(x);
    const [batch, groups] = dimsOf(grouped)!;
    if (!x || !dims || dims.length < 3 || !sameDims(dims, dimsOf(node.outputs[0]))) return undefined;
    const [images, channels] = dims as [Dim, Dim];
    if (!sameDims([images], [batch!]) || typeof channels !== 'number' || typeof groups !== 'number') return undefined;
    if (groups === 0 || channels % groups !== 0) return undefined;
    const [s, b] = [scale, bias].map((v) => ofChannels(builder, v, groups, channels)) as [Value, Value];
    const { epsilon } = normalised.node.attributes;
    return builder.op('groupNorm', [x, s, b], { numGroups: groups, epsilon: epsilon as number });
  },
  example: (b) =>
    unaryExample(b, [2, 6, 3, 5], (x) => {
      const grouped = b.op('reshape', [x], { dims: [2, 2, 45] });
      const y = b.op('instanceNorm', [grouped, b.constant(ramp(2)), b.constant(ramp(2))], { epsilon: 1e-5 });
      return b.op('reshape', [y], { dims: [2, 6, 3, 5] });
    }),
};

const channelNorms = new Set(['groupNorm', 'instanceNorm']);

/** [C] where `v` is a constant that only differs from channel to channel. */
function channelParameter(builder: GraphBuilder, v: Value, like: Value): Value | undefined {
  const constant = constantDataOf(v);
  const dims = dimsOf(like)!;
  const [, channels] = dims;
  if (!constant || typeof channels !== 'number' || elementCount(constant.dims) !== channels) return undefined;
  const axis = constant.dims.length - (dims.length - 1);
  if (axis < 0 || axis > 1 || constant.dims[axis] !== channels || typeOf(v).dtype !== typeOf(like).dtype)
    return undefined;
  return builder.op('reshape', [v], { dims: [channels] });
}

/** The norm that is one of the operands and read by nobody else, and the other one as a parameter of its channels. */
function normAndParameter(
  [a, b]: readonly [Value, Value],
  builder: GraphBuilder,
  uses: (v: Value) => number,
): { readonly norm: Value; readonly parameter: Value } | undefined {
  for (const [norm, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (!channelNorms.has(norm.node.op) || uses(norm) !== 1) continue;
    const parameter = channelParameter(builder, other, norm);
    if (parameter) return { norm, parameter };
  }
  return undefined;
}

const scaledChannels: Rule = {
  name: 'groupNorm(x, s, b)·c ⇒ groupNorm(x, s·c, b·c)',
  roots: ['mul'],
  apply(node, { builder, uses }) {
    const found = normAndParameter(node.inputs as [Value, Value], builder, uses);
    if (!found) return undefined;
    const { op, inputs, attributes } = found.norm.node;
    const [x, s, b] = inputs as [Value, Value, Value];
    const [scale, bias] = [s, b].map((v) => builder.op('mul', [v, found.parameter])) as [Value, Value];
    return builder.op(op, [x, scale, bias], attributes);
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 4, 3, 5]));
    const y = b.op('groupNorm', [x, b.constant(ramp(4)), b.constant(ramp(4))], { numGroups: 2 });
    return { inputs: [x], outputs: [b.op('mul', [y, b.constant(ramp(4, 1, 1))])] };
  },
};

const shiftedChannels: Rule = {
  name: 'groupNorm(x, s, b) + c ⇒ groupNorm(x, s, b + c)',
  roots: ['add'],
  apply(node, { builder, uses }) {
    const found = normAndParameter(node.inputs as [Value, Value], builder, uses);
    if (!found) return undefined;
    const { op, inputs, attributes } = found.norm.node;
    const [x, scale, b] = inputs as [Value, Value, Value];
    return builder.op(op, [x, scale, builder.op('add', [b, found.parameter])], attributes);
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 4, 3]));
    const y = b.op('instanceNorm', [x, b.constant(ramp(4)), b.constant(ramp(4))]);
    return { inputs: [x], outputs: [b.op('add', [b.constant(ramp(1, 4, 1)), y])] };
  },
};

export const groupNormRules: readonly Rule[] = [groupedInstances, scaledChannels, shiftedChannels];
