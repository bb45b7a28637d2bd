/** Chooses a tactic for every node: candidates from its backend, the layout labels, then the fastest by time. */

import {
  type Backend,
  type Candidate,
  type Graph,
  type Node,
  operatorOf,
  TensorwrightError,
  topologicalOrder,
} from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import type { ProgressReporter } from '../progress.js';
import type { Assignment } from './assignment.js';
import { chooseLayouts } from './layouts.js';
import type { TacticTimer } from './measure.js';

/** How many candidates of a node are timed at each optimization level. */
const timedCandidates = [0, 2, 4, 8, 16, 64];

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
  const { tacticSources } = context.options;
  const mayUse = ({ source }: Candidate): boolean => source === undefined || tacticSources?.includes(source) !== false;
  const offered = new Map(nodes.map((n) => [n, backendOf.get(n)!.candidates(n).filter(mayUse)]));
  const labels = chooseLayouts(graph, offered);
  let done = 0;
  await forEach(nodes, preparedAtOnce(context), async (node) => {
    const backend = backendOf.get(node)!;
    if (operatorOf(node.op).kind === 'control' && backend.name !== 'reference') {
      for (const region of node.regions) await choose(region, backendOf, context, progress, timer, chosen);
    }
    const all = offered.get(node)!;
    const labelled = all.filter((c) => c.outputs.length === 0 || c.outputs[0] === labels.get(node));
    const candidates = labelled.length > 0 ? labelled : all;
    const found = await fastest(node, backend, candidates, context, timer);
    if (found.nanoseconds === Infinity)
      throw new TensorwrightError(
        'ERR_DEVICE',
        `no tactic of backend '${backend.name}' for ${node.op} works on this device`,
        { operator: node.op, dropped: timer.dropped },
      );
    chosen.set(node, { backend, ...found });
    progress.report('choose', ++done, nodes.length);
    await context.breathe();
  });
}

/** Kernels of a device compile while others are timed; on the processor they would disturb each other. */
function preparedAtOnce(context: PassContext): number {
  return context.backends.some((b) => b.memory !== undefined) ? 8 : 1;
}

async function forEach<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

async function fastest(
  node: Node,
  backend: Backend,
  candidates: readonly Candidate[],
  context: PassContext,
  timer: TacticTimer,
): Promise<{ candidate: Candidate; nanoseconds?: number }> {
  const [first] = candidates;
  if (!first)
    throw new TensorwrightError(
      'ERR_INTERNAL',
      `backend '${backend.name}' takes ${node.op} but offers no tactic for it`,
    );
  const ranked = [...candidates].sort((a, b) => a.estimate - b.estimate);
  const limit = timedCandidates[context.options.optimizationLevel ?? 3]!;
  if (ranked.length > 1 && limit > 0) {
    const measured = await timer.fastest(node, backend, ranked.slice(0, limit));
    if (measured) return measured;
  }
  return { candidate: ranked[0]! };
}
