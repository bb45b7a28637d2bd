/** Chooses a tactic for every node: candidates from its backend, the layout labels, then the fastest by time. */

import {
  type Backend,
  type Candidate,
  type DroppedTactic,
  type Graph,
  type Node,
  operatorOf,
  TensorwrightError,
  topologicalOrder,
} from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { isReference } from '../place/last-resort.js';
import type { ProgressReporter } from '../progress.js';
import type { Assignment } from './assignment.js';
import { fastest, forEach, offeredBy, preparedAtOnce } from './fastest.js';
import { chooseLayouts } from './layouts.js';
import type { TacticTimer } from './measure.js';
import { isChain } from './problem.js';

export async function chooseTactics(
  graph: Graph,
  backendOf: ReadonlyMap<Node, Backend>,
  context: PassContext,
  progress: ProgressReporter,
  timer: TacticTimer,
): Promise<Map<Node, Assignment>> {
  const chosen = new Map<Node, Assignment>();
  await choose(graph, backendOf, context, progress, timer, chosen);
  return chosen;
}

async function choose(
  graph: Graph,
  backendOf: ReadonlyMap<Node, Backend>,
  context: PassContext,
  progress: ProgressReporter,
  timer: TacticTimer,
  chosen: Map<Node, Assignment>,
): Promise<void> {
  const nodes = topologicalOrder(graph).filter((n) => backendOf.has(n));
  const offered = new Map<Node, readonly Candidate[]>();
  await forEach(nodes, preparedAtOnce(context), async (node) => {
    offered.set(node, await offeredBy(backendOf.get(node)!, node, context));
    await context.breathe();
  });
  const labels = chooseLayouts(graph, offered, (node) => backendOf.get(node)?.reorderingSpeed);
  let done = 0;
  await forEach(nodes, preparedAtOnce(context), async (node) => {
    const backend = backendOf.get(node)!;
    if (operatorOf(node.op).kind === 'control' && !isReference(backend)) {
      for (const region of node.regions) await choose(region, backendOf, context, progress, timer, chosen);
    }
    const all = offered.get(node)!;
    const labelled = all.filter((c) => c.outputs.length === 0 || c.outputs[0] === labels.get(node));
    const candidates = labelled.length > 0 ? labelled : all;
    // Of a chain, every candidate has to agree with the members.
    const wish = { evenAlone: isChain(node) };
    let found = await fastest(node, backend, candidates, context, timer, wish);
    // Where none of them works, another one may, though its neighbours would rather have a different layout.
    if (found.nanoseconds === Infinity && candidates.length < all.length)
      found = await fastest(node, backend, all, context, timer, wish);
    if (found.nanoseconds === Infinity) throw noneWorks(node, backend, found.candidate, timer.dropped, context);
    chosen.set(node, { backend, ...found });
    progress.report('choose', ++done, nodes.length);
    await context.breathe();
  });
}

function noneWorks(
  node: Node,
  backend: Backend,
  { plugin }: Candidate,
  dropped: readonly DroppedTactic[],
  context: PassContext,
): TensorwrightError {
  const name = context.builder.provenance.of(node)[0] ?? node.op;
  const why = dropped.find((d) => d.node === name && d.tactic.startsWith(backend.name))?.reason ?? 'all were dropped';
  if (plugin !== undefined)
    return new TensorwrightError('ERR_PLUGIN', `plugin ${plugin}: none of its kernels works for '${name}': ${why}`, {
      plugin,
      node: name,
      dropped,
    });
  return new TensorwrightError(
    'ERR_DEVICE',
    `no tactic of backend '${backend.name}' for ${node.op} works on this device`,
    { operator: node.op, dropped },
  );
}
