/** Comparisons: maps with bool results, decided at build time where the dims allow. */

import { addDims, type Dim, dimBounds, provablyEqual, provablyLessOrEqual, subDims } from '../dim.js';
import { type DType, isFloat, isInteger } from '../dtype.js';
import type { Operator } from '../operator.js';
import { type BinaryScalarOp, scalar } from '../scalar.js';
import { mapOperator } from './map.js';

const isNumber = (dtype: DType): boolean => isFloat(dtype) || isInteger(dtype);

function compare(
  name: string,
  op: BinaryScalarOp,
  accepts: (dtype: DType) => boolean,
  decide: (a: Dim, b: Dim) => boolean | undefined,
): Operator {
  return mapOperator({
    name,
    inputs: ['a', 'b'],
    accepts,
    result: () => 'bool',
    scalar: ([a, b]) => scalar.binary(op, a!, b!),
    fact: ([a, b]) => {
      const known = decide(a!, b!);
      return known === undefined ? undefined : Number(known);
    },
  });
}

function isEqual(a: Dim, b: Dim): boolean | undefined {
  if (provablyEqual(a, b)) return true;
  const { min, max } = dimBounds(subDims(a, b));
  return min > 0 || max < 0 ? false : undefined;
}

function isLess(a: Dim, b: Dim): boolean | undefined {
  if (provablyLessOrEqual(addDims(a, 1), b)) return true;
  return provablyLessOrEqual(b, a) ? false : undefined;
}

function negate(known: boolean | undefined): boolean | undefined {
  return known === undefined ? undefined : !known;
}

export const compareOperators: readonly Operator[] = [
  compare('equal', 'eq', (dtype) => isNumber(dtype) || dtype === 'bool', isEqual),
  compare('less', 'lt', isNumber, isLess),
  compare('greater', 'gt', isNumber, (a, b) => isLess(b, a)),
  compare('lessOrEqual', 'le', isNumber, (a, b) => negate(isLess(b, a))),
  compare('greaterOrEqual', 'ge', isNumber, (a, b) => negate(isLess(a, b))),
];
