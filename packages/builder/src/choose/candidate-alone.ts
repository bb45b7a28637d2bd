/** Candidates in a program of their own, on inputs that lie as they want them: what is timed and checked. */

import type { Backend, Candidate, Graph, Layout, Measurable, Value } from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { lowerProgram } from '../plan/lower.js';
import { WeightSection } from '../plan/weights.js';
import type { Assignments } from './assignment.js';
import { CollectedWeights } from './collected-weights.js';
import type { StandAlone } from './problem.js';

/** @throws what its tactic says when it cannot run this problem after all */
export async function candidateAlone(
  alone: StandAlone,
  backend: Backend,
  candidate: Candidate,
  context: PassContext,
): Promise<Measurable> {
  return graphAlone(alone.graph, new Map([[alone.node, { backend, candidate }]]), context);
}

/**
 * @param assignments of all nodes of the graph to one backend; they may name others, too
 * @throws what a tactic says when it cannot run its node after all
 */
export async function graphAlone(graph: Graph, assignments: Assignments, context: PassContext): Promise<Measurable> {
  const weights = new WeightSection();
  const device = [...assignments.values()].find(({ backend }) => backend.memory)?.backend;
  const { program } = await lowerProgram(graph, {
    copyBackend: 'cpu',
    ...(device?.memory && { deviceBackend: device, inputMemory: device.memory }),
    assignments,
    weights,
    provenance: context.builder.provenance,
    inputNames: new Map(),
    inputLayouts: wantedLayouts(assignments),
    keepOutputs: true,
    breathe: () => context.breathe(),
  });
  const inputDims = graph.inputs.map((v) => (v.type.kind === 'tensor' ? (v.type.dims as number[]) : []));
  return { program, weights: await collectedFor(graph, context).of(weights), inputDims };
}

/** By problem: for as long as its candidates are tried. */
const collected = new WeakMap<Graph, CollectedWeights>();

function collectedFor(graph: Graph, context: PassContext): CollectedWeights {
  let weights = collected.get(graph);
  if (!weights) collected.set(graph, (weights = new CollectedWeights(() => context.breathe())));
  return weights;
}

function wantedLayouts(assignments: Assignments): ReadonlyMap<Value, Layout> {
  const layouts = new Map<Value, Layout>();
  for (const [node, { candidate }] of assignments)
    node.inputs.forEach((v, i) => {
      if (v && wantsChannelsLast(v, candidate.inputs[i], candidate)) layouts.set(v, 'channelsLast');
    });
  return layouts;
}

function wantsChannelsLast(v: Value, access: Candidate['inputs'][number] | undefined, { outputs }: Candidate): boolean {
  return access === 'channelsLast' || (access === 'strided' && outputs[0] === 'channelsLast' && rankOf(v) >= 3);
}

function rankOf(v: Value): number {
  return v.type.kind === 'tensor' ? (v.type.dims?.length ?? 0) : 0;
}
