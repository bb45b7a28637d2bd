/** Map operators: most are ONNX operators of the same name. */

import { type DType, dtypeInfo, isFloat } from '@tensorwright/core';
import type { ExportContext, ExporterTable, ExportFunction, OnnxAttribute } from './exporter.js';

/** The ONNX operator, with attributes taken over; `floats` are float attributes. */
function same(op: string, floats: readonly string[] = []): ExportFunction {
  return (c) =>
    c.one(
      op,
      c.inputs(),
      Object.fromEntries(floats.map((name): [string, OnnxAttribute] => [name, { float: c.attribute<number>(name) }])),
    );
}

const plain: Readonly<Record<string, string>> = {
  neg: 'Neg',
  abs: 'Abs',
  sign: 'Sign',
  floor: 'Floor',
  ceil: 'Ceil',
  round: 'Round',
  sqrt: 'Sqrt',
  exp: 'Exp',
  log: 'Log',
  erf: 'Erf',
  sin: 'Sin',
  cos: 'Cos',
  tan: 'Tan',
  asin: 'Asin',
  acos: 'Acos',
  atan: 'Atan',
  sinh: 'Sinh',
  cosh: 'Cosh',
  tanh: 'Tanh',
  asinh: 'Asinh',
  acosh: 'Acosh',
  atanh: 'Atanh',
  reciprocal: 'Reciprocal',
  isNaN: 'IsNaN',
  not: 'Not',
  bitwiseNot: 'BitwiseNot',
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  min: 'Min',
  max: 'Max',
  and: 'And',
  or: 'Or',
  xor: 'Xor',
  bitwiseAnd: 'BitwiseAnd',
  bitwiseOr: 'BitwiseOr',
  bitwiseXor: 'BitwiseXor',
  equal: 'Equal',
  less: 'Less',
  greater: 'Greater',
  lessOrEqual: 'LessOrEqual',
  greaterOrEqual: 'GreaterOrEqual',
  where: 'Where',
  equalStrings: 'Equal',
  whereStrings: 'Where',
  relu: 'Relu',
  sigmoid: 'Sigmoid',
  softplus: 'Softplus',
  softsign: 'Softsign',
  mish: 'Mish',
  prelu: 'PRelu',
  hardSwish: 'HardSwish',
};

function cast(c: ExportContext): string {
  const to = c.attribute<DType>('to');
  const eight = dtypeInfo(to).bits === 8 && isFloat(to);
  return c.one('Cast', [c.input(0)], {
    to: c.code(to),
    ...(eight && { saturate: c.attribute<boolean>('saturate') ? 1 : 0 }),
  });
}

/** The parameter as a scalar or a vector along one axis, which is what ONNX wants. */
function quantizationParameter(c: ExportContext, i: number): { name: string; axis: number } {
  const dims = c.dims(i);
  const rank = c.dims(0).length;
  const long = dims.flatMap((d, axis) => (d === 1 ? [] : [axis]));
  if (long.length === 0) return { name: dims.length === 0 ? c.input(i) : c.reshape(c.input(i), []), axis: 0 };
  if (long.length > 1) c.unsupported('quantization parameters that vary along several axes');
  const axis = long[0]!;
  const name = dims.length === 1 ? c.input(i) : c.reshape(c.input(i), [dims[axis]!]);
  return { name, axis: rank - dims.length + axis };
}

function quantization(op: 'QuantizeLinear' | 'DequantizeLinear'): ExportFunction {
  return (c) => {
    const to = c.attribute<DType>('to');
    const scale = quantizationParameter(c, 1);
    if (op === 'QuantizeLinear' && c.type(1).dtype !== c.type(0).dtype) c.needs(23);
    const zeroPoint = c.has(2) ? quantizationParameter(c, 2).name : '';
    const vector = c.dims(1).some((d) => d !== 1);
    const axis = vector ? { axis: scale.axis } : {};
    if (op === 'QuantizeLinear')
      return c.one(op, [c.input(0), scale.name, zeroPoint], {
        ...axis,
        ...(zeroPoint === '' && { output_dtype: c.code(to) }),
      });
    const y = c.one(op, [c.input(0), scale.name, zeroPoint], axis);
    return c.type(1).dtype === to ? y : c.one('Cast', [y], { to: c.code(to) });
  };
}

export const mapExporters: ExporterTable = {
  ...Object.fromEntries(Object.entries(plain).map(([name, op]): [string, ExportFunction] => [name, same(op)])),
  leakyRelu: same('LeakyRelu', ['alpha']),
  elu: same('Elu', ['alpha']),
  selu: same('Selu', ['alpha', 'gamma']),
  celu: same('Celu', ['alpha']),
  hardSigmoid: same('HardSigmoid', ['alpha', 'beta']),
  thresholdedRelu: same('ThresholdedRelu', ['alpha']),
  shrink: same('Shrink', ['lambd', 'bias']),
  gelu: (c) => c.one('Gelu', [c.input(0)], { approximate: c.attribute<string>('approximate') }),
  swish: (c) => {
    const x = c.input(0);
    const alpha = c.attribute<number>('alpha');
    const inner = alpha === 1 ? x : c.one('Mul', [x, c.scalar(alpha, c.type(0).dtype)]);
    return c.one('Mul', [x, c.one('Sigmoid', [inner])]);
  },
  isInf: (c) =>
    c.one('IsInf', [c.input(0)], {
      detect_positive: c.attribute<boolean>('detectPositive') ? 1 : 0,
      detect_negative: c.attribute<boolean>('detectNegative') ? 1 : 0,
    }),
  mod: (c) => c.one('Mod', c.inputs(), { fmod: c.attribute<boolean>('fmod') ? 1 : 0 }),
  bitShift: (c) => c.one('BitShift', c.inputs(), { direction: c.attribute<string>('direction') }),
  cast,
  bitCast: (c) => {
    c.needs(26);
    return c.one('BitCast', [c.input(0)], { to: c.code(c.attribute<DType>('to')) });
  },
  parseNumbers: (c) => c.one('Cast', [c.input(0)], { to: c.code(c.attribute<DType>('to')) }),
  formatNumbers: (c) => c.one('Cast', [c.input(0)], { to: c.code('string') }),
  quantizeLinear: quantization('QuantizeLinear'),
  dequantizeLinear: quantization('DequantizeLinear'),
};
