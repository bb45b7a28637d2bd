/** Agreements of the network's nodes as the plan carries them: pairs of expressions that a run compares. */

import {
  addDims,
  type Agreement,
  agreementsOf,
  compileDim,
  type Dim,
  dimKey,
  dimSymbols,
  type DimSymbol,
  formatDim,
  type Graph,
  isOneDim,
  mulDims,
  type Node,
  type PlanAgreement,
  type Provenance,
  provablyEqual,
  subDims,
  topologicalOrder,
  type Value,
} from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';

/** Extents that agree in every legal run, under the names of the user's model. */
export interface NamedAgreement extends Agreement, Pick<PlanAgreement, 'names'> {}

/**
 * Those of all nodes that every run executes, each pair once. Bodies of control operators are left out: a branch that is
 * not taken asks for nothing.
 */
export function collectAgreements(graphs: readonly Graph[], provenance: Provenance): NamedAgreement[] {
  const found = new Map<string, NamedAgreement>();
  for (const node of graphs.flatMap(topologicalOrder)) {
    for (const agreement of agreementsOf(node)) {
      const { left, right, mayBeOne, what } = agreement;
      const key = keyOf(agreement);
      if (found.has(key)) continue;
      const [a, b] = operandsWith(node, left, right);
      found.set(key, {
        left,
        right,
        mayBeOne,
        what: `${provenance.of(node)[0] ?? node.op}: ${what}`,
        names: [nameOf(node, a, provenance) ?? formatDim(left), nameOf(node, b, provenance) ?? formatDim(right)],
      });
    }
  }
  // What must be equal need not also broadcast.
  return [...found.values()].filter(
    (a) => a.mayBeOne === 'neither' || !found.has(keyOf({ ...a, mayBeOne: 'neither' })),
  );
}

/** The same for all that ask for the same: a = b and b = a are one. */
function keyOf({ left, right, mayBeOne }: Pick<Agreement, 'left' | 'right' | 'mayBeOne'>): string {
  const sides = [dimKey(left), dimKey(right)];
  return [mayBeOne, ...(mayBeOne === 'right' ? sides : sides.sort())].join(' ');
}

/**
 * The agreements that inputs and steps of the program decide, as extents that are equal: what may be 1 counts as its
 * other side then.
 * @param isBound whether the program has a value whose shape tells the symbol
 */
export function planAgreements(
  agreements: readonly NamedAgreement[],
  isBound: (symbol: DimSymbol) => boolean,
  table: ExpressionTable,
): PlanAgreement[] {
  const decided = (d: Dim): boolean => [...dimSymbols(d)].every(isBound) && alwaysDefined(d);
  return agreements
    .filter(({ left, right }) => decided(left) && decided(right))
    .map(({ left, right, mayBeOne, what, names }) => ({
      left: table.index(mayBeOne === 'either' ? stretched(left, right) : left),
      right: table.index(mayBeOne === 'neither' ? right : stretched(right, left)),
      what,
      names,
    }));
}

/** `own`, but `extent` where `own` is 1. */
function stretched(own: Dim, extent: Dim): Dim {
  return addDims(own, mulDims(isOneDim(own), subDims(extent, own)));
}

/** Divides by constants alone. */
function alwaysDefined(d: Dim): boolean {
  const code = compileDim(d);
  return code.every(([op], i) => (op !== 'floordiv' && op !== 'mod') || code[i - 1]![0] === 'c');
}

/** Inputs of the node that have these extents, or that they are computed from: two different ones where that can be. */
function operandsWith(node: Node, left: Dim, right: Dim): [Value | undefined, Value | undefined] {
  const where = (fits: (own: Dim) => boolean): Value[] =>
    node.inputs.filter((v) => v?.type.kind === 'tensor' && v.type.dims?.some(fits)) as Value[];
  const having = (d: Dim): Value[] => {
    const exactly = where((own) => provablyEqual(own, d));
    const symbols = dimSymbols(d);
    return exactly.length > 0 ? exactly : where((own) => [...dimSymbols(own)].some((s) => symbols.has(s)));
  };
  const [first] = having(left);
  const others = having(right);
  return [first, others.find((v) => v !== first) ?? others[0]];
}

/** As the user calls the tensor; what the same node of the model made on the way goes by what it was made of. */
function nameOf(node: Node, value: Value | undefined, provenance: Provenance): string | undefined {
  const [own] = provenance.of(node);
  let v = value;
  while (v?.node.inputs[0] && own !== undefined && provenance.of(v.node)[0] === own) v = v.node.inputs[0];
  if (!v) return undefined;
  return v.node.op === 'input' ? (v.node.attributes['name'] as string) : (provenance.of(v.node)[0] ?? v.node.op);
}
