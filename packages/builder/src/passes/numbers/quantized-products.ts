/**
 * Products of quantized numbers as products of 8-bit integers on the processor, zero points included. Both forms that
 * models have, integers less their zero points and dequantized floats, become the product of the 8-bit operands
 * themselves, exact in int32, less what the left operand's zero point contributes: its product with the column sums of
 * the weights, which are constants. Scales follow.
 */

import {
  constantOf,
  type DType,
  type Graph,
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

/** An 8-bit operand and its zero point, an integer that broadcasts against it; undefined where that is 0. */
interface Centred {
  readonly value: Value;
  readonly zero: Value | undefined;
}

function isByte(v: Value | undefined): v is Value {
  return v?.type.kind === 'tensor' && (v.type.dtype === 'int8' || v.type.dtype === 'uint8');
}

function isZero(v: Value | undefined): boolean {
  const constant = constantOf(v);
  return v === undefined || (constant !== undefined && readNumbers(constant).every((n) => n === 0));
}

/** x, or what x was before a cast from 8 bits to int32. */
function uncast(v: Value | undefined): Value | undefined {
  const from = v?.node.op === 'cast' && typeOf(v).dtype === 'int32' ? v.node.inputs[0] : v;
  return isByte(from) ? from : undefined;
}

/** int32(value) − zero, in whichever form. */
function centredOf(v: Value): Centred | undefined {
  const plain = uncast(v);
  if (plain) return { value: plain, zero: undefined };
  if (v.node.op !== 'sub' || typeOf(v).dtype !== 'int32') return undefined;
  const value = uncast(v.node.inputs[0]);
  return value && { value, zero: v.node.inputs[1]! };
}

/** (value − zero) · scale in float32. */
function dequantizedOf(v: Value | undefined): (Centred & { readonly scale: Value }) | undefined {
  if (v?.node.op !== 'dequantizeLinear' || typeOf(v).dtype !== 'float32') return undefined;
  const [value, scale, zero] = v.node.inputs;
  if (!isByte(value) || typeOf(scale!).dtype !== 'float32') return undefined;
  return { value, scale: scale!, zero: isZero(zero) ? undefined : zero };
}

/** Constant weights less their zero points, where that is a constant of int8. */
function signedWeights({ value, zero }: Centred): Tensor | undefined {
  const constant = constantOf(value);
  if (!constant) return undefined;
  const numbers = readNumbers(constant);
  const less = zero && constantOf(zero);
  if (zero && !less) return undefined;
  if (less) subtract(numbers, constant.dims, readNumbers(less), less.dims);
  return int8Tensor(numbers, constant.dims);
}

function int8Tensor(numbers: Float64Array, dims: readonly number[]): Tensor | undefined {
  return numbers.every((n) => n >= -128 && n <= 127) ? new Tensor('int8', Int8Array.from(numbers), dims) : undefined;
}

/** The next index in row-major order. */
function advance(index: number[], dims: readonly number[]): void {
  for (let d = dims.length - 1; d >= 0; d--) {
    index[d] = index[d]! + 1;
    if (index[d]! < dims[d]!) return;
    index[d] = 0;
  }
}

/** a −= b, b broadcast to a's dims. */
function subtract(a: Float64Array, dims: readonly number[], b: Float64Array, bDims: readonly number[]): void {
  const lead = dims.length - bDims.length;
  const index = new Array<number>(dims.length).fill(0);
  for (let i = 0; i < a.length; i++) {
    let at = 0;
    for (let d = 0; d < bDims.length; d++) at = at * bDims[d]! + (bDims[d] === 1 ? 0 : index[lead + d]!);
    a[i] = a[i]! - b[at]!;
    advance(index, dims);
  }
}

/** The weights' sums over everything but columns and batches, shaped to broadcast against the product. */
function columnSums(node: Node, weights: Tensor): Tensor {
  const { dims } = weights;
  const rank = dimsOf(node.outputs[0])!.length;
  const out = node.attributes['out'] as string;
  const rhs = node.attributes['rhs'] as string;
  /** Where each axis of the weights is in the product; -1 where it is summed. */
  const place = dims.map((_, i) => (node.op === 'conv' ? (i === 0 ? 1 : -1) : out.indexOf(rhs[i]!)));
  const shape = new Array<number>(rank).fill(1);
  place.forEach((p, i) => {
    if (p >= 0) shape[p] = dims[i]!;
  });
  const sums = new Int32Array(shape.reduce((n, d) => n * d, 1));
  const numbers = readNumbers(weights);
  const index = new Array<number>(dims.length).fill(0);
  for (const n of numbers) {
    let at = 0;
    for (let p = 0; p < rank; p++) {
      const axis = place.indexOf(p);
      at = at * shape[p]! + (axis >= 0 ? index[axis]! : 0);
    }
    sums[at] = sums[at]! + n;
    advance(index, dims);
  }
  return new Tensor('int32', sums, shape);
}

function cast(builder: GraphBuilder, v: Value, to: DType): Value {
  return typeOf(v).dtype === to ? v : builder.op('cast', [v], { to });
}

/** The product of the operands in int32; undefined where it cannot be one of 8-bit integers. */
function integerProduct(builder: GraphBuilder, node: Node, x: Centred, w: Centred): Value | undefined {
  const xZero = isZero(x.zero) ? undefined : x.zero;
  const wZero = isZero(w.zero) ? undefined : w.zero;
  if (!xZero && !wZero) return builder.op(node.op, [x.value, w.value], node.attributes);
  const weights = signedWeights({ value: w.value, zero: wZero });
  if (!weights) return undefined;
  if (!xZero) return builder.op(node.op, [x.value, builder.constant(weights)], node.attributes);
  if (dimsOf(xZero)?.every((d) => d === 1) !== true) return undefined;
  const scalar = builder.op('reshape', [xZero], { dims: [] });
  const padded = padWith(builder, node, x.value, scalar);
  const product = builder.op(padded.op, [padded.value, builder.constant(weights)], padded.attributes);
  const sums = builder.constant(columnSums(node, weights));
  return builder.op('sub', [product, builder.op('mul', [sums, cast(builder, scalar, 'int32')])]);
}

/** Where a convolution pads, it pads with the zero point. */
function padWith(
  builder: GraphBuilder,
  node: Node,
  x: Value,
  zero: Value,
): { op: string; value: Value; attributes: Node['attributes'] } {
  const pads = node.attributes['pads'] as readonly number[] | undefined;
  if (node.op !== 'conv' || !pads || pads.every((p) => p === 0))
    return { op: node.op, value: x, attributes: node.attributes };
  const rank = pads.length / 2;
  const value = builder.op('pad', [x, cast(builder, zero, typeOf(x).dtype)], {
    low: [0, 0, ...pads.slice(0, rank)],
    high: [0, 0, ...pads.slice(rank)],
    mode: 'constant',
  });
  return { op: node.op, value, attributes: { ...node.attributes, pads: pads.map(() => 0) } };
}

function mayPad(node: Node): boolean {
  const pads = node.attributes['pads'] as readonly unknown[] | undefined;
  return node.op !== 'conv' || !pads || pads.every((p) => typeof p === 'number' && p >= 0);
}

/** A vector of the output's channels, shaped to broadcast against it. */
function alongChannels(builder: GraphBuilder, v: Value, rank: number): Value {
  const dims = Array.from({ length: rank }, (_, i) => (i === 1 ? dimsOf(v)![0]! : 1));
  return builder.op('reshape', [v], { dims });
}

const centredProduct: Rule = {
  name: '(int32(a) − z) · (int32(b) − y) ⇒ a · (b − y) − z Σ (b − y)',
  roots: ['dot', 'conv'],
  apply(node, { builder }) {
    const [a, b, bias] = node.inputs;
    if (typeOf(node.outputs[0]!).dtype !== 'int32' || (isByte(a) && isByte(b)) || !mayPad(node)) return undefined;
    const x = centredOf(a!);
    const constant = constantOf(b);
    const folded = constant?.dtype === 'int32' ? int8Tensor(readNumbers(constant), constant.dims) : undefined;
    const w = folded ? { value: builder.constant(folded), zero: undefined } : centredOf(b!);
    const product = x && w && integerProduct(builder, node, x, w);
    if (!product || !bias) return product;
    return builder.op('add', [product, alongChannels(builder, bias, dimsOf(product)!.length)]);
  },
  example: (b) =>
    quantizedExample(b, (x, w, attributes) => {
      const centred = (v: Value, zero: number): Value =>
        b.op('sub', [cast(b, v, 'int32'), b.constant(new Tensor('int32', [zero], []))]);
      return b.op('cast', [b.op('conv', [centred(x, 7), centred(w, 2)], attributes)], { to: 'float32' });
    }),
};

/** A scale of the weights for each column, shaped to broadcast against the product; undefined where it is none. */
function columnScale(builder: GraphBuilder, node: Node, weights: Value, scale: Value): Value | undefined {
  const dims = dimsOf(scale);
  const own = dimsOf(weights)!;
  const rank = dimsOf(node.outputs[0])!.length;
  if (!dims) return undefined;
  if (dims.every((d) => d === 1)) return builder.op('reshape', [scale], { dims: [] });
  const axis = own.length - dims.length + dims.findIndex((d) => d !== 1);
  if (dims.filter((d) => d !== 1).length !== 1) return undefined;
  const out = node.attributes['out'] as string;
  const place = node.op === 'conv' ? (axis === 0 ? 1 : -1) : out.indexOf((node.attributes['rhs'] as string)[axis]!);
  if (place < 0) return undefined;
  const shape = Array.from({ length: rank }, (_, i) => (i === place ? own[axis]! : 1));
  return builder.op('reshape', [scale], { dims: shape });
}

/** Convolutions of few channels a group are faster in floats. */
function isWide(node: Node): boolean {
  return node.op !== 'conv' || node.attributes['group'] === 1;
}

const dequantizedProduct: Rule = {
  name: 'dequantize(a) · dequantize(b) ⇒ dequantize(a · b)',
  roots: ['dot', 'conv'],
  apply(node, { builder }) {
    const [x, w] = [dequantizedOf(node.inputs[0]), dequantizedOf(node.inputs[1])];
    if (!x || !w || !isWide(node) || !mayPad(node) || dimsOf(x.scale)?.every((d) => d === 1) !== true) return undefined;
    const scale = columnScale(builder, node, w.value, w.scale);
    const product = scale && integerProduct(builder, node, x, w);
    if (!product) return undefined;
    const factor = builder.op('mul', [builder.op('reshape', [x.scale], { dims: [] }), scale]);
    const y = builder.op('dequantizeLinear', [product, factor], { to: 'float32' });
    const bias = node.inputs[2];
    return bias ? builder.op('add', [y, alongChannels(builder, bias, dimsOf(y)!.length)]) : y;
  },
  example: (b) =>
    quantizedExample(b, (x, w, attributes) => {
      const dequantize = (v: Value, scale: number, zero: number): Value =>
        b.op(
          'dequantizeLinear',
          [v, b.constant(new Tensor('float32', [scale], [])), b.constant(new Tensor(typeOf(v).dtype, [zero], []))],
          { to: 'float32' },
        );
      return b.op('conv', [dequantize(x, 1 / 64, 7), dequantize(w, 1 / 128, 2)], attributes);
    }),
};

function quantizedExample(b: GraphBuilder, body: (x: Value, w: Value, attributes: Node['attributes']) => Value): Graph {
  const x = b.input('x', tensorType('float32', [1, 3, 5, 5]));
  const bytes = b.op('quantizeLinear', [x, b.constant(new Tensor('float32', [1 / 64], []))], {
    to: 'int8',
    precision: 'float32',
  });
  const w = new Tensor(
    'int8',
    Int8Array.from({ length: 4 * 3 * 9 }, (_, i) => Math.round(90 * Math.sin(i))),
    [4, 3, 3, 3],
  );
  const attributes = { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 };
  return { inputs: [x], outputs: [body(bytes, b.constant(w), attributes)] };
}

const rules: readonly Rule[] = [centredProduct, dequantizedProduct];

export const quantizedProducts: RulePass = {
  name: 'quantized-products',
  phase: 'numbers',
  rules,
  run: (graph, context) =>
    context.backends.some((b) => b.memory !== undefined) ? graph : rewriteSteps(graph, context.builder, rules),
};
