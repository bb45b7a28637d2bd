/**
 * Backend assignment: each group goes to the first backend in the user's order that takes it. A group that a
 * backend refuses is taken apart and its nodes tried alone, before the next backend is asked.
 */

import {
  type Backend,
  formatType,
  type Graph,
  type Node,
  operatorOf,
  TensorwrightError,
  topologicalOrder,
  transformGraph,
} from '@tensorwright/core';
import type { Fallback, PassContext } from '../pass.js';
import { dissolve } from '../passes/group/dissolve.js';
import { isReference } from './last-resort.js';

export interface PlacedGraph {
  readonly graph: Graph;
  readonly backendOf: ReadonlyMap<Node, Backend>;
  readonly fallbacks: readonly Fallback[];
}

export async function assignBackends(graph: Graph, context: PassContext): Promise<PlacedGraph> {
  const dissolved = dissolveRefusedGroups(graph, context);
  const backendOf = new Map<Node, Backend>();
  const fallbacks: Fallback[] = [];
  await assign(dissolved, context, backendOf, fallbacks);
  return { graph: dissolved, backendOf, fallbacks };
}

/** Movement that the plan expresses by views or copies, sources and concats need no backend's tactic… except strings. */
export function needsTactic(node: Node): boolean {
  if (node.op === 'input' || node.op === 'constant' || node.op === 'dims') return false;
  return true;
}

function dissolveRefusedGroups(graph: Graph, context: PassContext): Graph {
  return transformGraph(graph, context.builder, (node) => {
    if (node.op !== 'group' || node.regions[0]!.outputs.length === 0) return undefined;
    if (groupSize(node) < 2) return undefined;
    const taker = context.backends.find((b) => b.refuses(node) === undefined);
    if (taker && !isReference(taker)) return undefined;
    return dissolve(node, context.builder).outputs;
  });
}

function groupSize(node: Node): number {
  return topologicalOrder(node.regions[0]!).filter((n) => n.op !== 'input').length;
}

async function assign(
  graph: Graph,
  context: PassContext,
  backendOf: Map<Node, Backend>,
  fallbacks: Fallback[],
): Promise<void> {
  for (const node of topologicalOrder(graph)) {
    if (!needsTactic(node) || backendOf.has(node)) continue;
    const control = operatorOf(node.op).kind === 'control';
    if (control) {
      // Bodies go where their construct can go.
      const able = context.backends.filter((b) => b.refuses(node) === undefined);
      for (const region of node.regions) await assign(region, { ...context, backends: able }, backendOf, fallbacks);
    }
    const reasons: string[] = [];
    for (const backend of context.backends) {
      const reason = control ? refusesControl(node, backend, backendOf) : backend.refuses(node);
      if (reason === undefined) {
        backendOf.set(node, backend);
        break;
      }
      reasons.push(`${backend.name}: ${reason}`);
      // Nobody asked for those that stand in every order.
      if (backend.implicit === true) continue;
      fallbacks.push({
        node: context.builder.provenance.of(node)[0] ?? node.op,
        operator: node.op,
        backend: backend.name,
        reason,
      });
    }
    if (!backendOf.has(node)) {
      const inputs = node.inputs.map((v) => (v ? formatType(v.type) : '(omitted)')).join(', ');
      const all = [...(context.leftOut ?? []), ...reasons];
      throw new TensorwrightError('ERR_UNSUPPORTED', `no backend runs ${node.op}(${inputs}): ${all.join('; ')}`, {
        node: context.builder.provenance.of(node),
        operator: node.op,
        reasons: all,
      });
    }
    await context.breathe();
  }
}

/** Control flow runs where everything inside runs. */
function refusesControl(node: Node, backend: Backend, backendOf: ReadonlyMap<Node, Backend>): string | undefined {
  const reason = backend.refuses(node);
  if (reason !== undefined || isReference(backend)) return reason;
  for (const region of node.regions) {
    for (const inner of topologicalOrder(region)) {
      if (needsTactic(inner) && !mayHold(backend, backendOf.get(inner)))
        return `its body holds ${inner.op}, which this backend does not run`;
    }
  }
  return undefined;
}

/** The native executor carries values between the memories of its backends, inside of bodies too. */
function mayHold(backend: Backend, inner: Backend | undefined): boolean {
  if (inner === backend) return true;
  return backend.memory !== undefined && !backend.createExecutor && inner !== undefined && !inner.createExecutor;
}
