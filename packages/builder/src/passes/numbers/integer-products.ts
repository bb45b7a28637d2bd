/**
 * Products of dequantized operands become products of the integers themselves, under one scale: exact sums in int32, which
 * tensor cores make twice as fast as those of 16-bit floats. A zero point of one operand comes to a constant for each
 * column where the other operand is constant. For devices alone: a processor gains nothing.
 */

import {
  constantOf,
  type Dim,
  type DType,
  type GraphBuilder,
  type Node,
  readNumbers,
  rewriteSteps,
  type Rule,
  Tensor,
  tensorFromNumbers,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, type RulePass, typeOf } from '../rules.js';

interface Quantized {
  readonly value: Value;
  readonly scale: Value;
  readonly zeroPoint: number;
}

/** What a value was dequantized from, by a scale and one zero point that is known. */
function quantizedOf(v: Value | undefined): Quantized | undefined {
  if (v?.node.op !== 'dequantizeLinear' || v.node.attributes['to'] !== 'float32') return undefined;
  const [value, scale, zeroPoint] = v.node.inputs as [Value, Value, Value | undefined];
  const { dtype } = typeOf(value);
  if ((dtype !== 'int8' && dtype !== 'uint8') || typeOf(scale).dtype !== 'float32') return undefined;
  const constant = constantOf(zeroPoint);
  const zeros = constant ? readNumbers(constant) : [0];
  if ((zeroPoint && !constant) || !zeros.every((z) => z === zeros[0])) return undefined;
  return { value, scale, zeroPoint: zeros[0] ?? 0 };
}

/**
 * The scale of an operand as it broadcasts against the result. @param place for each axis of the operand, which axis of
 * the result it is; undefined: one that is summed over, along which a scale cannot vary
 */
function scaleOfResult(
  builder: GraphBuilder,
  { value, scale }: Quantized,
  place: Places,
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

type Places = readonly (number | undefined)[];

/**
 * What sums of x · w are more than those of (x - zeroPoint) · w, as it broadcasts against the result.
 * @param place of the axes of w, as in scaleOfResult
 */
function excess(builder: GraphBuilder, w: Value, place: Places, rank: number, zeroPoint: number): Value | undefined {
  const kept = place.filter((at) => at !== undefined);
  if (!constantOf(w) || kept.some((at, i) => i > 0 && at < kept[i - 1]!)) return undefined;
  const axes = place.flatMap((at, axis) => (at === undefined ? [axis] : []));
  const sums = builder.op('reduce', [builder.op('cast', [w], { to: 'int32' })], {
    monoid: 'sum',
    axes,
    keepdims: false,
  });
  const dims = new Array<Dim>(rank).fill(1);
  place.forEach((at, axis) => {
    if (at !== undefined) dims[at] = dimsOf(w)![axis]!;
  });
  const factor = builder.constant(new Tensor('int32', Int32Array.of(zeroPoint), []));
  return builder.op('mul', [builder.op('reshape', [sums], { dims }), factor]);
}

/** @param sum makes the product of the integers; of a convolution, with the zero point around its images */
function integerProduct(
  node: Node,
  builder: GraphBuilder,
  [left, right]: readonly [Quantized, Quantized],
  places: readonly [Places, Places],
  sum: () => Value,
): Value | undefined {
  const out = dimsOf(node.outputs[0]);
  const bias = node.inputs[2];
  if (!out || (left.zeroPoint !== 0 && right.zeroPoint !== 0)) return undefined;
  const scales = [left, right].map((q, i) => scaleOfResult(builder, q, places[i]!, out.length));
  if (!scales[0] || !scales[1]) return undefined;
  const [zeroPoint, other, place] =
    left.zeroPoint === 0 ? [right.zeroPoint, left, places[0]] : [left.zeroPoint, right, places[1]];
  const more = zeroPoint === 0 ? undefined : excess(builder, other.value, place, out.length, zeroPoint);
  if (zeroPoint !== 0 && !more) return undefined;
  const exact = more ? builder.op('sub', [sum(), more]) : sum();
  const y = builder.op('dequantizeLinear', [exact, builder.op('mul', [scales[0], scales[1]])], { to: 'float32' });
  if (!bias) return y;
  const alongChannels = out.map((_, axis) => (axis === 1 ? dimsOf(bias)![0]! : 1));
  return builder.op('add', [y, builder.op('reshape', [bias], { dims: alongChannels })]);
}

function operandsOf({ inputs: [x, w] }: Node): readonly [Quantized, Quantized] | undefined {
  const [left, right] = [quantizedOf(x), quantizedOf(w)];
  return left && right && [left, right];
}

const dotOfIntegers: Rule = {
  name: 'dot(a · s, b · t) ⇒ dot(a, b) · (s · t)',
  roots: ['dot'],
  apply(node, { builder }) {
    const { lhs, rhs, out } = node.attributes as unknown as Record<'lhs' | 'rhs' | 'out', string>;
    const place = (labels: string): Places =>
      [...labels].map((label) => (out.includes(label) ? out.indexOf(label) : undefined));
    const operands = operandsOf(node);
    if (!operands) return undefined;
    const values = operands.map((q) => q.value);
    return integerProduct(node, builder, operands, [place(lhs), place(rhs)], () =>
      builder.op('dot', values, { lhs, rhs, out }),
    );
  },
  example: (b) => {
    const x = b.input('x', tensorType('int8', [3, 8]));
    const y = b.op('dot', [dequantized(b, x, [], 0.5, 3), dequantized(b, weights(b, [8, 4]), [4], 0.25)], {
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
    const operands = operandsOf(node);
    if (rank < 3 || !operands) return undefined;
    const [x, w] = operands;
    const pads = (node.attributes['pads'] ?? []) as readonly Dim[];
    if (x.zeroPoint !== 0 && !pads.every((p) => typeof p === 'number' && p >= 0)) return undefined;
    const summed = new Array<undefined>(rank - 1).fill(undefined);
    // A scale per image would do as well, but nobody has one.
    const places: readonly [Places, Places] = [
      [undefined, ...summed],
      [1, ...summed],
    ];
    return integerProduct(node, builder, operands, places, () => {
      const { tf32: _, ...attributes } = node.attributes;
      if (x.zeroPoint === 0 || pads.every((p) => p === 0)) return builder.op('conv', [x.value, w.value], attributes);
      // Zeros around an image are zero points among its integers.
      const side = (from: number): Dim[] => [0, 0, ...pads.slice(from, from + rank - 2)];
      const value = builder.constant(tensorFromNumbers<DType>(typeOf(x.value).dtype, Float64Array.of(x.zeroPoint), []));
      const padded = builder.op('pad', [x.value, value], { low: side(0), high: side(rank - 2), mode: 'constant' });
      return builder.op('conv', [padded, w.value], { ...attributes, pads: pads.map(() => 0) });
    });
  },
  example: (b) => {
    const x = b.input('x', tensorType('int8', [1, 4, 5, 5]));
    const w = dequantized(b, weights(b, [3, 4, 3, 3]), [3, 1, 1, 1], 0.25);
    const bias = b.constant(new Tensor('float32', [1, 2, 3], [3]));
    const attributes = { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 };
    return { inputs: [x], outputs: [b.op('conv', [dequantized(b, x, [], 0.5, -2), w, bias], attributes)] };
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

function dequantized(b: GraphBuilder, x: Value, dims: readonly number[], scale: number, zeroPoint = 0): Value {
  const count = dims.reduce((p, d) => p * d, 1);
  const scales = Float32Array.from({ length: count }, (_, i) => scale * (i + 1));
  const zero = zeroPoint === 0 ? [] : [b.constant(new Tensor('int8', Int8Array.of(zeroPoint), []))];
  return b.op('dequantizeLinear', [x, b.constant(new Tensor('float32', scales, dims)), ...zero], { to: 'float32' });
}

const rules: readonly Rule[] = [dotOfIntegers, convOfIntegers];

export const integerProducts: RulePass = {
  name: 'integer-products',
  phase: 'numbers',
  rules,
  run: (graph, context) =>
    context.backends.some((b) => b.memory !== undefined) ? rewriteSteps(graph, context.builder, rules) : graph,
};
