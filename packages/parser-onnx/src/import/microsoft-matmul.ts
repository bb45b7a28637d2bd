/** com.microsoft's matrix products: fused, quantized, with packed weights, and mixtures of experts. */

import {
  ConstantData,
  type Dim,
  type DType,
  elementCount,
  mulDims,
  productOf,
  Tensor,
  type Value,
} from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { alongAxis, integerMatMul, perColumn, perRow, productScale, quantize, toReal } from './integer-contraction.js';
import { gemm, matmul } from './matmul.js';
import { inWholeBytes } from './quantize.js';
import { cast, expand, reshape, scale, sliceAxis, transpose } from './shorthand.js';

/** The activation that an attribute names, with its parameters. */
export function activated(c: ImportContext, x: Value): Value {
  const name = c.string('activation', '');
  const list = c.floats('activation_params') ?? [];
  const alpha = (fallback: number): number =>
    c.hasAttribute('activation_alpha') ? c.float('activation_alpha', fallback) : (list[0] ?? fallback);
  const beta = (fallback: number): number =>
    c.hasAttribute('activation_beta') ? c.float('activation_beta', fallback) : (list[1] ?? fallback);
  const { dtype } = c.type(x);
  switch (name) {
    case '':
      return x;
    case 'Relu':
    case 'Tanh':
    case 'Sigmoid':
    case 'Softplus':
    case 'Softsign':
    case 'Mish':
    case 'HardSwish':
      return c.op(name.charAt(0).toLowerCase() + name.slice(1), [x]);
    case 'Gelu':
      return c.op('gelu', [x]);
    case 'LeakyRelu':
      return c.op('leakyRelu', [x], { alpha: alpha(0.01) });
    case 'Elu':
      return c.op('elu', [x], { alpha: alpha(1) });
    case 'HardSigmoid':
      return c.op('hardSigmoid', [x], { alpha: alpha(0.2), beta: beta(0.5) });
    case 'Clip':
      return c.op('min', [c.op('max', [x, c.scalar(alpha(-Infinity), dtype)]), c.scalar(beta(Infinity), dtype)]);
    default:
      return c.unsupported(`the fused activation '${name}'`);
  }
}

/** transA swaps the matrix, transBatchA moves the rows in front of the batch. */
function oriented(c: ImportContext, v: Value, swap: boolean, batch: boolean): Value {
  const rank = c.rank(v);
  if (rank < 2 || (!swap && !batch)) return v;
  const order = Array.from({ length: rank }, (_, i) => i);
  // Under transBatch the stored order is [rows, batch …, columns].
  const moved = batch ? [...order.slice(1, -1), 0, rank - 1] : order;
  return transpose(c, v, swap ? [...moved.slice(0, -2), moved[rank - 1]!, moved[rank - 2]!] : moved);
}

function fusedMatMul(c: ImportContext): Value {
  const flag = (name: string): boolean => c.int(name, 0) !== 0;
  const a = oriented(c, c.input(0), flag('transA'), flag('transBatchA'));
  const b = oriented(c, c.input(1), flag('transB'), flag('transBatchB'));
  return activated(c, scale(c, matmul(c, a, b), c.float('alpha', 1)));
}

/** Packed integers in a constant of bytes, as a constant of their own type. */
function unpacked(c: ImportContext, v: Value, bits: number, dims: readonly number[]): Value {
  const data = v.node.op === 'constant' ? (v.node.attributes['data'] as ConstantData) : undefined;
  if (!data) return c.unsupported('packed weights that are no constant');
  if (bits === 8) return reshape(c, v, dims);
  if (bits !== 4 && bits !== 2) return c.unsupported(`packed weights of ${String(bits)} bits`);
  const dtype: DType = bits === 4 ? 'uint4' : 'uint2';
  return c.constant(new ConstantData(dtype, dims, () => Tensor.fromBytes<DType>(dtype, data.tensor.bytes, dims)));
}

/** A · Bᵀ with B [N, K] in blocks of integers, each with a scale and a zero point. */
function matMulNBits(c: ImportContext): Value {
  const [rows, depth, block, bits] = [c.int('N', 0), c.int('K', 0), c.int('block_size', 32), c.int('bits', 4)];
  if (c.has(4)) c.unsupported('g_idx');
  const blocks = Math.ceil(depth / block);
  const a = c.input(0);
  const { dtype } = c.type(a);
  const levels = unpacked(c, c.input(1), bits, [rows, blocks, block]);
  const scales = reshape(c, c.input(2), [rows, blocks, 1]);
  const weights = c.op('dequantizeLinear', [levels, scales, zeroPoints(c, c.optional(3), rows, blocks, bits)], {
    to: dtype,
  });
  const full = reshape(c, weights, [rows, blocks * block]);
  const matrix = blocks * block === depth ? full : sliceAxis(c, full, 1, 0, depth);
  const product = multiplyTransposed(c, a, matrix);
  const bias = c.optional(5);
  return bias ? c.op('add', [product, bias]) : product;
}

/** [rows, blocks, 1]: packed along the blocks, floats, or the middle of the range. */
function zeroPoints(c: ImportContext, given: Value | undefined, rows: number, blocks: number, bits: number): Value {
  if (!given) return c.scalar(2 ** (bits - 1), bits === 8 ? 'uint8' : bits === 4 ? 'uint4' : 'uint2');
  if (c.type(given).dtype !== 'uint8') return reshape(c, given, [rows, blocks, 1]);
  const padded = Math.ceil((blocks * bits) / 8) * (8 / bits);
  const all = unpacked(c, given, bits, [rows, padded]);
  return reshape(c, padded === blocks ? all : sliceAxis(c, all, 1, 0, blocks), [rows, blocks, 1]);
}

/** x [… k] · w [n, k] → [… n]. */
function multiplyTransposed(c: ImportContext, x: Value, w: Value): Value {
  const batch = 'abcdefgh'.slice(0, c.rank(x) - 1);
  return c.op('dot', [x, w], { lhs: `${batch}k`, rhs: 'nk', out: `${batch}n` });
}

/** The sixteen values of bitsandbytes' 4-bit types: FP4, NF4. */
const bnb4Tables: readonly (readonly number[])[] = [
  [
    0, 0.005208333333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25, -0, -0.005208333333, -0.66666667, -1,
    -0.33333333, -0.5, -0.16666667, -0.25,
  ],
  [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
  ],
];

/** Weights [N, K] as a flat list of table entries, the first in a byte's high half, with a scale for each block. */
function matMulBnb4(c: ImportContext): Value {
  const [rows, depth, block] = [c.int('N', 0), c.int('K', 0), c.int('block_size', 64)];
  const data = c.input(1).node.op === 'constant' ? (c.input(1).node.attributes['data'] as ConstantData) : undefined;
  if (!data) return c.unsupported('packed weights that are no constant');
  if (c.int('transB', 1) !== 1) c.unsupported('weights that are not transposed');
  const table = bnb4Tables[c.int('quant_type', 1)] ?? c.fail('quant_type must be 0 or 1');
  const a = c.input(0);
  const { dtype } = c.type(a);
  const count = rows * depth;
  const bytes = elementCount(data.dims);
  const swapped = (): Tensor =>
    new Tensor<DType>(
      'uint4',
      (data.tensor.data as Uint8Array).map((b) => (b >> 4) | ((b & 15) << 4)),
      [2 * bytes],
    );
  const codes = cast(c, c.constant(new ConstantData('uint4', [2 * bytes], swapped)), 'int32');
  const values = c.op('gather', [cast(c, c.constant(new Tensor('float32', [...table])), dtype), codes], { axis: 0 });
  const blocks = Math.ceil(count / block);
  const spread = reshape(c, expand(c, reshape(c, c.input(2), [blocks, 1]), [blocks, block]), [blocks * block]);
  const exact = (v: Value, size: number): Value => (size === count ? v : sliceAxis(c, v, 0, 0, count));
  const weights = c.op('mul', [exact(values, 2 * bytes), cast(c, exact(spread, blocks * block), dtype)]);
  return multiplyTransposed(c, a, reshape(c, weights, [rows, depth]));
}

/** Rows of a table that is stored in quantized blocks along one axis. */
function gatherBlockQuantized(c: ImportContext): Value {
  const [data, indices, scales] = [c.input(0), c.input(1), c.input(2)];
  const bytes = c.type(data).dtype === 'uint8';
  const bits = c.int('bits', 4);
  const stored = c.dimsOf(data);
  const rank = stored.length;
  const axis = c.axis(c.int('gather_axis', 0), rank);
  const quantized = c.axis(c.int('quantize_axis', bytes ? rank - 1 : 1), rank);
  const block = c.int('block_size', 128);
  if (axis === quantized) c.unsupported('gathering along the quantized axis');
  const widened = bytes && bits < 8;
  const levels = widened
    ? unpacked(
        c,
        data,
        bits,
        stored.map((d, i) => (d as number) * (i === rank - 1 ? 8 / bits : 1)),
      )
    : data;
  const given = c.optional(3);
  const parameterDims = c.dimsOf(scales);
  const zeroPoint = given && widened ? packedAlongLast(c, given, bits, parameterDims) : given;
  const rows = (v: Value): Value => c.op('gather', [v, indices], { axis });
  const picked = rows(levels);
  // Where the quantized axis stands after the gather.
  const at = quantized < axis ? quantized : quantized - 1 + c.rank(indices);
  const extent = c.dimsOf(picked)[at];
  const spread = (v: Value): Value => {
    const dims = c.dimsOf(v);
    const blocks = dims[at]!;
    const split = (size: Dim): Dim[] => [...dims.slice(0, at), blocks, size, ...dims.slice(at + 1)];
    const repeated = reshape(
      c,
      expand(c, reshape(c, v, split(1)), split(block)),
      dims.with(at, mulDims(blocks, block)),
    );
    return sliceAxis(c, repeated, at, 0, extent!);
  };
  const middle = bytes ? c.scalar(2 ** (bits - 1), c.type(picked).dtype) : undefined;
  const shift = zeroPoint ? inWholeBytes(c, zeroPoint, (v) => spread(rows(v))) : middle;
  return c.op('dequantizeLinear', [picked, spread(rows(scales)), shift], { to: c.type(scales).dtype });
}

function packedAlongLast(c: ImportContext, v: Value, bits: number, dims: readonly Dim[]): Value {
  const stored = c.dimsOf(v);
  const last = stored.length - 1;
  const all = unpacked(
    c,
    v,
    bits,
    stored.map((d, i) => (d as number) * (i === last ? 8 / bits : 1)),
  );
  return sliceAxis(c, all, last, 0, dims[last]!);
}

/** Inputs a, b, a_scale, b_scale, a_zp, b_zp, bias. */
function matMulIntegerToFloat(c: ImportContext): Value {
  const [a, b] = [c.input(0), c.input(1)];
  const sums = integerMatMul(c, { value: a, zeroPoint: c.optional(4) }, { value: b, zeroPoint: c.optional(5) });
  return realProduct(
    c,
    sums,
    productScale(c, perRow(c, c.input(2), a), perColumn(c, c.input(3), b)),
    c.optional(6),
    c.type(c.input(2)).dtype,
  );
}

function realProduct(c: ImportContext, sums: Value, factor: Value, bias: Value | undefined, dtype: DType): Value {
  const real = cast(c, toReal(c, sums, factor), dtype);
  return bias ? c.op('add', [real, bias]) : real;
}

/** x as uint8 with a scale and zero point of its own; the range always includes 0. */
export function dynamicallyQuantized(c: ImportContext, x: Value): { value: Value; scale: Value; zeroPoint: Value } {
  const axes = c.dimsOf(x).map((_, i) => i);
  const zero = c.scalar(0, 'float32');
  const extreme = (monoid: 'max' | 'min'): Value =>
    c.op(monoid, [c.op('reduce', [x], { monoid, axes, keepdims: false }), zero]);
  const [high, low] = [extreme('max'), extreme('min')];
  const range = c.op('where', [c.op('equal', [high, low]), c.scalar(1, 'float32'), c.op('sub', [high, low])]);
  const step = c.op('div', [range, c.scalar(255, 'float32')]);
  const zeroPoint = quantize(c, c.op('neg', [low]), step, undefined, 'uint8');
  return { value: quantize(c, x, step, zeroPoint, 'uint8'), scale: step, zeroPoint };
}

/** Inputs a, b, b_scale, b_zp, bias. */
function dynamicQuantizeMatMul(c: ImportContext): Value {
  const b = c.input(1);
  const a = dynamicallyQuantized(c, c.input(0));
  const sums = integerMatMul(c, a, { value: b, zeroPoint: c.optional(3) });
  return realProduct(c, sums, productScale(c, a.scale, perColumn(c, c.input(2), b)), c.optional(4), 'float32');
}

/** Inputs a, a_scale, a_zp, b, b_scale, b_zp, c (int32), y_scale, y_zp; without y_scale the result is float. */
function qGemm(c: ImportContext): Value {
  const turned = (v: Value, attribute: string): Value => (c.int(attribute, 0) === 0 ? v : transpose(c, v, [1, 0]));
  const [a, b] = [turned(c.input(0), 'transA'), turned(c.input(3), 'transB')];
  const product = integerMatMul(c, { value: a, zeroPoint: c.optional(2) }, { value: b, zeroPoint: c.optional(5) });
  const sums = c.has(6) ? c.op('add', [product, c.input(6)]) : product;
  const factor = scale(
    c,
    productScale(c, alongAxis(c, c.input(1), 2, 0), perColumn(c, c.input(4), b)),
    c.float('alpha', 1),
  );
  const real = toReal(c, sums, factor);
  if (!c.has(7)) return real;
  const zeroPoint = c.optional(8);
  return quantize(
    c,
    real,
    alongAxis(c, c.input(7), 2, 0),
    zeroPoint && alongAxis(c, zeroPoint, 2, 0),
    zeroPoint ? c.type(zeroPoint).dtype : c.type(a).dtype,
  );
}

/** Experts: all are computed, the chosen ones weighted; the others weigh nothing. */
function mixtureOfExperts(c: ImportContext): Value {
  if (c.int('use_sparse_mixer', 0) !== 0) c.unsupported('the sparse mixer');
  const x = c.input(0);
  const { dtype } = c.type(x);
  const width = c.dimsOf(x).at(-1)!;
  const tokens = productOf(c.dimsOf(x).slice(0, -1));
  const flat = reshape(c, x, [tokens, width]);
  const experts = c.dimsOf(c.input(2))[0]!;
  const [best, indices] = c.node('topK', [c.op('softmax', [c.input(1)], { axis: -1 }), c.dims([c.int('k', 1)])], {
    axis: -1,
  }) as [Value, Value];
  const total = (): Value => c.op('reduce', [best], { monoid: 'sum', axes: [1], keepdims: true });
  const chosen = c.int('normalize_routing_weights', 0) === 0 ? best : c.op('div', [best, total()]);
  const none = expand(c, c.scalar(0, dtype), [tokens, experts]);
  const weights = c.op('scatterElements', [none, indices, chosen], { axis: 1 });
  const biased = (v: Value, bias: Value | undefined): Value => (bias ? c.op('add', [v, bias]) : v);
  const layer = (weight: Value, bias: Value | undefined): Value =>
    biased(c.op('dot', [flat, weight], { lhs: 'th', rhs: 'eih', out: 'tei' }), bias);
  const hidden = expertActivation(c, layer(c.input(2), c.optional(3)), () => layer(c.input(6), c.optional(7)));
  const out = biased(c.op('dot', [hidden, c.input(4)], { lhs: 'tei', rhs: 'ehi', out: 'teh' }), c.optional(5));
  return reshape(c, c.op('dot', [weights, out], { lhs: 'te', rhs: 'teh', out: 'th' }), c.dimsOf(x));
}

function expertActivation(c: ImportContext, first: Value, third: () => Value): Value {
  const kind = c.string('activation_type', 'relu');
  if (kind === 'swiglu') return swiglu(c, first, third);
  const y = simpleActivation(c, kind, first);
  return c.has(6) ? c.op('mul', [y, third()]) : y;
}

function simpleActivation(c: ImportContext, kind: string, x: Value): Value {
  switch (kind) {
    case 'relu':
      return c.op('relu', [x]);
    case 'gelu':
      return c.op('gelu', [x], { approximate: 'tanh' });
    case 'silu':
      return c.op('swish', [x]);
    case 'identity':
      return x;
    default:
      return c.fail(`activation_type '${kind}' is unknown`);
  }
}

/** G · sigmoid(alpha · G) · (L + beta), gate and linear part apart, interleaved or side by side. */
function swiglu(c: ImportContext, first: Value, third: () => Value): Value {
  const fusion = c.int('swiglu_fusion', 0);
  const { dtype } = c.type(first);
  const wide = c.dimsOf(first)[2];
  if (typeof wide !== 'number') return c.unsupported('an inner size that is not known');
  const half = (i: number): Value =>
    fusion === 1 ? sliceAxis(c, first, 2, i, wide / 2, 2) : sliceAxis(c, first, 2, (i * wide) / 2, wide / 2);
  let [gate, linear] = fusion === 0 ? [first, third()] : [half(0), half(1)];
  if (c.hasAttribute('swiglu_limit')) {
    const limit = c.scalar(c.float('swiglu_limit', 0), dtype);
    gate = c.op('min', [gate, limit]);
    linear = c.op('max', [c.op('min', [linear, limit]), c.op('neg', [limit])]);
  }
  const beta = c.float('activation_beta', 0);
  const shifted = beta === 0 ? linear : c.op('add', [linear, c.scalar(beta, dtype)]);
  return c.op('mul', [c.op('swish', [gate], { alpha: c.float('activation_alpha', 1) }), shifted]);
}

export const microsoftMatmulImporters: ImporterTable = {
  FusedMatMul: fusedMatMul,
  FusedMatMulActivation: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  FusedGemm: (c) => activated(c, gemm(c, c.input(0), c.input(1), c.optional(2))),
  MatMulNBits: matMulNBits,
  MatMulBnb4: matMulBnb4,
  GatherBlockQuantized: gatherBlockQuantized,
  MatMulIntegerToFloat: matMulIntegerToFloat,
  MatMulInteger16: (c) =>
    integerMatMul(c, { value: c.input(0), zeroPoint: undefined }, { value: c.input(1), zeroPoint: undefined }),
  DynamicQuantizeMatMul: dynamicQuantizeMatMul,
  QGemm: qGemm,
  MoE: mixtureOfExperts,
};
