/**
 * Chains: groups that a backend can run as one step. Each proposal is taken where the backend takes it and its step is
 * faster than those of its members, by time where that can be measured, else by the estimates.
 */

import { type Backend, type Graph, type Node, Rebuilder, finish } from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { isReference } from '../place/last-resort.js';
import { Clustering } from '../passes/group/cluster.js';
import { type Chain, chainPatterns } from '../passes/group/chains.js';
import { outline, outlineClusters } from '../passes/group/outline.js';
import { microsecondsForeseen, nanosecondsAmongOthers, noise } from './best.js';
import { type Fastest, fastest, forEach, offeredBy, preparedAtOnce } from './fastest.js';
import type { TacticTimer } from './measure.js';

interface Gain {
  readonly chain: Chain;
  /** Microseconds. */
  readonly saved: number;
}

export async function chooseChains(graph: Graph, context: PassContext, timer: TacticTimer): Promise<Graph> {
  const clustering = new Clustering(graph);
  const proposals = chainPatterns.flatMap((pattern) => pattern(clustering));
  const gains: Gain[] = [];
  await forEach(proposals, preparedAtOnce(context), async (chain) => {
    const saved = await microsecondsSaved(chain, clustering, context, timer);
    if (saved > 0) gains.push({ chain, saved });
    await context.breathe();
  });
  if (gains.length === 0) return graph;
  // Work may end in any order; proposals that share members exclude each other.
  gains.sort((a, b) => b.saved - a.saved || proposals.indexOf(a.chain) - proposals.indexOf(b.chain));
  for (const { chain } of gains) {
    const [first, ...others] = chain.members;
    if (chain.members.some((m) => clustering.clusterOf(m))) continue;
    const cluster = clustering.create(chain.kind, first!);
    for (const member of others) if (clustering.mayJoin(cluster, member)) clustering.add(cluster, member);
    if (cluster.nodes.size < chain.members.length)
      for (const member of [...cluster.nodes]) clustering.remove(cluster, member);
  }
  return finish(outlineClusters(graph, clustering, context.builder, (region) => region));
}

/** Not positive where nobody runs the chain, or some other backend runs a member, or there is a better one. */
async function microsecondsSaved(
  chain: Chain,
  clustering: Clustering,
  context: PassContext,
  timer: TacticTimer,
): Promise<number> {
  const takes = (node: Node): Backend | undefined => context.backends.find((b) => b.refuses(node) === undefined);
  const runs = ({ kind, members }: Chain): { readonly whole: Node; readonly backend: Backend } | undefined => {
    const cluster = { kind, nodes: new Set(members) };
    const whole = outline(cluster, clustering, context.builder, new Rebuilder(context.builder));
    const backend = takes(whole);
    return backend && !isReference(backend) && members.every((m) => takes(m) === backend)
      ? { whole, backend }
      : undefined;
  };
  const found = runs(chain);
  if (!found || (chain.insteadOf && runs(chain.insteadOf))) return 0;
  const { whole, backend } = found;
  const timed = async (node: Node, below?: number): Promise<Fastest> =>
    fastest(node, backend, await offeredBy(backend, node, context), context, timer, {
      evenAlone: true,
      ...(below !== undefined && { below }),
    });
  const single: Fastest[] = [];
  for (const member of chain.members) single.push(await timed(member));
  const handovers = (chain.members.length - 1) * (backend.handover ?? 0);
  // Simpler wins ties.
  const apart = single.reduce((sum, f) => sum + nanosecondsAmongOthers(f), handovers * 1000) * (1 - noise);
  const fused = await timed(whole, Number.isNaN(apart) ? undefined : apart);
  if (fused.nanoseconds === Infinity) return 0;
  if (fused.nanoseconds !== undefined && !Number.isNaN(apart)) return (apart - nanosecondsAmongOthers(fused)) / 1000;
  const foreseen = single.reduce((sum, f) => sum + microsecondsForeseen(f.candidate), handovers) * (1 - noise);
  return foreseen - microsecondsForeseen(fused.candidate);
}
