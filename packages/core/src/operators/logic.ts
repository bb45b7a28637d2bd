/** Logic on bool tensors; `not` is among the unary operators. */

import type { Dim } from '../dim.js';
import type { Operator } from '../operator.js';
import { type BinaryScalarOp, scalar } from '../scalar.js';
import { mapOperator } from './map.js';

function logic(name: string, op: BinaryScalarOp, decide: (a: Dim, b: Dim) => boolean | undefined): Operator {
  return mapOperator({
    name,
    inputs: ['a', 'b'],
    accepts: (dtype) => dtype === 'bool',
    scalar: ([a, b]) => scalar.binary(op, a!, b!),
    fact: ([a, b]) => {
      const known = decide(a!, b!);
      return known === undefined ? undefined : Number(known);
    },
  });
}

function bothKnown(f: (a: boolean, b: boolean) => boolean): (a: Dim, b: Dim) => boolean | undefined {
  return (a, b) => (typeof a === 'number' && typeof b === 'number' ? f(a !== 0, b !== 0) : undefined);
}

export const logicOperators: readonly Operator[] = [
  logic(
    'and',
    'and',
    bothKnown((a, b) => a && b),
  ),
  logic(
    'or',
    'or',
    bothKnown((a, b) => a || b),
  ),
  logic(
    'xor',
    'xor',
    bothKnown((a, b) => a !== b),
  ),
];
