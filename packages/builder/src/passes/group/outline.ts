/** Turns clusters into `group` nodes: a region with the cluster's nodes, operands as inputs. */

import { type Graph, type GraphBuilder, type Node, Rebuilder, type Steps, type Value } from '@tensorwright/core';
import type { Cluster, Clustering } from './cluster.js';

export function* outlineClusters(
  graph: Graph,
  clustering: Clustering,
  builder: GraphBuilder,
  fuseRegion: (region: Graph) => Graph,
): Steps<Graph> {
  const rebuilder = new Rebuilder(builder, new Map(), fuseRegion);
  const done = new Set<Node | Cluster>();
  const stack: (Node | Cluster)[] = [];
  const visit = (unit: Node | Cluster): void => {
    stack.push(unit);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const waiting = done.has(top) ? [] : producers(top, clustering).filter((p) => !done.has(p));
      if (waiting.length > 0) {
        stack.push(...waiting);
        continue;
      }
      stack.pop();
      if (done.has(top)) continue;
      done.add(top);
      if (isCluster(top)) outline(top, clustering, builder, rebuilder);
      else rebuilder.set(top, rebuilder.rebuild(top).outputs);
    }
  };
  for (const node of clustering.order) {
    visit(clustering.clusterOf(node) ?? node);
    yield;
  }
  builder.origin = [];
  return rebuilder.graphOf(graph);
}

function isCluster(unit: Node | Cluster): unit is Cluster {
  return 'nodes' in unit;
}

function producers(unit: Node | Cluster, clustering: Clustering): (Node | Cluster)[] {
  const members = isCluster(unit) ? [...unit.nodes] : [unit];
  const out: (Node | Cluster)[] = [];
  for (const member of members) {
    for (const v of member.inputs) {
      const producer = v && (clustering.clusterOf(v.node) ?? v.node);
      if (producer && producer !== unit) out.push(producer);
    }
  }
  return out;
}

/** The cluster as a node of its own; the rebuilder knows its outputs from then on. */
export function outline(cluster: Cluster, clustering: Clustering, builder: GraphBuilder, rebuilder: Rebuilder): Node {
  const members = clustering.inOrder(cluster.nodes);
  const operands: Value[] = [];
  const parameters: Value[] = [];
  const inner = new Map<Value, Value>();
  for (const node of members) {
    for (const v of node.inputs) {
      if (!v || cluster.nodes.has(v.node) || inner.has(v)) continue;
      const operand = rebuilder.value(v);
      inner.set(v, builder.input(`operand${String(operands.length)}`, operand.type));
      operands.push(operand);
      parameters.push(inner.get(v)!);
    }
  }
  const origins = members.flatMap((n) => builder.provenance.of(n));
  for (const node of members) {
    builder.origin = builder.provenance.of(node);
    const { outputs } = rebuilder.rebuildOn(
      node,
      node.inputs.map((v) => v && inner.get(v)!),
    );
    node.outputs.forEach((v, i) => inner.set(v, outputs[i]!));
  }
  const escaping = clustering.escaping(cluster.nodes);
  builder.origin = origins;
  const region: Graph = { inputs: parameters, outputs: escaping.map((v) => inner.get(v)!) };
  const outputs = builder.node('group', operands, { kind: cluster.kind }, [region]);
  escaping.forEach((v, i) => {
    rebuilder.setValue(v, outputs[i]!);
  });
  return outputs[0]!.node;
}
