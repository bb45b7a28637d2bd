/** What the bounds of symbols say of expressions. */

import { asCall, type Atom, type Dim, subDims } from './expression.js';

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Interval arithmetic over the symbols' bounds; ends may be infinite. */
export function dimBounds(d: Dim): Bounds {
  if (typeof d === 'number') return { min: d, max: d };
  let min = d.constant;
  let max = d.constant;
  for (const t of d.terms) {
    let b: Bounds = { min: t.coefficient, max: t.coefficient };
    for (const atom of t.atoms) b = times(b, atomBounds(atom));
    min += b.min;
    max += b.max;
  }
  return { min, max };
}

function times(a: Bounds, b: Bounds): Bounds {
  const products = [a.min * b.min, a.min * b.max, a.max * b.min, a.max * b.max].map((p) => (Number.isNaN(p) ? 0 : p));
  return { min: Math.min(...products), max: Math.max(...products) };
}

function atomBounds(atom: Atom): Bounds {
  if (atom.kind === 'symbol') return atom;
  const a = dimBounds(atom.args[0]);
  const b = dimBounds(atom.args[1]);
  switch (atom.fn) {
    case 'min':
      return { min: Math.min(a.min, b.min), max: Math.min(a.max, b.max) };
    case 'max':
      return { min: Math.max(a.min, b.min), max: Math.max(a.max, b.max) };
    case 'mod':
      return b.min > 0 ? { min: 0, max: b.max - 1 } : { min: -Infinity, max: Infinity };
    case 'floordiv': {
      if (b.min <= 0) return { min: -Infinity, max: Infinity };
      const ends = [a.min / b.min, a.min / b.max, a.max / b.min, a.max / b.max].map((e) =>
        Number.isNaN(e) ? 0 : Math.floor(e),
      );
      return { min: Math.min(...ends), max: Math.max(...ends) };
    }
  }
}

export function provablyLessOrEqual(a: Dim, b: Dim): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a <= b;
  if (dimBounds(subDims(b, a)).min >= 0) return true;
  const low = asCall(a, 'min');
  const high = asCall(b, 'max');
  if (
    low?.args.some((x) => provablyLessOrEqual(x, b)) === true ||
    high?.args.some((y) => provablyLessOrEqual(a, y)) === true
  )
    return true;
  const top = asCall(a, 'max');
  const bottom = asCall(b, 'min');
  return (
    top?.args.every((x) => provablyLessOrEqual(x, b)) === true ||
    bottom?.args.every((y) => provablyLessOrEqual(a, y)) === true
  );
}
