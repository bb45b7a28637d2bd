/**
 * Symbolic dimensions: integers or canonical integer expressions over named symbols.
 *
 * An expression is a sum of products of atoms (symbols and opaque functions of expressions), sorted, so that
 * equal expressions have equal keys and `a - a = 0`, `(4·x) / 4 = x` hold by construction. "Unknown" is a legal
 * answer to every question: `provablyEqual` and its kin never guess.
 */

import { TensorwrightError } from './errors.js';

/** A named unknown. Identity is the object; `name` is for people. Bounds are inclusive. */
export interface DimSymbol {
  readonly kind: 'symbol';
  readonly id: number;
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

export type DimFunction = 'floordiv' | 'mod' | 'min' | 'max';

/** A function that does not expand into sums and products. */
interface DimCall {
  readonly kind: 'call';
  readonly fn: DimFunction;
  readonly args: readonly [Dim, Dim];
  readonly key: string;
}

type Atom = DimSymbol | DimCall;

interface Term {
  readonly coefficient: number;
  /** Sorted by key, repeated for powers; never empty. */
  readonly atoms: readonly Atom[];
}

/** Expressions beyond this are none that a model means: they come of graphs that double. */
const maxKeyLength = 20_000;

/** An expression that is not a plain integer. */
export class DimExpression {
  readonly constant: number;
  readonly terms: readonly Term[];
  readonly key: string;

  constructor(constant: number, terms: readonly Term[]) {
    this.constant = constant;
    this.terms = terms;
    this.key =
      terms.map((t) => `${String(t.coefficient)}*${t.atoms.map(atomKey).join('*')}`).join('+') + `+${String(constant)}`;
    if (this.key.length > maxKeyLength) {
      throw new TensorwrightError(
        'ERR_LIMIT_EXCEEDED',
        `a dimension has become an expression of more than ${String(maxKeyLength)} characters`,
        { limit: maxKeyLength },
      );
    }
  }

  toString(): string {
    return formatDim(this);
  }
}

/** A non-negative extent, an index, or any integer computed from them. */
export type Dim = number | DimExpression;

let nextSymbol = 1;

/** The upper bound of a dimension of which nothing is known. */
export const unboundedExtent: number = 2 ** 31 - 1;

/** @param bounds inclusive; default 0 … `unboundedExtent`. */
export function createSymbol(name: string, bounds: { min?: number; max?: number } = {}): DimSymbol {
  return { kind: 'symbol', id: nextSymbol++, name, min: bounds.min ?? 0, max: bounds.max ?? unboundedExtent };
}

export function symbolDim(symbol: DimSymbol): Dim {
  return new DimExpression(0, [{ coefficient: 1, atoms: [symbol] }]);
}

function atomKey(atom: Atom): string {
  return atom.kind === 'symbol' ? `s${String(atom.id)}` : atom.key;
}

export function dimKey(d: Dim): string {
  return typeof d === 'number' ? String(d) : d.key;
}

export function dimsKey(dims: readonly Dim[]): string {
  return dims.map(dimKey).join(',');
}

function make(constant: number, terms: Iterable<Term>): Dim {
  const merged = new Map<string, Term>();
  for (const t of terms) {
    const key = t.atoms.map(atomKey).join('*');
    const old = merged.get(key);
    merged.set(key, old ? { coefficient: old.coefficient + t.coefficient, atoms: t.atoms } : t);
  }
  const kept = [...merged].filter(([, t]) => t.coefficient !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  if (kept.length === 0) return checked(constant);
  return new DimExpression(
    checked(constant),
    kept.map(([, t]) => t),
  );
}

function checked(n: number): number {
  if (!Number.isSafeInteger(n))
    throw new TensorwrightError('ERR_LIMIT_EXCEEDED', `a dimension exceeds 2^53 - 1: ${String(n)}`);
  return n === 0 ? 0 : n;
}

function parts(d: Dim): { constant: number; terms: readonly Term[] } {
  return typeof d === 'number' ? { constant: d, terms: [] } : d;
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return checked(a + b);
  const x = parts(a);
  const y = parts(b);
  return make(x.constant + y.constant, [...x.terms, ...y.terms]);
}

export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return checked(a * b);
  const x = parts(a);
  const y = parts(b);
  if (x.terms.length * y.terms.length > maxKeyLength)
    throw new TensorwrightError('ERR_LIMIT_EXCEEDED', 'a dimension has become an expression of too many terms', {
      limit: maxKeyLength,
    });
  const terms: Term[] = [];
  for (const t of x.terms)
    if (y.constant !== 0) terms.push({ coefficient: checked(t.coefficient * y.constant), atoms: t.atoms });
  for (const t of y.terms)
    if (x.constant !== 0) terms.push({ coefficient: checked(t.coefficient * x.constant), atoms: t.atoms });
  for (const s of x.terms) {
    for (const t of y.terms) {
      const atoms = [...s.atoms, ...t.atoms].sort((p, q) => (atomKey(p) < atomKey(q) ? -1 : 1));
      terms.push({ coefficient: checked(s.coefficient * t.coefficient), atoms });
    }
  }
  return make(checked(x.constant * y.constant), terms);
}

export function negDim(a: Dim): Dim {
  return mulDims(a, -1);
}

export function subDims(a: Dim, b: Dim): Dim {
  return addDims(a, negDim(b));
}

export function productOf(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>((p, d) => mulDims(p, d), 1);
}

function call(fn: DimFunction, a: Dim, b: Dim): Dim {
  const key = `${fn}(${dimKey(a)};${dimKey(b)})`;
  return new DimExpression(0, [{ coefficient: 1, atoms: [{ kind: 'call', fn, args: [a, b], key }] }]);
}

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

function asCall(d: Dim, fn: DimFunction): DimCall | undefined {
  if (typeof d === 'number' || d.constant !== 0 || d.terms.length !== 1) return undefined;
  const t = d.terms[0]!;
  const atom = t.atoms[0]!;
  return t.coefficient === 1 && t.atoms.length === 1 && atom.kind === 'call' && atom.fn === fn ? atom : undefined;
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

export function provablyEqual(a: Dim, b: Dim): boolean {
  return a === b || dimKey(a) === dimKey(b);
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

export function provablyDivisible(a: Dim, k: number): boolean {
  return modDims(a, k) === 0;
}

/** Every symbol that occurs. */
export function dimSymbols(d: Dim, into: Set<DimSymbol> = new Set()): Set<DimSymbol> {
  if (typeof d === 'number') return into;
  for (const t of d.terms) {
    for (const atom of t.atoms) {
      if (atom.kind === 'symbol') into.add(atom);
      else for (const a of atom.args) dimSymbols(a, into);
    }
  }
  return into;
}

/** The symbol when `d` is exactly one symbol. */
export function asSymbol(d: Dim): DimSymbol | undefined {
  if (typeof d === 'number' || d.constant !== 0 || d.terms.length !== 1) return undefined;
  const t = d.terms[0];
  const atom = t?.atoms[0];
  return t?.coefficient === 1 && t.atoms.length === 1 && atom?.kind === 'symbol' ? atom : undefined;
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

/** The value under an assignment of all symbols. @throws ERR_INTERNAL when one is missing. */
export function evaluateDim(d: Dim, valueOf: (symbol: DimSymbol) => number | undefined): number {
  const value = substituteDim(d, (s) => {
    const v = valueOf(s);
    if (v === undefined) throw new TensorwrightError('ERR_INTERNAL', `no value for the dimension '${s.name}'`);
    return v;
  });
  return value as number;
}

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

export function formatDim(d: Dim): string {
  if (typeof d === 'number') return String(d);
  const text = d.terms.map((t) => {
    const product = t.atoms
      .map((a) => (a.kind === 'symbol' ? a.name : `${a.fn}(${formatDim(a.args[0])}, ${formatDim(a.args[1])})`))
      .join('·');
    return t.coefficient === 1 ? product : `${String(t.coefficient)}·${product}`;
  });
  if (d.constant !== 0) text.push(String(d.constant));
  return text.join(' + ').replaceAll('+ -', '- ');
}

export function formatDims(dims: readonly Dim[] | undefined): string {
  return dims === undefined ? '[…]' : `[${dims.map(formatDim).join(', ')}]`;
}
