/**
 * Which parts of scalar expressions end in a number of 16 bits and so may be computed to a relative error about 1e-6: the
 * rounding at the end is five hundred times as coarse. What a comparison, a rounding or an integer is made of stays exact.
 */

import { type DType, isFloat, dtypeInfo, type Scalar, scalarArgs } from '@tensorwright/core';

/** In which a small relative error of an argument stays one of the result (that of a sum: small beside its terms). */
const smooth: ReadonlySet<string> = new Set([
  ...['add', 'sub', 'mul', 'div', 'neg', 'abs', 'min', 'max', 'cast', 'select'],
  ...['exp', 'sigmoid', 'tanh', 'erf', 'sqrt', 'reciprocal'],
]);

/** Of which scalar.cuh has a coarse variant, `coarse_NAME`. */
const approximated: ReadonlySet<string> = new Set(['div', 'exp', 'sigmoid', 'tanh', 'erf', 'sqrt', 'reciprocal']);

const isNarrow = (dtype: DType): boolean => isFloat(dtype) && dtypeInfo(dtype).bits <= 16;

/**
 * How exact an expression has to be: not, since it ends in 16 bits; as it ends in a wide float, though a narrow one on the
 * way to it may be coarse again; or exactly, since a step depends on it.
 */
const needs = ['coarse', 'wide', 'exact'] as const;
type Need = (typeof needs)[number];

/** The operations of these expressions that may be coarse. */
export function coarseOperations(expressions: readonly Scalar[]): ReadonlySet<Scalar> {
  const found = new Map<Scalar, Need>();
  const visit = (e: Scalar, asked: Need): void => {
    const need = asked === 'wide' && isNarrow(e.dtype) ? 'coarse' : asked;
    const known = found.get(e);
    if (known !== undefined && needs.indexOf(known) >= needs.indexOf(need)) return;
    found.set(e, need);
    scalarArgs(e).forEach((argument, i) => {
      const passes = smooth.has(e.op) && isFloat(e.dtype) && !(e.op === 'select' && i === 0);
      visit(argument, passes ? need : 'exact');
    });
  };
  for (const e of expressions) visit(e, 'wide');
  const isCoarse = (e: Scalar): boolean =>
    found.get(e) === 'coarse' && approximated.has(e.op) && isFloat(e.dtype) && e.dtype !== 'float64';
  return new Set([...found.keys()].filter(isCoarse));
}
