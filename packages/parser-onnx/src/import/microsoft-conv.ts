/** com.microsoft's convolutions and pools: fused, channels last, quantized. */

import type { Value } from '@tensorwright/core';
import { convolve } from './conv.js';
import type { ImportContext, ImporterTable } from './importer.js';
import { alongAxis, dequantize, qLinearConv, quantize } from './integer-contraction.js';
import { activated } from './microsoft-matmul.js';
import { averagePool, globalAveragePool, maxPool } from './pool.js';
import { concat, transpose } from './shorthand.js';

/** Channels from last to second place. */
function channelsSecond(c: ImportContext, v: Value): Value {
  const rank = c.rank(v);
  return transpose(c, v, [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)]);
}

function channelsLast(c: ImportContext, v: Value): Value {
  const rank = c.rank(v);
  return transpose(c, v, [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1]);
}

function isChannelsLast(c: ImportContext): boolean {
  return c.int('channels_last', 0) !== 0;
}

/** activation(conv(x, w, b) + z). */
function fusedConv(c: ImportContext): Value {
  const y = convolve(c, c.input(0), c.input(1), c.optional(2));
  const z = c.optional(3);
  return activated(c, z ? c.op('add', [y, z]) : y);
}

/** The quantized inputs x, scale, zero point as float32. */
function real(c: ImportContext, x: Value, first: number): Value {
  const zeroPoint = c.optional(first + 1);
  return dequantize(
    c,
    { value: x, zeroPoint: zeroPoint && alongAxis(c, zeroPoint, 1, 0) },
    alongAxis(c, c.input(first), 1, 0),
  );
}

function requantized(c: ImportContext, y: Value, first: number): Value {
  const zeroPoint = c.optional(first + 1);
  return quantize(
    c,
    y,
    alongAxis(c, c.input(first), 1, 0),
    zeroPoint && alongAxis(c, zeroPoint, 1, 0),
    c.type(c.input(0)).dtype,
  );
}

/** Inputs x, x_scale, x_zp, y_scale, y_zp. */
function quantizedPool(c: ImportContext, pool: (x: Value) => Value): Value {
  const last = isChannelsLast(c);
  const y = requantized(c, pool(real(c, last ? channelsSecond(c, c.input(0)) : c.input(0), 1)), 3);
  return last ? channelsLast(c, y) : y;
}

/** Inputs y_scale, y_zp, then x, scale, zero point of every part. */
function quantizedConcat(c: ImportContext): Value {
  const parts: Value[] = [];
  for (let i = 2; i < c.inputCount; i += 3) parts.push(real(c, c.input(i), i + 1));
  const y = concat(c, parts, c.axis(c.int('axis', 0), c.rank(parts[0]!)));
  return quantize(c, y, alongAxis(c, c.input(0), 1, 0), alongAxis(c, c.input(1), 1, 0), c.type(c.input(1)).dtype);
}

export const microsoftConvImporters: ImporterTable = {
  FusedConv: fusedConv,
  NhwcConv: (c) => channelsLast(c, convolve(c, channelsSecond(c, c.input(0)), c.input(1), c.optional(2))),
  NhwcMaxPool: (c) => channelsLast(c, maxPool(c, channelsSecond(c, c.input(0)))[0]!),
  QLinearConv: (c) =>
    isChannelsLast(c) ? channelsLast(c, qLinearConv(c, channelsSecond(c, c.input(0)))) : qLinearConv(c, c.input(0)),
  QLinearAveragePool: (c) => quantizedPool(c, (x) => averagePool(c, x)),
  QLinearGlobalAveragePool: (c) => quantizedPool(c, (x) => globalAveragePool(c, x)),
  QLinearConcat: quantizedConcat,
};
