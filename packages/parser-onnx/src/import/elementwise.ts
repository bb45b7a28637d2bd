/** Elementwise arithmetic, comparisons, logic, bits and choice. */

import { type DType, isFloat, isInteger, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable, ImportFunction } from './importer.js';
import { reshaped } from './shape.js';

/** To opset 6 operands of different rank are aligned by `axis`; from 7 on by their last axes. */
export function aligned(c: ImportContext): [Value, Value] {
  const [a, b] = [c.input(0), c.input(1)];
  if (c.opset >= 7 || c.int('broadcast', 0) === 0 || !c.hasAttribute('axis')) return [a, b];
  const rank = c.rank(a);
  const dims = c.dimsOf(b);
  const axis = c.axis(c.int('axis', 0), rank);
  const missing = rank - axis - dims.length;
  if (missing < 0) c.fail(`input 1 of rank ${dims.length} does not fit input 0 of rank ${rank} from axis ${axis} on`);
  return [a, missing === 0 ? b : reshaped(c, b, [...dims, ...new Array<number>(missing).fill(1)])];
}

export function castTo(c: ImportContext, x: Value, to: DType): Value {
  return c.type(x).dtype === to ? x : c.op('cast', [x], { to });
}

const unary =
  (op: string): ImportFunction =>
  (c) =>
    c.op(op, [c.input(0)]);
const binary =
  (op: string): ImportFunction =>
  (c) =>
    c.op(op, aligned(c));

function equal(c: ImportContext): Value {
  const [a, b] = aligned(c);
  return c.op(c.type(a).dtype === 'string' ? 'equalStrings' : 'equal', [a, b]);
}

function where(c: ImportContext): Value {
  const [condition, x, y] = [c.input(0), c.input(1), c.input(2)];
  return c.op(c.type(x).dtype === 'string' ? 'whereStrings' : 'where', [condition, x, y]);
}

/** The result has the base's dtype; operands of two dtypes meet in one that holds both. */
function pow(c: ImportContext): Value {
  const [base, exponent] = aligned(c);
  const [to, other] = [c.type(base).dtype, c.type(exponent).dtype];
  if (to === other) return c.op('pow', [base, exponent]);
  const common: DType = isInteger(to)
    ? isInteger(other)
      ? 'int64'
      : 'float64'
    : to === 'float64' || other === 'float64'
      ? 'float64'
      : 'float32';
  return castTo(c, c.op('pow', [castTo(c, base, common), castTo(c, exponent, common)]), to);
}

/** Max, Min, Sum of any number of inputs. */
function fold(c: ImportContext, op: string): Value {
  const [first, ...rest] = c.inputs();
  if (!first) return c.fail('it has no input');
  return rest.reduce((total, v) => c.op(op, [total, v]), first);
}

function mean(c: ImportContext): Value {
  const sum = fold(c, 'add');
  return c.inputCount === 1 ? sum : c.op('div', [sum, c.scalar(c.inputCount, c.type(sum).dtype)]);
}

/** As a scalar: some models write bounds as vectors of one element. */
export function asScalar(c: ImportContext, v: Value): Value {
  const { dims } = c.type(v);
  return dims === undefined || dims.length === 0 ? v : reshaped(c, v, []);
}

/** When min exceeds max, max wins. */
function clip(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  const attribute = (name: string): Value | undefined =>
    c.hasAttribute(name) ? c.scalar(c.float(name, 0), dtype) : undefined;
  const bound = (i: number): Value | undefined => {
    const v = c.optional(i);
    return v && asScalar(c, v);
  };
  const low = c.opset < 11 ? attribute('min') : bound(1);
  const high = c.opset < 11 ? attribute('max') : bound(2);
  const raised = low ? c.op('max', [x, low]) : x;
  return high ? c.op('min', [raised, high]) : raised;
}

function bitShift(c: ImportContext): Value {
  const direction = c.string('direction', '');
  if (direction !== 'LEFT' && direction !== 'RIGHT')
    c.fail(`attribute 'direction' must be LEFT or RIGHT, is '${direction}'`);
  return c.op('bitShift', [c.input(0), c.input(1)], { direction });
}

/** Special values exist in floats only. */
function test(c: ImportContext, op: string, attributes: Record<string, boolean> = {}): Value {
  const x = c.input(0);
  if (!isFloat(c.type(x).dtype)) c.fail(`the input must be a float tensor, is ${c.type(x).dtype}`);
  return c.op(op, [x], attributes);
}

/** alpha · x + beta, of ONNX's experimental days. */
function affine(c: ImportContext): Value {
  const x = c.input(0);
  const { dtype } = c.type(x);
  return c.op('add', [c.op('mul', [x, c.scalar(c.float('alpha', 1), dtype)]), c.scalar(c.float('beta', 0), dtype)]);
}

export const elementwiseImporters: ImporterTable = {
  Abs: unary('abs'),
  Neg: unary('neg'),
  Sign: unary('sign'),
  Floor: unary('floor'),
  Ceil: unary('ceil'),
  Round: unary('round'),
  Sqrt: unary('sqrt'),
  Exp: unary('exp'),
  Log: unary('log'),
  Reciprocal: unary('reciprocal'),
  Erf: unary('erf'),
  Sin: unary('sin'),
  Cos: unary('cos'),
  Tan: unary('tan'),
  Asin: unary('asin'),
  Acos: unary('acos'),
  Atan: unary('atan'),
  Sinh: unary('sinh'),
  Cosh: unary('cosh'),
  Tanh: unary('tanh'),
  Asinh: unary('asinh'),
  Acosh: unary('acosh'),
  Atanh: unary('atanh'),
  Not: unary('not'),
  BitwiseNot: unary('bitwiseNot'),
  IsNaN: (c) => test(c, 'isNaN'),
  IsInf: (c) =>
    test(c, 'isInf', {
      detectPositive: c.int('detect_positive', 1) !== 0,
      detectNegative: c.int('detect_negative', 1) !== 0,
    }),

  Add: binary('add'),
  Sub: binary('sub'),
  Mul: binary('mul'),
  Div: binary('div'),
  Pow: pow,
  Mod: (c) => c.op('mod', [c.input(0), c.input(1)], { fmod: c.int('fmod', 0) !== 0 }),
  And: binary('and'),
  Or: binary('or'),
  Xor: binary('xor'),
  BitwiseAnd: binary('bitwiseAnd'),
  BitwiseOr: binary('bitwiseOr'),
  BitwiseXor: binary('bitwiseXor'),
  BitShift: bitShift,
  Equal: equal,
  Less: binary('less'),
  Greater: binary('greater'),
  LessOrEqual: binary('lessOrEqual'),
  GreaterOrEqual: binary('greaterOrEqual'),
  Where: where,

  Max: (c) => fold(c, 'max'),
  Min: (c) => fold(c, 'min'),
  Sum: (c) => fold(c, 'add'),
  Mean: mean,
  Clip: clip,

  Affine: affine,
  Scale: (c) => c.op('mul', [c.input(0), c.scalar(c.float('scale', 1), c.type(c.input(0)).dtype)]),
};
