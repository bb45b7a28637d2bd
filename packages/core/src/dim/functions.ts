/** Quotients, remainders and extremes, simplified as far as coefficients and bounds allow; and what is put for symbols. */

import { TensorwrightError } from '../errors.js';
import { dimBounds, provablyLessOrEqual } from './bounds.js';
import {
  addDims,
  asCall,
  type Atom,
  atomKey,
  call,
  checked,
  type Dim,
  type DimFunction,
  dimKey,
  type DimSymbol,
  formatDim,
  make,
  mulDims,
  negDim,
  parts,
  symbolDim,
  type Term,
} from './expression.js';

/** Exact quotient when every term of `a` is a multiple of the single-term `b`, else undefined. */
export function exactQuotient(a: Dim, b: Dim): Dim | undefined {
  if (b === 0) return undefined;
  if (dimKey(a) === dimKey(b)) return 1;
  if (typeof b === 'number') {
    if (typeof a === 'number') return a % b === 0 ? a / b : undefined;
    if (a.constant % b !== 0 || a.terms.some((t) => t.coefficient % b !== 0)) return undefined;
    return make(
      a.constant / b,
      a.terms.map((t) => ({ coefficient: t.coefficient / b, atoms: t.atoms })),
    );
  }
  if (a === 0) return 0;
  if (typeof a === 'number' || a.constant !== 0) return undefined;
  const divisor = b.terms[0];
  if (b.constant !== 0 || b.terms.length !== 1 || divisor === undefined) return undefined;
  let constant = 0;
  const terms: Term[] = [];
  for (const t of a.terms) {
    if (t.coefficient % divisor.coefficient !== 0) return undefined;
    const rest = [...t.atoms];
    for (const atom of divisor.atoms) {
      const at = rest.findIndex((r) => atomKey(r) === atomKey(atom));
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    const coefficient = t.coefficient / divisor.coefficient;
    if (rest.length === 0) constant += coefficient;
    else terms.push({ coefficient, atoms: rest });
  }
  return make(constant, terms);
}

/** Quotient rounded towards minus infinity. */
export function floorDivDims(a: Dim, b: Dim): Dim {
  if (b === 0) throw new TensorwrightError('ERR_VALUE', `division of the dimension ${formatDim(a)} by zero`);
  if (typeof a === 'number' && typeof b === 'number') return checked(Math.floor(a / b));
  const exact = exactQuotient(a, b);
  if (exact !== undefined) return exact;
  if (typeof b === 'number' && b > 0) {
    const { multiple, rest } = splitByDivisor(a, b);
    if (dimKey(multiple) !== '0') return addDims(multiple, floorDivDims(rest, b));
    const r = dimBounds(a);
    if (r.min >= 0 && r.max < b) return 0;
  }
  return call('floordiv', a, b);
}

/** a - b·floor(a / b). */
export function modDims(a: Dim, b: Dim): Dim {
  if (b === 0) throw new TensorwrightError('ERR_VALUE', `remainder of the dimension ${formatDim(a)} by zero`);
  if (typeof a === 'number' && typeof b === 'number') return checked(a - b * Math.floor(a / b));
  if (exactQuotient(a, b) !== undefined) return 0;
  if (typeof b === 'number' && b > 0) {
    const { multiple, rest } = splitByDivisor(a, b);
    if (dimKey(multiple) !== '0') return modDims(rest, b);
    const r = dimBounds(a);
    if (r.min >= 0 && r.max < b) return a;
  }
  return call('mod', a, b);
}

/** a = b·multiple + rest, as much as the coefficients show. */
function splitByDivisor(a: Dim, b: number): { multiple: Dim; rest: Dim } {
  const { constant, terms } = parts(a);
  const whole = Math.floor(constant / b);
  const divisible = terms.filter((t) => t.coefficient % b === 0);
  return {
    multiple: make(
      whole,
      divisible.map((t) => ({ coefficient: t.coefficient / b, atoms: t.atoms })),
    ),
    rest: make(
      constant - whole * b,
      terms.filter((t) => t.coefficient % b !== 0),
    ),
  };
}

export function ceilDivDims(a: Dim, b: Dim): Dim {
  return negDim(floorDivDims(negDim(a), b));
}

export function provablyDivisible(a: Dim, k: number): boolean {
  return modDims(a, k) === 0;
}

export function minDims(a: Dim, b: Dim): Dim {
  return extreme('min', [a, b]);
}

export function maxDims(a: Dim, b: Dim): Dim {
  return extreme('max', [a, b]);
}

/** The operands of a nested minimum or maximum; the dim itself when it is neither. */
export function extremeOperands(d: Dim, fn: 'min' | 'max'): readonly Dim[] {
  const atom = asCall(d, fn);
  return atom ? atom.args.flatMap((x) => extremeOperands(x, fn)) : [d];
}

/** Flattened, without operands that another one provably makes idle, and in one order: equal extremes are equal dims. */
function extreme(fn: 'min' | 'max', dims: readonly Dim[]): Dim {
  const idle = (x: Dim, y: Dim): boolean => (fn === 'max' ? provablyLessOrEqual(x, y) : provablyLessOrEqual(y, x));
  const kept: Dim[] = [];
  for (const d of dims.flatMap((x) => extremeOperands(x, fn))) {
    if (kept.some((k) => idle(d, k))) continue;
    for (let i = kept.length - 1; i >= 0; i--) if (idle(kept[i]!, d)) kept.splice(i, 1);
    kept.push(d);
  }
  kept.sort((x, y) => (dimKey(x) < dimKey(y) ? -1 : 1));
  return kept.reduce((x, y) => call(fn, x, y));
}

export function applyDimFunction(fn: DimFunction, a: Dim, b: Dim): Dim {
  switch (fn) {
    case 'floordiv':
      return floorDivDims(a, b);
    case 'mod':
      return modDims(a, b);
    case 'min':
      return minDims(a, b);
    case 'max':
      return maxDims(a, b);
  }
}

/** Replaces symbols and simplifies again. Symbols that `replace` answers with undefined stay. */
export function substituteDim(d: Dim, replace: (symbol: DimSymbol) => Dim | undefined): Dim {
  if (typeof d === 'number') return d;
  let sum: Dim = d.constant;
  for (const t of d.terms) {
    let product: Dim = t.coefficient;
    for (const atom of t.atoms) product = mulDims(product, substituteAtom(atom, replace));
    sum = addDims(sum, product);
  }
  return sum;
}

function substituteAtom(atom: Atom, replace: (symbol: DimSymbol) => Dim | undefined): Dim {
  if (atom.kind === 'symbol') return replace(atom) ?? symbolDim(atom);
  return applyDimFunction(atom.fn, substituteDim(atom.args[0], replace), substituteDim(atom.args[1], replace));
}

/** The value under an assignment of all symbols. @throws ERR_INTERNAL when one is missing. */
export function evaluateDim(d: Dim, valueOf: (symbol: DimSymbol) => number | undefined): number {
  const value = substituteDim(d, (s) => {
    const v = valueOf(s);
    if (v === undefined) throw new TensorwrightError('ERR_INTERNAL', `no value for the dimension '${s.name}'`);
    return v;
  });
  return value as number;
}
