/** Times the candidates of one node, each alone in a program of its own, on inputs that lie as it wants them. */

import {
  type Backend,
  type Candidate,
  canonicalJson,
  type Layout,
  type Measurable,
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

/** Times tactics, one at a time; what they need to be run is made for several at once. */
export class TacticTimer {
  readonly #context: PassContext;
  readonly #cache: TimingCache;
  readonly #mayMeasure: () => boolean;
  /** The end of the measurement in progress: the machine is measured by one at a time. */
  #idle: Promise<unknown> = Promise.resolve();
  /** Problems in progress: equal nodes wait for the first one's times. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(context: PassContext, cache: TimingCache, mayMeasure: () => boolean) {
    this.#context = context;
    this.#cache = cache;
    this.#mayMeasure = mayMeasure;
  }

  /** The fastest candidate by the cache or by measurement; undefined when nothing can be timed. */
  async fastest(node: Node, backend: Backend, candidates: readonly Candidate[]): Promise<Measured | undefined> {
    const device = backend.device();
    if (!backend.measure || !device) return undefined;
    const alone = standAlone(node, this.#context.builder, this.#context.optimum);
    if (!alone) return undefined;
    const problem = problemOf(alone);
    const key = canonicalJson(problem);
    const times = this.#cache.times(device.id, problem);
    await this.#running.get(key);
    const work = this.#measureMissing(alone, backend, candidates, await times, (candidate, nanoseconds) =>
      this.#cache.record(device.id, problem, candidate, nanoseconds),
    );
    this.#running.set(key, work);
    await work;
    return best(candidates, await this.#cache.times(device.id, problem));
  }

  async #measureMissing(
    alone: StandAlone,
    backend: Backend,
    candidates: readonly Candidate[],
    known: Readonly<Record<string, number>>,
    record: (candidate: string, nanoseconds: number) => Promise<void>,
  ): Promise<void> {
    const missing = candidates.filter((c) => known[candidateKey(c)] === undefined);
    const make = (candidate: Candidate): Promise<Measurable | undefined> => {
      const work = prepare(alone, backend, candidate, this.#context);
      // An aborted build awaits only the first of them.
      work.catch(() => undefined);
      return work;
    };
    // A device's kernels compile while others are timed; on the processor both would disturb each other.
    const ahead = backend.memory !== undefined && this.#mayMeasure() ? missing.map(make) : [];
    for (const [i, candidate] of missing.entries()) {
      if (!this.#mayMeasure()) return;
      const work = await (ahead[i] ?? make(candidate));
      const nanoseconds = work && (await this.#inTurn(() => timeOne(backend, candidate, work, this.#context)));
      if (nanoseconds !== undefined) await record(candidateKey(candidate), nanoseconds);
      await this.#context.breathe();
    }
  }

  #inTurn<T>(measure: () => Promise<T>): Promise<T> {
    const result = this.#idle.then(measure);
    this.#idle = result.catch(() => undefined);
    return result;
  }
}

function best(candidates: readonly Candidate[], times: Readonly<Record<string, number>>): Measured | undefined {
  let found: Measured | undefined;
  for (const candidate of candidates) {
    const nanoseconds = times[candidateKey(candidate)];
    if (nanoseconds !== undefined && (!found || nanoseconds < found.nanoseconds * (1 - noise)))
      found = { candidate, nanoseconds };
  }
  return found;
}

/** The candidate in a program of its own; undefined: it cannot run this problem after all. */
async function prepare(
  alone: StandAlone,
  backend: Backend,
  candidate: Candidate,
  context: PassContext,
): Promise<Measurable | undefined> {
  const weights = new WeightSection();
  try {
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
  } catch (error) {
    refused(error, candidate, context);
    return;
  }
}

async function timeOne(
  backend: Backend,
  candidate: Candidate,
  work: Measurable,
  context: PassContext,
): Promise<number | undefined> {
  try {
    const sorted = await backend.measure!(work, context.options.signal);
    return sorted[Math.floor(sorted.length / 2)];
  } catch (error) {
    refused(error, candidate, context);
    return;
  }
}

/** @throws what is no refusal of the candidate */
function refused(error: unknown, candidate: Candidate, context: PassContext): undefined {
  context.options.signal?.throwIfAborted();
  if (!TensorwrightError.is(error) && !('code' in (error as object))) throw error;
  context.log({
    level: 'warn',
    message: `tactic ${candidate.tactic} ${canonicalJson(candidate.parameters)} cannot run: ${(error as Error).message}`,
  });
  return undefined;
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
