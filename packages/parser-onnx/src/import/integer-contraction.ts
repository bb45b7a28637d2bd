/**
 * Quantized contractions: integers less their zero points multiply into int32; then one scale, rounding and
 * saturation. A zero point of 0 is left out, so that the 8-bit operands reach the contraction as they are.
 */

import { type DType, isFloat, readNumbers, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { convolve } from './conv.js';
import { matmul } from './matmul.js';
import { cast, reshape } from './shorthand.js';

/** A quantized tensor with its parameters; per-axis ones are vectors along `axis`. */
export interface Quantized {
  readonly value: Value;
  readonly zeroPoint: Value | undefined;
}

/** A scale or zero point shaped to broadcast against rank dimensions: one element, a vector along `axis`, or as it is. */
export function alongAxis(c: ImportContext, parameter: Value, rank: number, axis: number): Value {
  const dims = c.dimsOf(parameter);
  if (dims.length !== 1) return parameter;
  if (dims[0] === 1) return reshape(c, parameter, []);
  return reshape(
    c,
    parameter,
    Array.from({ length: rank }, (_, i) => (i === axis ? dims[0]! : 1)),
  );
}

/** Whether a zero point is absent or all zeros. */
function isZero(c: ImportContext, zeroPoint: Value | undefined): boolean {
  if (zeroPoint === undefined) return true;
  const constant = c.constantOf(zeroPoint);
  return constant !== undefined && readNumbers(constant).every((v) => v === 0);
}

/** Both operands ready for an integer contraction; float8 operands are widened to float32. */
export function centred(c: ImportContext, a: Quantized, b: Quantized): [Value, Value] {
  if (isFloat(c.type(a.value).dtype)) return [cast(c, a.value, 'float32'), cast(c, b.value, 'float32')];
  if (isZero(c, a.zeroPoint) && isZero(c, b.zeroPoint)) return [a.value, b.value];
  const centre = ({ value, zeroPoint }: Quantized): Value => {
    const wide = cast(c, value, 'int32');
    return zeroPoint === undefined || isZero(c, zeroPoint) ? wide : c.op('sub', [wide, cast(c, zeroPoint, 'int32')]);
  };
  return [centre(a), centre(b)];
}

/** The result of a contraction under its scale, brought to the output's scale and zero point. */
export function requantize(
  c: ImportContext,
  sums: Value,
  factor: Value,
  scale: Value,
  zeroPoint: Value | undefined,
  to: DType,
): Value {
  return quantize(c, toReal(c, sums, factor), scale, zeroPoint, to);
}

/** sums · factor in float32. */
export function toReal(c: ImportContext, sums: Value, factor: Value): Value {
  if (isFloat(c.type(sums).dtype)) return c.op('mul', [sums, cast(c, factor, 'float32')]);
  return c.op('dequantizeLinear', [sums, cast(c, factor, 'float32')], { to: 'float32' });
}

/** saturate(round(x / scale) + zeroPoint); parameters broadcast against x. */
export function quantize(c: ImportContext, x: Value, scale: Value, zeroPoint: Value | undefined, to: DType): Value {
  return c.op('quantizeLinear', [x, scale, isZero(c, zeroPoint) ? undefined : zeroPoint], { to, precision: 'float32' });
}

/** (value − zeroPoint) · scale in float32; parameters broadcast against the value. */
export function dequantize(c: ImportContext, { value, zeroPoint }: Quantized, scale: Value): Value {
  return c.op('dequantizeLinear', [value, scale, isZero(c, zeroPoint) ? undefined : zeroPoint], { to: 'float32' });
}

/** Parameters of the left matrix are per row, of the right one per column. */
export function perRow(c: ImportContext, parameter: Value, of: Value): Value {
  return alongAxis(c, parameter, Math.max(c.rank(of), 2), Math.max(c.rank(of), 2) - 2);
}

export function perColumn(c: ImportContext, parameter: Value, of: Value): Value {
  return alongAxis(c, parameter, c.rank(of), c.rank(of) - 1);
}

export function integerMatMul(c: ImportContext, a: Quantized, b: Quantized): Value {
  const left = { value: a.value, zeroPoint: a.zeroPoint && perRow(c, a.zeroPoint, a.value) };
  const right = { value: b.value, zeroPoint: b.zeroPoint && perColumn(c, b.zeroPoint, b.value) };
  return matmul(c, ...centred(c, left, right));
}

export function integerConv(c: ImportContext, x: Quantized, w: Quantized, bias?: Value): Value {
  const weight = { value: w.value, zeroPoint: w.zeroPoint && alongAxis(c, w.zeroPoint, c.rank(w.value), 0) };
  const input = { value: x.value, zeroPoint: x.zeroPoint && alongAxis(c, x.zeroPoint, c.rank(x.value), 1) };
  const [left, right] = centred(c, input, weight);
  return convolve(c, left, right, bias);
}

/** The product of two scales, in float32. */
export function productScale(c: ImportContext, a: Value, b: Value): Value {
  return c.op('mul', [cast(c, a, 'float32'), cast(c, b, 'float32')]);
}

function qLinearMatMul(c: ImportContext): Value {
  const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = c.inputs() as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const sums = integerMatMul(c, { value: a, zeroPoint: aZero }, { value: b, zeroPoint: bZero });
  const rank = c.rank(sums);
  const factor = productScale(c, perRow(c, aScale, a), perColumn(c, bScale, b));
  const [scale, zeroPoint] = [yScale, yZero].map((v) => alongAxis(c, v, rank, rank - 2)) as [Value, Value];
  return requantize(c, sums, factor, scale, zeroPoint, c.type(yZero).dtype);
}

/** Inputs x, x_scale, x_zp, w, w_scale, w_zp, y_scale, y_zp, bias. */
export function qLinearConv(c: ImportContext, x: Value): Value {
  const [, xScale, xZero, w, wScale, wZero, yScale, yZero] = c.inputs() as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const sums = integerConv(c, { value: x, zeroPoint: xZero }, { value: w, zeroPoint: wZero }, c.optional(8));
  const rank = c.rank(sums);
  const [scaleX, scaleW, scale, zeroPoint] = [xScale, wScale, yScale, yZero].map((v) => alongAxis(c, v, rank, 1)) as [
    Value,
    Value,
    Value,
    Value,
  ];
  return requantize(c, sums, productScale(c, scaleX, scaleW), scale, zeroPoint, c.type(yZero).dtype);
}

export const integerContractionImporters: ImporterTable = {
  MatMulInteger: (c) =>
    integerMatMul(c, { value: c.input(0), zeroPoint: c.optional(2) }, { value: c.input(1), zeroPoint: c.optional(3) }),
  ConvInteger: (c) =>
    integerConv(c, { value: c.input(0), zeroPoint: c.optional(2) }, { value: c.input(1), zeroPoint: c.optional(3) }),
  QLinearMatMul: qLinearMatMul,
  QLinearConv: (c) => qLinearConv(c, c.input(0)),
};
