/**
 * Clusters of nodes that will run as one kernel, and the one question of legality: may this node join that cluster?
 * It may when no path leads from the cluster to the node through anything outside both: the groups must stay acyclic.
 */

import { type Graph, type Node, topologicalOrder, usersOf, type Value } from '@tensorwright/core';

export interface Cluster {
  readonly kind: string;
  readonly nodes: Set<Node>;
}

export class Clustering {
  readonly order: readonly Node[];
  readonly users: ReadonlyMap<Value, readonly Node[]>;
  readonly outputs: ReadonlySet<Value>;
  readonly #index: ReadonlyMap<Node, number>;
  readonly #clusterOf = new Map<Node, Cluster>();

  constructor(graph: Graph) {
    this.order = topologicalOrder(graph);
    this.users = usersOf(this.order);
    this.outputs = new Set(graph.outputs);
    this.#index = new Map(this.order.map((n, i) => [n, i]));
  }

  clusterOf(node: Node): Cluster | undefined {
    return this.#clusterOf.get(node);
  }

  inOrder(nodes: ReadonlySet<Node>): Node[] {
    return [...nodes].sort((a, b) => this.#index.get(a)! - this.#index.get(b)!);
  }

  create(kind: string, node: Node): Cluster {
    const cluster: Cluster = { kind, nodes: new Set([node]) };
    this.#clusterOf.set(node, cluster);
    return cluster;
  }

  add(cluster: Cluster, node: Node): void {
    cluster.nodes.add(node);
    this.#clusterOf.set(node, cluster);
  }

  remove(cluster: Cluster, node: Node): void {
    cluster.nodes.delete(node);
    this.#clusterOf.delete(node);
  }

  merge(into: Cluster, from: Cluster): void {
    for (const node of from.nodes) this.add(into, node);
  }

  /** Values of the cluster that something outside reads. */
  escaping(nodes: ReadonlySet<Node>): Value[] {
    const out: Value[] = [];
    for (const node of nodes) {
      for (const v of node.outputs) {
        if (this.outputs.has(v) || this.users.get(v)?.some((u) => !nodes.has(u))) out.push(v);
      }
    }
    return out;
  }

  /** True when joining `node` (or, with it, its whole cluster) to `cluster` leaves the groups acyclic. */
  mayJoin(cluster: Cluster, node: Node): boolean {
    const own = this.#clusterOf.get(node)?.nodes ?? new Set([node]);
    return !this.#reaches(cluster.nodes, own) && !this.#reaches(own, cluster.nodes);
  }

  /** Does a path lead from `sources` to `targets` through at least one node outside both? */
  #reaches(sources: ReadonlySet<Node>, targets: ReadonlySet<Node>): boolean {
    let low = Infinity;
    for (const s of sources) low = Math.min(low, this.#index.get(s)!);
    const seen = new Set<Node>();
    const stack: Node[] = [];
    const visit = (node: Node, fromOutside: boolean): boolean => {
      for (const v of node.inputs) {
        const producer = v?.node;
        if (!producer || targets.has(producer)) continue;
        if (sources.has(producer)) {
          if (fromOutside) return true;
          continue;
        }
        if (!seen.has(producer)) {
          seen.add(producer);
          stack.push(producer);
        }
      }
      return false;
    };
    for (const t of targets) visit(t, false);
    while (stack.length > 0) {
      const node = stack.pop()!;
      const members = this.#clusterOf.get(node)?.nodes ?? [node];
      let high = -1;
      for (const m of members) high = Math.max(high, this.#index.get(m)!);
      // Nothing below the first source can depend on it.
      if (high < low) continue;
      for (const m of members) {
        seen.add(m);
        if (visit(m, true)) return true;
      }
    }
    return false;
  }
}
