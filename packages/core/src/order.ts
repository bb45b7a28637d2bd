/**
 * Evaluation order. Besides its inputs a node depends on the values that define the symbols in its attributes and
 * types: an Expand to the extent of a NonZero must run after the NonZero, though no edge says so.
 */

import { type Dim, DimExpression, type DimSymbol, dimSymbols } from './dim.js';
import type { Graph, Node, Value } from './graph.js';
import { memo } from './memo.js';
import type { Type } from './type.js';

const definers = new WeakMap<DimSymbol, Value>();

/** Records that `symbol` gets its value from the run-time shape of `value`. */
export function setDefiner(symbol: DimSymbol, value: Value): void {
  definers.set(symbol, value);
}

/** The value whose run-time shape defines the symbol; undefined for symbols of inputs. */
export function definerOf(symbol: DimSymbol): Value | undefined {
  return definers.get(symbol);
}

/** Nodes the outputs depend on, producers first, the graph's inputs foremost. Iterative: depth is not limited by the stack. */
export function topologicalOrder(graph: Graph): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  for (const input of graph.inputs) {
    if (done.has(input.node)) continue;
    done.add(input.node);
    order.push(input.node);
  }
  const inputs = new Set(graph.inputs.map((v) => v.node));
  const isOwn = memo((node: Node) => belongsTo(node, inputs));
  const stack: { node: Node; needs: readonly Node[]; next: number }[] = [];
  const push = (node: Node): void => {
    if (!done.has(node)) stack.push({ node, needs: dependencies(node, isOwn), next: 0 });
  };
  for (const output of graph.outputs) {
    push(output.node);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const need = done.has(top.node) ? undefined : top.needs[top.next++];
      if (need) {
        push(need);
        continue;
      }
      stack.pop();
      if (done.has(top.node)) continue;
      done.add(top.node);
      order.push(top.node);
    }
  }
  return order;
}

/** @param isOwn whether a node belongs to the graph */
function dependencies(node: Node, isOwn: (node: Node) => boolean): readonly Node[] {
  const needs: Node[] = [];
  for (const v of node.inputs) if (v) needs.push(v.node);
  for (const symbol of nodeSymbols(node)) {
    const definer = definers.get(symbol)?.node;
    if (definer && definer !== node && isOwn(definer)) needs.push(definer);
  }
  return needs;
}

/**
 * True when the node is computed from these inputs, not from those of an enclosing graph. What needs no input at all
 * belongs where no inputs are: elsewhere it is reached by edges, or by the enclosing graph.
 */
function belongsTo(node: Node, graphInputs: ReadonlySet<Node>): boolean {
  const seen = new Set<Node>([node]);
  const stack = [node];
  let own = graphInputs.size === 0;
  const visit = (n: Node): void => {
    if (seen.has(n)) return;
    seen.add(n);
    stack.push(n);
  };
  while (stack.length > 0) {
    const n = stack.pop()!;
    if (n.op === 'input') {
      if (!graphInputs.has(n)) return false;
      own = true;
      continue;
    }
    for (const v of n.inputs) if (v) visit(v.node);
    for (const symbol of nodeSymbols(n)) {
      const definer = definers.get(symbol)?.node;
      if (definer) visit(definer);
    }
  }
  return own;
}

/** Symbols in a node's attributes, output types and, free, in its regions. */
export const nodeSymbols: (node: Node) => ReadonlySet<DimSymbol> = memo((node) => {
  const symbols = new Set<DimSymbol>();
  for (const attribute of Object.values(node.attributes)) {
    for (const d of Array.isArray(attribute) ? (attribute as readonly Dim[]) : [attribute as Dim]) {
      if (d instanceof DimExpression) dimSymbols(d, symbols);
    }
  }
  for (const output of node.outputs) typeSymbols(output.type, symbols);
  for (const region of node.regions) for (const s of freeSymbols(region)) symbols.add(s);
  return symbols;
});

export function typeSymbols(type: Type, into: Set<DimSymbol> = new Set()): Set<DimSymbol> {
  if (type.kind === 'tensor') for (const d of type.dims ?? []) dimSymbols(d, into);
  else typeSymbols(type.element, into);
  return into;
}

/** Symbols a region takes from the graph around it. */
export function freeSymbols(region: Graph): Set<DimSymbol> {
  const used = new Set<DimSymbol>();
  const own = new Set<DimSymbol>();
  for (const node of topologicalOrder(region)) {
    const symbols = node.op === 'input' ? typeSymbols(node.outputs[0]!.type) : nodeSymbols(node);
    for (const s of symbols) {
      used.add(s);
      if (definers.get(s)?.node === node) own.add(s);
    }
  }
  for (const s of own) used.delete(s);
  return used;
}
