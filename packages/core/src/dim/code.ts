/** Expressions as the executor computes them. */

import type { Dim, DimFunction, DimSymbol } from './expression.js';

/**
 * The expression as postfix code for the executor: ['c', n] constant, ['s', symbol], or one of
 * '+', '*', 'floordiv', 'mod', 'min', 'max' applied to the two values before it.
 */
export type DimCode = readonly ['c', number] | readonly ['s', DimSymbol] | readonly ['+' | '*' | DimFunction];

export function compileDim(d: Dim): DimCode[] {
  if (typeof d === 'number') return [['c', d]];
  const code: DimCode[] = [];
  d.terms.forEach((t, i) => {
    t.atoms.forEach((atom, k) => {
      if (atom.kind === 'symbol') code.push(['s', atom]);
      else code.push(...compileDim(atom.args[0]), ...compileDim(atom.args[1]), [atom.fn]);
      if (k > 0) code.push(['*']);
    });
    if (t.coefficient !== 1) code.push(['c', t.coefficient], ['*']);
    if (i > 0) code.push(['+']);
  });
  if (d.constant !== 0) code.push(['c', d.constant], ['+']);
  return code;
}
