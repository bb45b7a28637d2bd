/** The order in which a graph's nodes are imported: the file's, except where it names a value before its node. */

import type { GraphProto, NodeProto } from './proto/decode.js';

/** Names a node reads: its inputs, and what its subgraphs take from around them. */
function namesRead(node: NodeProto): string[] {
  const names = (node.input ?? []).filter((n) => n !== '');
  for (const a of node.attribute ?? []) {
    if (a.g) names.push(...freeNames(a.g));
    for (const g of a.graphs ?? []) names.push(...freeNames(g));
  }
  return names;
}

const freeNamesOf = new WeakMap<GraphProto, ReadonlySet<string>>();

/** Names a graph reads that it does not define. */
function freeNames(graph: GraphProto): ReadonlySet<string> {
  const known = freeNamesOf.get(graph);
  if (known) return known;
  const defined = new Set<string>();
  for (const i of graph.input ?? []) defined.add(i.name ?? '');
  for (const t of graph.initializer ?? []) defined.add(t.name ?? '');
  for (const t of graph.sparseInitializer ?? []) defined.add(t.values?.name ?? '');
  for (const n of graph.node ?? []) for (const o of n.output ?? []) defined.add(o);
  const free = new Set<string>();
  for (const n of graph.node ?? []) for (const name of namesRead(n)) if (!defined.has(name)) free.add(name);
  for (const o of graph.output ?? []) if (o.name && !defined.has(o.name)) free.add(o.name);
  freeNamesOf.set(graph, free);
  return free;
}

export interface NodeOrder {
  /** Indices of nodes, producers first. */
  readonly order: readonly number[];
  /** Nodes that depend on themselves: each list is one cycle. They are not in `order`. */
  readonly cycles: readonly (readonly number[])[];
}

export function orderNodes(nodes: readonly NodeProto[]): NodeOrder {
  const producer = new Map<string, number>();
  nodes.forEach((node, i) => {
    for (const name of node.output ?? []) if (name !== '' && !producer.has(name)) producer.set(name, i);
  });
  const needs = nodes.map((node) => {
    const indices = new Set<number>();
    for (const name of namesRead(node)) {
      const p = producer.get(name);
      if (p !== undefined) indices.add(p);
    }
    return [...indices];
  });
  if (needs.every((list, i) => list.every((p) => p < i))) return { order: nodes.map((_, i) => i), cycles: [] };
  return depthFirst(needs);
}

function depthFirst(needs: readonly (readonly number[])[]): NodeOrder {
  const order: number[] = [];
  const cycles: number[][] = [];
  const state = new Uint8Array(needs.length); // 1: on the path, 2: done, 3: in a cycle
  for (let root = 0; root < needs.length; root++) {
    if (state[root] !== 0) continue;
    const path: { index: number; next: number }[] = [{ index: root, next: 0 }];
    state[root] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const need = needs[top.index]![top.next++];
      if (need === undefined) {
        path.pop();
        if (state[top.index] === 1) {
          state[top.index] = 2;
          order.push(top.index);
        }
      } else if (state[need] === 0) {
        state[need] = 1;
        path.push({ index: need, next: 0 });
      } else if (path.some((p) => p.index === need) && state[need] !== 2) {
        const cycle = path.slice(path.findIndex((p) => p.index === need)).map((p) => p.index);
        cycles.push(cycle);
        for (const i of cycle) state[i] = 3;
      }
    }
  }
  return { order, cycles };
}
