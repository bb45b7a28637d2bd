/**
 * Products of dequantized operands become products of the integers themselves, under one scale: exact sums in int32, which
 * tensor cores make twice as fast as those of 16-bit floats. For devices alone: a processor gains nothing.
 */

import {
  constantOf,
  type Dim,
  type GraphBuilder,
  type Node,
  readNumbers,
  rewriteSteps,
  type Rule,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, type RulePass, typeOf } from '../rules.js';

interface Quantized {
  readonly value: Value;
  readonly scale: Value;
}

/** What a value was dequantized from, where that takes no more than a scale. */
function quantizedOf(v: Value | undefined): Quantized | undefined {
  if (v?.node.op !== 'dequantizeLinear' || v.node.attributes['to'] !== 'float32') return undefined;
  const [value, scale, zeroPoint] = v.node.inputs as [Value, Value, Value | undefined];
  const { dtype } = typeOf(value);
  if ((dtype !== 'int8' && dtype !== 'uint8') || typeOf(scale).dtype !== 'float32') return undefined;
  if (zeroPoint) {
    const constant = constantOf(zeroPoint);
    if (!constant || !readNumbers(constant).every((z) => z === 0)) return undefined;
  }
  return { value, scale };
}

/**
 * The scale of an operand as it broadcasts against the result. @param place for each axis of the operand, which axis of
 * the result it is; undefined: one that is summed over, along which a scale cannot vary
 */
function scaleOfResult(
  builder: GraphBuilder,
  { value, scale }: Quantized,
  place: readonly (number | undefined)[],
  rank: number,
): Value | undefined {
  const own = dimsOf(scale);
  if (!own) return undefined;
  const lead = dimsOf(value)!.length - own.length;
  const dims = new Array<Dim>(rank).fill(1);
  for (const [i, extent] of own.entries()) {
    if (extent === 1) continue;
    const at = place[lead + i];
    // More than one axis would have to keep their order.
    if (at === undefined || dims.some((d) => d !== 1)) return undefined;
    dims[at] = extent;
  }
  return builder.op('reshape', [scale], { dims });
}

function integerProduct(
  node: Node,
  builder: GraphBuilder,
  places: readonly (readonly (number | undefined)[])[],
): Value | undefined {
  const [x, w, bias] = node.inputs;
  const [left, right] = [quantizedOf(x), quantizedOf(w)];
  const out = dimsOf(node.outputs[0]);
  if (!left || !right || !out) return undefined;
  const scales = [left, right].map((q, i) => scaleOfResult(builder, q, places[i]!, out.length));
  if (!scales[0] || !scales[1]) return undefined;
  const { tf32: _, ...attributes } = node.attributes;
  const sums = builder.op(node.op, [left.value, right.value], attributes);
  const y = builder.op('dequantizeLinear', [sums, builder.op('mul', [scales[0], scales[1]])], { to: 'float32' });
  if (!bias) return y;
  const alongChannels = out.map((_, axis) => (axis === 1 ? dimsOf(bias)![0]! : 1));
  return builder.op('add', [y, builder.op('reshape', [bias], { dims: alongChannels })]);
}

const dotOfIntegers: Rule = {
  name: 'dot(a · s, b · t) ⇒ dot(a, b) · (s · t)',
  roots: ['dot'],
  apply(node, { builder }) {
    const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
    const place = (labels: string): (number | undefined)[] =>
      [...labels].map((label) => (out.includes(label) ? out.indexOf(label) : undefined));
    return integerProduct(node, builder, [place(lhs), place(rhs)]);
  },
  example: (b) => {
    const x = b.input('x', tensorType('int8', [3, 8]));
    const y = b.op('dot', [dequantized(b, x, [], 0.5), dequantized(b, weights(b, [8, 4]), [4], 0.25)], {
      lhs: 'mk',
      rhs: 'kn',
      out: 'mn',
    });
    return { inputs: [x], outputs: [y] };
  },
};

const convOfIntegers: Rule = {
  name: 'conv(x · s, w · t, b) ⇒ conv(x, w) · (s · t) + b',
  roots: ['conv'],
  apply(node, { builder }) {
    const rank = dimsOf(node.outputs[0])?.length ?? 0;
    const summed = new Array<undefined>(rank - 1).fill(undefined);
    // A scale per image would do as well, but nobody has one.
    return integerProduct(node, builder, [
      [undefined, ...summed],
      [1, ...summed],
    ]);
  },
  example: (b) => {
    const x = b.input('x', tensorType('int8', [1, 4, 5, 5]));
    const w = dequantized(b, weights(b, [3, 4, 3, 3]), [3, 1, 1, 1], 0.25);
    const bias = b.constant(new Tensor('float32', [1, 2, 3], [3]));
    const attributes = { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 };
    return { inputs: [x], outputs: [b.op('conv', [dequantized(b, x, [], 0.5), w, bias], attributes)] };
  },
};

function weights(b: GraphBuilder, dims: readonly number[]): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  return b.constant(
    new Tensor(
      'int8',
      Int8Array.from({ length: count }, (_, i) => (i * 37) % 200),
      dims,
    ),
  );
}

function dequantized(b: GraphBuilder, x: Value, dims: readonly number[], scale: number): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  const scales = Float32Array.from({ length: count }, (_, i) => scale * (i + 1));
  return b.op('dequantizeLinear', [x, b.constant(new Tensor('float32', scales, dims))], { to: 'float32' });
}

const rules: readonly Rule[] = [dotOfIntegers, convOfIntegers];

export const integerProducts: RulePass = {
  name: 'integer-products',
  phase: 'numbers',
  rules,
  run: (graph, context) =>
    context.backends.some((b) => b.memory !== undefined) ? rewriteSteps(graph, context.builder, rules) : graph,
};
