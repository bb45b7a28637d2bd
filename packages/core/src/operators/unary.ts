/** Map operators of one input: arithmetic, rounding, exponential, trigonometric, tests for special values. */

import { type Dim, dimBounds, negDim } from '../dim.js';
import { type DType, isFloat, isInteger } from '../dtype.js';
import type { Operator } from '../operator.js';
import { type Scalar, scalar, type UnaryScalarOp } from '../scalar.js';
import { mapOperator } from './map.js';

const isNumber = (dtype: DType): boolean => isFloat(dtype) || isInteger(dtype);

function unary(
  name: string,
  op: UnaryScalarOp,
  accepts: (dtype: DType) => boolean,
  more: { fact?: (d: Dim) => Dim | undefined; safeIn16Bit?: boolean } = {},
): Operator {
  const { fact, safeIn16Bit } = more;
  return mapOperator({
    name,
    inputs: ['x'],
    accepts,
    scalar: ([x]) => scalar.unary(op, x!),
    ...(fact && { fact: ([d]: readonly Dim[]) => fact(d!) }),
    ...(safeIn16Bit !== undefined && { safeIn16Bit }),
  });
}

/** Whether `d` is known to be negative, or known not to be. */
function signOf(d: Dim): 'negative' | 'zero' | 'positive' | 'not negative' | undefined {
  const { min, max } = dimBounds(d);
  if (max < 0) return 'negative';
  if (min > 0) return 'positive';
  if (min === 0) return max === 0 ? 'zero' : 'not negative';
  return undefined;
}

const wide = { safeIn16Bit: false };
const same = { fact: (d: Dim): Dim => d };

export const unaryOperators: readonly Operator[] = [
  unary('neg', 'neg', isNumber, { fact: negDim }),
  unary('abs', 'abs', isNumber, {
    fact: (d) => {
      const sign = signOf(d);
      return sign === undefined ? undefined : sign === 'negative' ? negDim(d) : d;
    },
  }),
  unary('sign', 'sign', isNumber, {
    fact: (d) => {
      const sign = signOf(d);
      return sign === 'negative' ? -1 : sign === 'zero' ? 0 : sign === 'positive' ? 1 : undefined;
    },
  }),
  unary('floor', 'floor', isNumber, same),
  unary('ceil', 'ceil', isNumber, same),
  unary('round', 'round', isNumber, same),
  unary('sqrt', 'sqrt', isNumber),
  unary('reciprocal', 'reciprocal', isNumber, wide),
  unary('exp', 'exp', isFloat, wide),
  unary('log', 'log', isFloat, wide),
  unary('sin', 'sin', isFloat),
  unary('cos', 'cos', isFloat),
  unary('tan', 'tan', isFloat),
  unary('asin', 'asin', isFloat),
  unary('acos', 'acos', isFloat),
  unary('atan', 'atan', isFloat),
  unary('sinh', 'sinh', isFloat, wide),
  unary('cosh', 'cosh', isFloat, wide),
  unary('tanh', 'tanh', isFloat),
  unary('asinh', 'asinh', isFloat),
  unary('acosh', 'acosh', isFloat),
  unary('atanh', 'atanh', isFloat),
  unary('erf', 'erf', isNumber),
  unary('not', 'not', (dtype) => dtype === 'bool', {
    fact: (d) => (typeof d === 'number' ? (d === 0 ? 1 : 0) : undefined),
  }),
  unary('bitwiseNot', 'bitnot', isInteger),
  mapOperator({
    name: 'isNaN',
    inputs: ['x'],
    accepts: isFloat,
    result: () => 'bool',
    scalar: ([x]) => scalar.unary('isnan', x!),
  }),
  mapOperator({
    name: 'isInf',
    inputs: ['x'],
    attributes: { detectPositive: true, detectNegative: true },
    accepts: isFloat,
    result: () => 'bool',
    scalar: ([x], attributes): Scalar => {
      const positive = scalar.unary('isposinf', x!);
      const negative = scalar.unary('isneginf', x!);
      if (attributes['detectPositive'] !== true)
        return attributes['detectNegative'] === true ? negative : scalar.constant(0, 'bool');
      return attributes['detectNegative'] === true ? scalar.binary('or', positive, negative) : positive;
    },
  }),
];
