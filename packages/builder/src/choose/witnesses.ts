/**
 * Who else computes what a tactic computes. Of an ordinary node: a tactic of another family. Of a chain, which mostly has
 * but one family and which the processor does not run: its members one after another.
 */

import {
  type Backend,
  type Candidate,
  type Graph,
  loadBackend,
  type Node,
  TensorwrightError,
} from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { dissolve } from '../passes/group/dissolve.js';
import type { Assignments } from './assignment.js';
import { fastest, offeredBy } from './fastest.js';
import type { TacticTimer } from './measure.js';
import { isChain, type StandAlone } from './problem.js';
import type { Outputs } from './verify.js';

/** A problem in nodes that every backend may take: a chain's members, every other node itself. */
export interface Apart {
  readonly graph: Graph;
  readonly nodes: readonly Node[];
}

export function takeApart({ graph, node }: StandAlone, { builder }: PassContext): Apart {
  if (!isChain(node)) return { graph, nodes: [node] };
  const { members, outputs } = dissolve(node, builder);
  return { graph: { inputs: graph.inputs, outputs }, nodes: members };
}

/** A run has the outputs of its last step: every node that makes some of the problem's is the last of a run. */
export async function outputsOf(
  { graph }: Apart,
  run: (graph: Graph) => Promise<Outputs | undefined>,
): Promise<Outputs | undefined> {
  const made = new Map<Node, Outputs>();
  for (const { node } of graph.outputs) {
    if (made.has(node)) continue;
    const outputs = await run({ inputs: graph.inputs, outputs: node.outputs });
    if (!outputs) return undefined;
    made.set(node, outputs);
  }
  return graph.outputs.map(({ node, index }) => made.get(node)![index]);
}

/** The fastest candidate whose tactic is of another family. */
export function otherFamily(candidate: Candidate, fastestFirst: readonly Candidate[]): Candidate | undefined {
  return fastestFirst.find((c) => familyOf(c) !== familyOf(candidate));
}

/** 'cuda.hopper' of 'cuda.hopper.stream' */
function familyOf({ tactic }: Candidate): string {
  return tactic.split('.').slice(0, 2).join('.');
}

/**
 * The tactics that a chain's members have without it; undefined where one has none that works.
 * @param node the chain in its graph: it is the members there that have been timed
 */
export async function onItsBackend(
  node: Node,
  apart: Apart,
  backend: Backend,
  context: PassContext,
  timer: TacticTimer,
): Promise<Assignments | undefined> {
  const assignments = new Map<Node, { backend: Backend; candidate: Candidate }>();
  for (const [i, member] of dissolve(node, context.builder).members.entries()) {
    const offered = backend.refuses(member) === undefined ? await offeredBy(backend, member, context) : [];
    if (offered.length === 0) return undefined;
    const found = await fastest(member, backend, offered, context, timer, { evenAlone: true });
    if (found.nanoseconds === Infinity) return undefined;
    assignments.set(apart.nodes[i]!, { backend, candidate: found.candidate });
  }
  return assignments;
}

/** The processor's best tactics by estimate; undefined where it does not take all of the nodes. */
export async function onProcessor({ nodes }: Apart): Promise<Assignments | undefined> {
  let cpu: Backend;
  try {
    cpu = await loadBackend('cpu');
  } catch (error) {
    if (TensorwrightError.is(error)) return undefined;
    throw error;
  }
  if (!cpu.device() || nodes.some((n) => cpu.refuses(n) !== undefined)) return undefined;
  const assignments = new Map<Node, { backend: Backend; candidate: Candidate }>();
  for (const node of nodes) {
    const [first, ...others] = cpu.candidates(node);
    if (!first) return undefined;
    const candidate = others.reduce((best, c) => (c.estimate < best.estimate ? c : best), first);
    assignments.set(node, { backend: cpu, candidate });
  }
  return assignments;
}
