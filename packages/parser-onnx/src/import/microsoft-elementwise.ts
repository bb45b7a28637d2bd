/** com.microsoft's activations, and arithmetic on quantized tensors. */

import type { Value } from '@tensorwright/core';
import { trilu } from './constants.js';
import { dequantized, quantized } from './quantize.js';
import type { ImportContext, ImporterTable } from './importer.js';

function withBias(c: ImportContext, x: Value, bias: Value | undefined): Value {
  return bias ? c.op('add', [x, bias]) : x;
}

/** The first half of the last axis, times GELU of the second half. */
function biasSplitGelu(c: ImportContext): Value {
  const x = withBias(c, c.input(0), c.input(1));
  const dims = c.dimsOf(x);
  const last = dims.length - 1;
  const width = dims[last];
  if (typeof width !== 'number' || width % 2 !== 0) return c.fail('the last axis must have a known, even extent');
  const half = (start: number): Value =>
    c.op('slice', [x], {
      starts: dims.map((_, i) => (i === last ? start : 0)),
      sizes: dims.with(last, width / 2),
      steps: dims.map(() => 1),
    });
  return c.op('mul', [half(0), c.op('gelu', [half(width / 2)])]);
}

/** Input i with the scale and zero point after it, as float32. */
function real(c: ImportContext, i: number): Value {
  return dequantized(c, c.input(i), c.input(i + 1), c.optional(i + 2));
}

/** A float result under the scale and zero point at inputs i and i + 1, in the dtype of input 0 (or `like`). */
function requantized(c: ImportContext, x: Value, i: number, like = 0): Value {
  return quantized(c, x, c.input(i), c.optional(i + 1), c.type(c.input(like)).dtype);
}

function quantizedBinary(op: string): (c: ImportContext) => Value {
  return (c) => requantized(c, c.op(op, [real(c, 0), real(c, 3)]), 6);
}

function quantizedSoftmax(c: ImportContext): Value {
  const x = real(c, 0);
  const rank = c.rank(x);
  // Models of an opset before 13 flatten at the axis, which is the same for the last one.
  const axis = c.axis(c.int('axis', c.int('opset', 13) < 13 ? 1 : -1), rank);
  if (c.int('opset', 13) < 13 && axis !== rank - 1)
    c.unsupported('QLinearSoftmax of an opset before 13 is supported along the last axis only');
  return requantized(c, c.op('softmax', [x], { axis }), 3);
}

export const microsoftElementwiseImporters: ImporterTable = {
  Gelu: (c) => c.op('gelu', [c.input(0)]),
  BiasGelu: (c) => c.op('gelu', [withBias(c, c.input(0), c.input(1))]),
  FastGelu: (c) => c.op('gelu', [withBias(c, c.input(0), c.optional(1))], { approximate: 'tanh' }),
  QuickGelu: (c) => c.op('swish', [c.input(0)], { alpha: c.float('alpha', 1.702) }),
  BiasSplitGelu: biasSplitGelu,
  BiasAdd: (c) => c.op('add', [withBias(c, c.input(0), c.input(1)), c.input(2)]),
  QLinearAdd: quantizedBinary('add'),
  QLinearMul: quantizedBinary('mul'),
  QLinearSigmoid: (c) => requantized(c, c.op('sigmoid', [real(c, 0)]), 3),
  QLinearLeakyRelu: (c) => requantized(c, c.op('leakyRelu', [real(c, 0)], { alpha: c.float('alpha', 0.01) }), 3),
  QLinearSoftmax: quantizedSoftmax,
  Trilu: trilu,
  QLinearWhere: (c) => requantized(c, c.op('where', [c.input(0), real(c, 1), real(c, 4)]), 7, 1),
};
