/** Map operators of two inputs: arithmetic, minimum and maximum, bits. */

import {
  addDims,
  type Dim,
  dimBounds,
  exactQuotient,
  floorDivDims,
  maxDims,
  minDims,
  modDims,
  mulDims,
  subDims,
} from '../dim.js';
import { type DType, isFloat, isInteger } from '../dtype.js';
import type { Operator } from '../operator.js';
import { type BinaryScalarOp, scalar } from '../scalar.js';
import { mapOperator } from './map.js';

const isNumber = (dtype: DType): boolean => isFloat(dtype) || isInteger(dtype);

function binary(
  name: string,
  op: BinaryScalarOp,
  accepts: (dtype: DType) => boolean,
  fact?: (a: Dim, b: Dim, dtype: DType) => Dim | undefined,
): Operator {
  return mapOperator({
    name,
    inputs: ['a', 'b'],
    accepts,
    scalar: ([a, b]) => scalar.binary(op, a!, b!),
    ...(fact && { fact: ([a, b], _, dtype) => fact(a!, b!, dtype) }),
  });
}

function bothNumbers(f: (a: number, b: number) => number): (a: Dim, b: Dim) => Dim | undefined {
  return (a, b) => (typeof a === 'number' && typeof b === 'number' ? f(a, b) : undefined);
}

/** Integers round towards zero, which is floor division where neither side is negative; floats must divide exactly. */
function quotient(a: Dim, b: Dim, dtype: DType): Dim | undefined {
  if (isFloat(dtype)) return exactQuotient(a, b);
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? undefined : Math.trunc(a / b);
  const exact = exactQuotient(a, b);
  if (exact !== undefined) return exact;
  return dimBounds(a).min >= 0 && dimBounds(b).min > 0 ? floorDivDims(a, b) : undefined;
}

function remainder(a: Dim, b: Dim, fmod: boolean): Dim | undefined {
  if (typeof a === 'number' && typeof b === 'number' && fmod) return b === 0 ? undefined : a % b;
  if (dimBounds(b).min <= 0 && typeof b !== 'number') return undefined;
  return b === 0 || (fmod && dimBounds(a).min < 0) ? undefined : modDims(a, b);
}

function bitwise(name: string, op: BinaryScalarOp, f: (a: bigint, b: bigint) => bigint): Operator {
  return binary(
    name,
    op,
    isInteger,
    bothNumbers((a, b) => Number(f(BigInt(a), BigInt(b)))),
  );
}

export const binaryOperators: readonly Operator[] = [
  binary('add', 'add', isNumber, addDims),
  binary('sub', 'sub', isNumber, subDims),
  binary('mul', 'mul', isNumber, mulDims),
  binary('div', 'div', isNumber, quotient),
  binary('min', 'min', isNumber, minDims),
  binary('max', 'max', isNumber, maxDims),
  mapOperator({
    name: 'mod',
    inputs: ['a', 'b'],
    attributes: { fmod: false },
    accepts: isNumber,
    scalar: ([a, b], attributes) => scalar.binary(attributes['fmod'] === true ? 'fmod' : 'mod', a!, b!),
    fact: ([a, b], attributes) => remainder(a!, b!, attributes['fmod'] === true),
  }),
  mapOperator({
    name: 'pow',
    inputs: ['base', 'exponent'],
    accepts: isNumber,
    // The exponent's dtype may be any; the base's is the result's.
    free: [1],
    scalar: ([a, b]) => scalar.binary('pow', a!, b!),
    fact: ([a, b]) =>
      typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a ** b) ? a ** b : undefined,
    safeIn16Bit: false,
  }),
  mapOperator({
    name: 'bitShift',
    inputs: ['x', 'by'],
    attributes: { direction: undefined },
    accepts: isInteger,
    scalar: ([x, by], attributes) => scalar.binary(attributes['direction'] === 'LEFT' ? 'shl' : 'shr', x!, by!),
  }),
  bitwise('bitwiseAnd', 'bitand', (a, b) => a & b),
  bitwise('bitwiseOr', 'bitor', (a, b) => a | b),
  bitwise('bitwiseXor', 'bitxor', (a, b) => a ^ b),
];
