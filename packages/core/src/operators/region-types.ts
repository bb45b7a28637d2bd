/** Types that leave a region: what holds in one run of a body need not hold outside of it, or in the next run. */

import { asSymbol, createSymbol, type Dim, type DimSymbol, dimSymbols, provablyEqual, symbolDim } from '../dim.js';
import type { Graph } from '../graph.js';
import type { InferContext } from '../operator.js';
import { definerOf, topologicalOrder } from '../order.js';
import { tensorType, type Type } from '../type.js';

/** Tells which dims mean the same outside of the region: those without symbols of its inside. */
export function outsideDims(c: InferContext, region: Graph): (d: Dim) => boolean {
  const nodes = new Set(topologicalOrder(region));
  const outer = new Set<DimSymbol>();
  for (const v of c.inputs) if (v) typeSymbols(v.type, outer);
  const own = new Set<DimSymbol>();
  for (const v of region.inputs) typeSymbols(v.type, own);
  for (const symbol of outer) own.delete(symbol);
  return (d) => {
    for (const symbol of dimSymbols(d)) {
      if (own.has(symbol)) return false;
      const definer = definerOf(symbol);
      if (definer && nodes.has(definer.node)) return false;
    }
    return true;
  };
}

function typeSymbols(type: Type, into: Set<DimSymbol>): void {
  if (type.kind === 'tensor') for (const d of type.dims ?? []) dimSymbols(d, into);
  else typeSymbols(type.element, into);
}

/** A type outside of the region: dims that are not `known` there become what `fresh` says. */
export function outsideType(type: Type, known: (d: Dim) => boolean, fresh: (axis: number) => Dim): Type {
  if (type.kind === 'tensor')
    return tensorType(
      type.dtype,
      type.dims?.map((d, i) => (known(d) ? d : fresh(i))),
    );
  return { ...type, element: outsideType(type.element, known, wildcard) };
}

/**
 * The narrowest type that holds both; dims that differ become what `fresh` says.
 * @returns undefined when kinds or dtypes differ
 */
export function joinTypes(a: Type, b: Type, fresh: (axis: number) => Dim): Type | undefined {
  if (a.kind === 'tensor') {
    if (b.kind !== 'tensor' || a.dtype !== b.dtype) return undefined;
    const { dims } = b;
    if (a.dims === undefined || dims?.length !== a.dims.length) return tensorType(a.dtype, undefined);
    return tensorType(
      a.dtype,
      a.dims.map((d, i) => (provablyEqual(d, dims[i]!) ? d : fresh(i))),
    );
  }
  if (b.kind !== a.kind || (a.kind === 'map' && b.kind === 'map' && a.key !== b.key)) return undefined;
  const element = joinTypes(a.element, b.element, wildcard);
  return element && { ...a, element };
}

/** A dim inside of a sequence's or optional's element type: unknown, and of each element its own. */
export function wildcard(): Dim {
  return symbolDim(createSymbol('element'));
}

/** The type of one element taken out: its unknown dims are values of their own from here on. */
export function elementType(type: Type, fresh: (axis: number) => Dim): Type {
  return outsideType(type, (d) => typeof d === 'number', fresh);
}

/**
 * For a value that a loop carries: the type itself when it also holds `result`, else a wider one. `general` collects
 * the symbols of extents that have become unknown.
 * @returns undefined when no type holds both
 */
export function widenedType(type: Type, result: Type, general: Set<DimSymbol>): Type | undefined {
  if (type.kind === 'optional' && result.kind !== 'optional') {
    const element = widenedType(type.element, result, general);
    return element && (element === type.element ? type : { ...type, element });
  }
  if (type.kind !== 'tensor' || result.kind !== 'tensor') {
    const joined = joinTypes(type, result, wildcard);
    return joined && sameKnownDims(type, joined) ? type : joined;
  }
  if (type.dtype !== result.dtype) return undefined;
  if (type.dims === undefined) return type;
  if (result.dims?.length !== type.dims.length) return tensorType(type.dtype, undefined);
  let changed = false;
  const dims = type.dims.map((d, axis): Dim => {
    const symbol = asSymbol(d);
    if (provablyEqual(d, result.dims![axis]!) || (symbol !== undefined && general.has(symbol))) return d;
    changed = true;
    const fresh = createSymbol('carried');
    general.add(fresh);
    return symbolDim(fresh);
  });
  return changed ? tensorType(type.dtype, dims) : type;
}

/** Inside of sequences every unknown extent is as good as another. */
function sameKnownDims(a: Type, b: Type): boolean {
  if (a.kind !== 'tensor' || b.kind !== 'tensor')
    return a.kind !== 'tensor' && b.kind !== 'tensor' && sameKnownDims(a.element, b.element);
  if (a.dims === undefined || b.dims === undefined) return a.dims === b.dims;
  return (
    a.dims.length === b.dims.length &&
    a.dims.every((d, i) => d === b.dims![i] || (typeof d !== 'number' && typeof b.dims![i] !== 'number'))
  );
}
