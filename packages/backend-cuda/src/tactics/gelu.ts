/** GELU among scalar expressions, for libraries that have it as one operation. */

import { operatorOf, type Scalar, scalarArgs } from '@tensorwright/core';

/** What the activation is of; undefined for other expressions. */
export function withoutGelu(e: Scalar, approximate: 'none' | 'tanh'): Scalar | undefined {
  const half = e.op === 'mul' ? e.args[0] : undefined;
  if (half?.op !== 'mul') return undefined;
  const of = half.args[1];
  return sameScalar(e, operatorOf('gelu').scalar!([of], { approximate }, of.dtype)) ? of : undefined;
}

export function sameScalar(a: Scalar, b: Scalar): boolean {
  if (a === b) return true;
  if (a.op !== b.op || a.dtype !== b.dtype) return false;
  if (a.op === 'arg') return a.index === (b as typeof a).index;
  if (a.op === 'const') return a.value === (b as typeof a).value;
  const others = scalarArgs(b);
  return scalarArgs(a).every((x, i) => sameScalar(x, others[i]!));
}
