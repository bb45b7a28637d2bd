/** Times the candidates of one node, each alone in a program of its own, on inputs that lie as it wants them. */

import {
  type Backend,
  type Candidate,
  type Layout,
  type Node,
  TensorwrightError,
  type Value,
} from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { lowerProgram } from '../plan/lower.js';
import { WeightSection } from '../plan/weights.js';
import { problemOf, type StandAlone, standAlone } from './problem.js';
import { candidateKey, type TimingCache } from './timing-cache.js';

/** A candidate within this fraction of the first-listed one does not displace it: simpler wins ties. */
const noise = 0.02;

export interface Measured {
  readonly candidate: Candidate;
  readonly nanoseconds: number;
}

/** The fastest candidate by the cache or by measurement; undefined when nothing can be timed. */
export async function measureCandidates(
  node: Node,
  backend: Backend,
  candidates: readonly Candidate[],
  context: PassContext,
  cache: TimingCache,
  mayMeasure: () => boolean,
): Promise<Measured | undefined> {
  const device = backend.device();
  if (!backend.measure || !device) return undefined;
  const alone = standAlone(node, context.builder, context.optimum);
  if (!alone) return undefined;
  const problem = problemOf(alone);
  const times = await cache.times(device.id, problem);
  let best: Measured | undefined;
  for (const candidate of candidates) {
    const key = candidateKey(candidate);
    let nanoseconds = times[key];
    if (nanoseconds === undefined && mayMeasure()) {
      nanoseconds = await timeOne(alone, backend, candidate, context);
      if (nanoseconds !== undefined) await cache.record(device.id, problem, key, nanoseconds);
    }
    if (nanoseconds !== undefined && (!best || nanoseconds < best.nanoseconds * (1 - noise)))
      best = { candidate, nanoseconds };
    await context.breathe();
  }
  return best;
}

/** undefined: this candidate cannot run this problem after all. */
async function timeOne(
  alone: StandAlone,
  backend: Backend,
  candidate: Candidate,
  context: PassContext,
): Promise<number | undefined> {
  const weights = new WeightSection();
  try {
    const lowered = await lowerProgram(
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
    const sorted = await backend.measure!(
      { program: lowered.program, weights: collect(weights), inputDims },
      context.options.signal,
    );
    return sorted[Math.floor(sorted.length / 2)];
  } catch (error) {
    context.options.signal?.throwIfAborted();
    if (!TensorwrightError.is(error) && !('code' in (error as object))) throw error;
    context.log({ level: 'warn', message: `tactic ${candidate.tactic} cannot run: ${(error as Error).message}` });
    return undefined;
  }
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
