/** A candidate in a program of its own, on inputs that lie as it wants them: what is timed and checked. */

import type { Backend, Candidate, Layout, Measurable, Node, Value } from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { lowerProgram } from '../plan/lower.js';
import { WeightSection } from '../plan/weights.js';
import type { StandAlone } from './problem.js';

/** @throws what its tactic says when it cannot run this problem after all */
export async function candidateAlone(
  alone: StandAlone,
  backend: Backend,
  candidate: Candidate,
  context: PassContext,
): Promise<Measurable> {
  const weights = new WeightSection();
  const { program } = await lowerProgram(
    { inputs: alone.graph.inputs, outputs: alone.graph.outputs },
    {
      copyBackend: 'cpu',
      ...(backend.memory && { deviceBackend: backend, inputMemory: backend.memory }),
      assignments: new Map([[alone.node, { backend, candidate }]]),
      weights,
      provenance: context.builder.provenance,
      inputNames: new Map(),
      inputLayouts: wantedLayouts(alone.node, candidate),
      keepOutputs: true,
      breathe: () => context.breathe(),
    },
  );
  const inputDims = alone.graph.inputs.map((v) => (v.type.kind === 'tensor' ? (v.type.dims as number[]) : []));
  return { program, weights: collect(weights), inputDims };
}

function wantedLayouts(node: Node, candidate: Candidate): ReadonlyMap<Value, Layout> {
  const layouts = new Map<Value, Layout>();
  node.inputs.forEach((v, i) => {
    const access = candidate.inputs[i];
    if (
      v &&
      (access === 'channelsLast' || (access === 'strided' && candidate.outputs[0] === 'channelsLast' && rankOf(v) >= 3))
    )
      layouts.set(v, 'channelsLast');
  });
  return layouts;
}

function rankOf(v: Value): number {
  return v.type.kind === 'tensor' ? (v.type.dims?.length ?? 0) : 0;
}

function collect(weights: WeightSection): Uint8Array {
  const bytes = new Uint8Array(weights.length);
  for (const chunk of weights.chunks) bytes.set(chunk.bytes(), chunk.offset);
  return bytes;
}
