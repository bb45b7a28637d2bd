/** Activations. */

import { dtypeInfo, isFloat, Tensor, type Value } from '@tensorwright/core';
import { asScalar, castTo } from './elementwise.js';
import type { ImportContext, ImporterTable, ImportFunction } from './importer.js';
import { reshaped } from './shape.js';

/** An activation whose float attributes have these defaults and the same names in ONNX. */
const activation =
  (op: string, defaults: Readonly<Record<string, number>> = {}): ImportFunction =>
  (c) =>
    c.op(
      op,
      [c.input(0)],
      Object.fromEntries(Object.entries(defaults).map(([name, fallback]) => [name, c.float(name, fallback)])),
    );

/** Of integers in floats: bias and threshold need not be whole, nor the result before it is stored. */
function shrink(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const attributes = { lambd: c.float('lambd', 0.5), bias: c.float('bias', 0) };
  if (isFloat(dtype)) return c.op('shrink', [x], attributes);
  const wide = dtypeInfo(dtype).bits >= 32 ? 'float64' : 'float32';
  return castTo(c, c.op('shrink', [castTo(c, x, wide)], attributes), dtype);
}

/** To opset 6 a slope of more than one element belongs to the channels. */
function prelu(c: ImportContext): Value {
  const [x, slope] = [c.input(0), c.input(1)];
  if (c.opset >= 7) return c.op('prelu', [x, slope]);
  const dims = c.dimsOf(slope);
  const perChannel = dims.length === 1 && dims[0] !== 1 && c.rank(x) > 1;
  return c.op('prelu', [
    x,
    perChannel ? reshaped(c, slope, [dims[0]!, ...new Array<number>(c.rank(x) - 2).fill(1)]) : asScalar(c, slope),
  ]);
}

function gelu(c: ImportContext): Value {
  const approximate = c.string('approximate', 'none');
  if (approximate !== 'none' && approximate !== 'tanh')
    c.fail(`attribute 'approximate' must be none or tanh, is '${approximate}'`);
  return c.op('gelu', [c.input(0)], { approximate });
}

/** alpha · f(beta · x), of ONNX's experimental days. */
function scaledActivation(c: ImportContext, op: string): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  return c.op('mul', [
    c.scalar(c.float('alpha', 1), dtype),
    c.op(op, [c.op('mul', [c.scalar(c.float('beta', 1), dtype), x])]),
  ]);
}

/** x · scale + bias of the channel. */
function imageScaler(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const scaled = c.op('mul', [x, c.scalar(c.float('scale', 1), dtype)]);
  const bias = c.floats('bias');
  if (!bias) return scaled;
  if (dtype !== 'float32') c.unsupported(`ImageScaler of ${dtype} is not supported`);
  return c.op('add', [scaled, c.constant(new Tensor('float32', bias, [bias.length, 1, 1]))]);
}

export const activationImporters: ImporterTable = {
  Relu: activation('relu'),
  LeakyRelu: activation('leakyRelu', { alpha: 0.01 }),
  PRelu: prelu,
  Elu: activation('elu', { alpha: 1 }),
  Selu: {
    1: activation('selu', { alpha: 1.6732, gamma: 1.0507 }),
    6: activation('selu', { alpha: 1.6732631921768188, gamma: 1.0507010221481323 }),
  },
  Celu: activation('celu', { alpha: 1 }),
  Sigmoid: activation('sigmoid'),
  HardSigmoid: activation('hardSigmoid', { alpha: 0.2, beta: 0.5 }),
  HardSwish: activation('hardSwish'),
  Softplus: activation('softplus'),
  Softsign: activation('softsign'),
  Mish: activation('mish'),
  Gelu: gelu,
  Swish: activation('swish', { alpha: 1 }),
  SwiGLU: (c) => c.op('mul', [c.op('swish', [c.input(0)], { alpha: c.float('alpha', 1) }), c.input(1)]),
  ThresholdedRelu: activation('thresholdedRelu', { alpha: 1 }),
  Shrink: shrink,

  ParametricSoftplus: (c) => scaledActivation(c, 'softplus'),
  ScaledTanh: (c) => scaledActivation(c, 'tanh'),
  ImageScaler: imageScaler,
};
