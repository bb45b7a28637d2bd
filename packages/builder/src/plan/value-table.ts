/** The values of one program: how each is stored, in which memory, and which symbols it defines. */

import {
  asSymbol,
  definerOf,
  type Dim,
  type DimSymbol,
  dimBounds,
  dimSymbols,
  inferFacts,
  type Layout,
  type PlanMemory,
  type PlanStorage,
  type PlanValue,
  productOf,
  provablyEqual,
  topologicalOrder,
  unboundedExtent,
  type Value,
} from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';
import { axisOrder, denseView, isDense, type View } from './view.js';

/** Where a value is: a plan value, and how its elements lie there. */
export interface Placement {
  readonly value: number;
  /** undefined for values that are no tensors of known rank. */
  readonly view: View | undefined;
}

/** undefined: the host's. */
export type Memory = PlanMemory | undefined;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface ValueOptions {
  readonly storage?: PlanStorage;
  readonly layout?: Layout;
  readonly memory?: Memory;
  readonly names?: readonly string[];
}

export class ValueTable {
  readonly values: PlanValue[] = [];
  /** Of their extents. */
  readonly table: ExpressionTable;
  /** What each value that `add` made is of, and its layout. */
  readonly #madeFor = new Map<number, { readonly v: Value; readonly layout: Layout }>();
  readonly #bound = new Set<DimSymbol>();

  constructor(table: ExpressionTable) {
    this.table = table;
  }

  /** The enclosing program has given this symbol its value. */
  markBound(symbol: DimSymbol): void {
    this.#bound.add(symbol);
  }

  /** Whether the enclosing program, or a value's shape, gives it its value. */
  isBound(symbol: DimSymbol): boolean {
    return this.#bound.has(symbol);
  }

  /** A plan value for all of `v`, dense in the layout. */
  add(v: Value, options: ValueOptions = {}): Placement {
    const { storage = storageFor(v), layout = 'rows', memory, names = [] } = options;
    const value: Mutable<PlanValue> = { storage };
    if (v.type.kind === 'tensor') {
      value.dtype = v.type.dtype;
      const { dims } = v.type;
      if (dims) {
        value.dims = dims.map((d) => this.table.index(d));
        // Extents of 1 can make both layouts the same bytes: then it is row-major.
        const order = axisOrder(layout, dims.length);
        if (layout !== 'rows' && !isDense(denseView(dims, order), axisOrder('rows', dims.length))) value.order = order;
        const binds = this.#newBindings(v, dims);
        if (binds.length > 0) value.binds = binds;
      }
    } else {
      value.storage = { kind: 'object' };
    }
    if (memory) value.memory = memory;
    if (names.length > 0) value.names = names;
    const id = this.push(value);
    this.#madeFor.set(id, { v, layout });
    return { value: id, view: wholeView(v, layout) };
  }

  /** All of a value in another memory, for a transfer to fill unless it is a constant; undefined where `add` did not make it. */
  addTwin(
    id: number,
    memory: Memory,
  ): { readonly v: Value; readonly from: Placement; readonly to: Placement } | undefined {
    const made = this.#madeFor.get(id);
    if (!made) return undefined;
    const { v, layout } = made;
    const { storage } = this.values[id]!;
    const to = this.add(v, { layout, memory, ...(storage.kind === 'constant' && { storage }) });
    return { v, from: { value: id, view: wholeView(v, layout) }, to };
  }

  push(value: PlanValue): number {
    return this.values.push(value) - 1;
  }

  memoryOf(placement: Placement): Memory {
    return this.values[placement.value]!.memory;
  }

  /** Whether the view is all of the value, as the value lies. */
  isWhole({ value, view }: { readonly value: number; readonly view: View }): boolean {
    const { dims, order } = this.values[value]!;
    if (view.offset !== 0 || dims?.length !== view.dims.length) return false;
    if (!view.dims.every((d, i) => this.table.index(d) === dims[i])) return false;
    return isDense(view, order ?? axisOrder('rows', view.dims.length));
  }

  /** Whether it is all of a value that steps of the program make, perhaps under other extents. */
  isOwn({ value, view }: Placement): boolean {
    const { kind } = this.values[value]!.storage;
    const made = this.#madeFor.get(value)?.v.type;
    if (!view || (kind !== 'arena' && kind !== 'heap') || made?.kind !== 'tensor' || !made.dims) return false;
    if (this.isWhole({ value, view })) return true;
    const inRows = view.offset === 0 && isDense(view, axisOrder('rows', view.dims.length));
    return inRows && provablyEqual(productOf(view.dims), productOf(made.dims));
  }

  #newBindings(v: Value, dims: readonly Dim[]): [number, number][] {
    const binds: [number, number][] = [];
    dims.forEach((d, axis) => {
      const symbol = asSymbol(d);
      if (!symbol || this.#bound.has(symbol)) return;
      if (v.node.op !== 'input' && definerOf(symbol)?.node !== v.node && !definedInside(v, symbol)) return;
      this.#bound.add(symbol);
      binds.push([axis, this.table.symbol(symbol)]);
    });
    return binds;
  }
}

export function wholeView(v: Value, layout: Layout): View | undefined {
  if (v.type.kind !== 'tensor' || !v.type.dims) return undefined;
  return denseView(v.type.dims, axisOrder(layout, v.type.dims.length));
}

/** int64 tensors whose elements are all known: they are operands, not computations. */
export function isFact(v: Value): boolean {
  return (
    v.type.kind === 'tensor' && v.type.dtype === 'int64' && v.node.op !== 'constant' && inferFacts(v) !== undefined
  );
}

/** Arena where the size is known before the run and bounded, else the heap. */
function storageFor(v: Value): PlanStorage {
  if (v.type.kind !== 'tensor' || v.type.dtype === 'string') return { kind: 'object' };
  const { dims } = v.type;
  return dims ? storageOfDims(dims) : { kind: 'heap' };
}

/** Of a tensor with these dims. */
export function storageOfDims(dims: readonly Dim[]): PlanStorage {
  const size = productOf(dims);
  const known = [...dimSymbols(size)].every((s) => definerOf(s) === undefined && s.max < unboundedExtent);
  // Quotients by what may be 0 are unbounded.
  return known && Number.isFinite(dimBounds(size).max) ? { kind: 'arena', offset: 0, bytes: 0 } : { kind: 'heap' };
}

/** A fused group defines the symbols that nodes of its region define. */
function definedInside(v: Value, symbol: DimSymbol): boolean {
  const definer = definerOf(symbol);
  return definer !== undefined && v.node.regions.some((g) => topologicalOrder(g).includes(definer.node));
}
