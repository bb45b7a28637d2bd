/** Layers that work element by element. */

import { dtypeInfo } from '../dtype.js';
import type { Value } from '../graph.js';
import type { LayerBuilder } from './layers.js';

/** TensorRT's unary operations → ours. */
const unaryNames = {
  exp: 'exp',
  log: 'log',
  sqrt: 'sqrt',
  recip: 'reciprocal',
  abs: 'abs',
  neg: 'neg',
  sin: 'sin',
  cos: 'cos',
  tan: 'tan',
  sinh: 'sinh',
  cosh: 'cosh',
  asin: 'asin',
  acos: 'acos',
  atan: 'atan',
  asinh: 'asinh',
  acosh: 'acosh',
  atanh: 'atanh',
  ceil: 'ceil',
  floor: 'floor',
  erf: 'erf',
  not: 'not',
  sign: 'sign',
  round: 'round',
  isInf: 'isInf',
  isNaN: 'isNaN',
} as const;
export type UnaryOperation = keyof typeof unaryNames;

const elementWiseNames = {
  sum: 'add',
  prod: 'mul',
  max: 'max',
  min: 'min',
  sub: 'sub',
  div: 'div',
  pow: 'pow',
  floorDiv: 'floorDiv',
  and: 'and',
  or: 'or',
  xor: 'xor',
  equal: 'equal',
  greater: 'greater',
  less: 'less',
} as const;
export type ElementWiseOperation = keyof typeof elementWiseNames;

export const activationTypes = [
  'relu',
  'sigmoid',
  'tanh',
  'leakyRelu',
  'elu',
  'selu',
  'softsign',
  'softplus',
  'clip',
  'hardSigmoid',
  'scaledTanh',
  'thresholdedRelu',
  'geluErf',
  'geluTanh',
] as const;
export type ActivationType = (typeof activationTypes)[number];

export type ScaleMode = 'uniform' | 'channel' | 'elementwise';

export function unary(l: LayerBuilder, x: Value, operation: UnaryOperation): Value {
  const name = l.choice(operation, Object.keys(unaryNames) as UnaryOperation[], 'unary operation');
  return l.op(unaryNames[name], [x]);
}

export function elementWise(l: LayerBuilder, a: Value, b: Value, operation: ElementWiseOperation): Value {
  const name = l.choice(operation, Object.keys(elementWiseNames) as ElementWiseOperation[], 'elementwise operation');
  if (name !== 'floorDiv') return l.op(elementWiseNames[name], [a, b]);
  const kind = dtypeInfo(l.dtype(a)).class;
  const quotient = l.op('div', [a, b]);
  if (kind === 'float') return l.op('floor', [quotient]);
  if (kind === 'uint') return quotient;
  // Integers truncate: one less where a remainder has the other sign than the divisor.
  const zero = l.scalar(0, l.dtype(a));
  const rest = l.op('sub', [a, l.op('mul', [quotient, b])]);
  const crosses = l.op('and', [
    l.op('not', [l.op('equal', [rest, zero])]),
    l.op('xor', [l.op('less', [rest, zero]), l.op('less', [b, zero])]),
  ]);
  return l.op('where', [crosses, l.op('sub', [quotient, l.scalar(1, l.dtype(a))]), quotient]);
}

/** @param alpha, beta as the type wants them: clip's bounds, the slopes of leakyRelu and hardSigmoid … */
export function activation(
  l: LayerBuilder,
  x: Value,
  type: ActivationType,
  alpha: number | undefined,
  beta: number | undefined,
): Value {
  const dtype = l.dtype(x);
  const k = (value: number): Value => l.scalar(value, dtype);
  switch (l.choice(type, activationTypes, 'activation')) {
    case 'relu':
    case 'sigmoid':
    case 'tanh':
    case 'softsign':
      return l.op(type, [x]);
    case 'softplus':
      // alpha · log(1 + e^(beta·x))
      return scaled(l, l.op('softplus', [scaled(l, x, beta ?? 1)]), alpha ?? 1);
    case 'leakyRelu':
    case 'elu':
    case 'thresholdedRelu':
      return l.op(type, [x], alpha === undefined ? {} : { alpha });
    case 'selu':
      return l.op('selu', [x], { ...(alpha !== undefined && { alpha }), ...(beta !== undefined && { gamma: beta }) });
    case 'hardSigmoid':
      return l.op('hardSigmoid', [x], { ...(alpha !== undefined && { alpha }), ...(beta !== undefined && { beta }) });
    case 'clip':
      return l.op('min', [
        l.op('max', [x, k(alpha ?? l.fail('clip needs alpha, the lower bound'))]),
        k(beta ?? l.fail('clip needs beta, the upper bound')),
      ]);
    case 'scaledTanh':
      return scaled(l, l.op('tanh', [scaled(l, x, beta ?? 1)]), alpha ?? 1);
    case 'geluErf':
      return l.op('gelu', [x], { approximate: 'none' });
    case 'geluTanh':
      return l.op('gelu', [x], { approximate: 'tanh' });
  }
}

function scaled(l: LayerBuilder, x: Value, factor: number): Value {
  return factor === 1 ? x : l.op('mul', [x, l.scalar(factor, l.dtype(x))]);
}

export interface ScaleParameters {
  readonly shift: Value | undefined;
  readonly scale: Value | undefined;
  readonly power: Value | undefined;
  readonly channelAxis: number;
}

/** (x · scale + shift)^power */
export function scale(l: LayerBuilder, x: Value, mode: ScaleMode, p: ScaleParameters): Value {
  l.choice(mode, ['uniform', 'channel', 'elementwise'], 'scale mode');
  const rank = l.dims(x).length;
  const shaped = (v: Value | undefined): Value | undefined => {
    if (!v || mode !== 'channel') return v;
    const [count, ...more] = l.dims(v);
    if (count === undefined || more.length > 0) return l.fail('channel parameters must have rank 1');
    const axis = l.axis(p.channelAxis, rank);
    return l.op('reshape', [v], { dims: Array.from({ length: rank - axis }, (_, i) => (i === 0 ? count : 1)) });
  };
  let y = x;
  const [factor, shift, power] = [shaped(p.scale), shaped(p.shift), shaped(p.power)];
  if (factor) y = l.op('mul', [y, factor]);
  if (shift) y = l.op('add', [y, shift]);
  return power ? l.op('pow', [y, power]) : y;
}
