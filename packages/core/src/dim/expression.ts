/**
 * Symbolic dimensions: integers or canonical integer expressions over named symbols.
 *
 * An expression is a sum of products of atoms (symbols and opaque functions of expressions), sorted, so that
 * equal expressions have equal keys and `a - a = 0`, `(4·x) / 4 = x` hold by construction. "Unknown" is a legal
 * answer to every question: `provablyEqual` and its kin never guess.
 */

import { TensorwrightError } from '../errors.js';

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
export interface DimCall {
  readonly kind: 'call';
  readonly fn: DimFunction;
  readonly args: readonly [Dim, Dim];
  readonly key: string;
}

export type Atom = DimSymbol | DimCall;

export interface Term {
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

export function atomKey(atom: Atom): string {
  return atom.kind === 'symbol' ? `s${String(atom.id)}` : atom.key;
}

export function dimKey(d: Dim): string {
  return typeof d === 'number' ? String(d) : d.key;
}

export function dimsKey(dims: readonly Dim[]): string {
  return dims.map(dimKey).join(',');
}

export function provablyEqual(a: Dim, b: Dim): boolean {
  return a === b || dimKey(a) === dimKey(b);
}

export function make(constant: number, terms: Iterable<Term>): Dim {
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

export function checked(n: number): number {
  if (!Number.isSafeInteger(n))
    throw new TensorwrightError('ERR_LIMIT_EXCEEDED', `a dimension exceeds 2^53 - 1: ${String(n)}`);
  return n === 0 ? 0 : n;
}

export function parts(d: Dim): { constant: number; terms: readonly Term[] } {
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

export function call(fn: DimFunction, a: Dim, b: Dim): Dim {
  const key = `${fn}(${dimKey(a)};${dimKey(b)})`;
  return new DimExpression(0, [{ coefficient: 1, atoms: [{ kind: 'call', fn, args: [a, b], key }] }]);
}

export function asCall(d: Dim, fn: DimFunction): DimCall | undefined {
  if (typeof d === 'number' || d.constant !== 0 || d.terms.length !== 1) return undefined;
  const t = d.terms[0]!;
  const atom = t.atoms[0]!;
  return t.coefficient === 1 && t.atoms.length === 1 && atom.kind === 'call' && atom.fn === fn ? atom : undefined;
}

/** The symbol when `d` is exactly one symbol. */
export function asSymbol(d: Dim): DimSymbol | undefined {
  if (typeof d === 'number' || d.constant !== 0 || d.terms.length !== 1) return undefined;
  const t = d.terms[0];
  const atom = t?.atoms[0];
  return t?.coefficient === 1 && t.atoms.length === 1 && atom?.kind === 'symbol' ? atom : undefined;
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
