/** Runs an engine for a while, on one or more contexts at once. */

import type { Tensor } from '@tensorwright/core';
import type { ContextMemory, DeviceTimes, Engine, ExecutionContext, LayerProfile } from '@tensorwright/runtime';
import type { Reporter } from '../output/reporter.js';

export interface MeasureOptions {
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Least number of timed runs, over all streams. */
  readonly iterations: number;
  readonly streams: number;
  readonly profile?: number | undefined;
  /** Whether a device's steps are recorded as graphs. */
  readonly graphs: boolean;
}

/** One profile at its optimum. */
export interface ProfileTimes {
  readonly index: number;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly latencies: readonly number[];
  readonly device: DeviceTimes | undefined;
}

export interface Measurement {
  /** Milliseconds of each run, from the call to its results. */
  readonly latencies: readonly number[];
  /** Milliseconds that all timed runs took together. */
  readonly wallMs: number;
  /** Milliseconds in kernels, of runs in a pass of its own. */
  readonly compute: readonly number[];
  readonly layers: readonly LayerProfile[];
  /** Where the engine works on a device: its part of a run, recorded as a graph; undefined elsewhere. */
  readonly device: DeviceTimes | undefined;
  /** Of one context. */
  readonly memory: ContextMemory;
  readonly profiles?: readonly ProfileTimes[];
}

/** The pass that measures layers is no longer than this, once it has a few runs. */
const profileMs = 1000;
const leastProfiled = 10;
/** How often a device's graph is played to be timed. */
const devicePlays = 200;

export async function measure(
  engine: Engine,
  inputs: Readonly<Record<string, Tensor>>,
  options: MeasureOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Measurement> {
  const contexts = Array.from({ length: options.streams }, () =>
    engine.createContext({
      graphs: options.graphs,
      ...(options.profile !== undefined && { profile: options.profile }),
    }),
  );
  await runFor(contexts, inputs, options.warmUpMs, 1, signal);
  const { latencies, wallMs } = await reporter.progress('measuring', async (update) => {
    const total = Math.max(1, Math.round(options.durationMs / 1000));
    const started = performance.now();
    const timer = setInterval(() => {
      const elapsed = performance.now() - started;
      update({
        phase: 'seconds',
        done: Math.min(total, Math.floor(elapsed / 1000)),
        total,
        estimateMs: Math.max(0, options.durationMs - elapsed),
      });
    }, 200);
    try {
      return await runFor(contexts, inputs, options.durationMs, options.iterations, signal);
    } finally {
      clearInterval(timer);
    }
  });
  const [context] = contexts;
  const memory = context!.memory();
  const device = await context!.deviceTimes(devicePlays);
  return {
    latencies,
    wallMs,
    device,
    ...(await profile(context!, inputs, signal)),
    memory,
  };
}

/** How long each profile is run. */
const profileRunMs = 300;

/** @param inputsOf inputs at the optimum of a profile */
export async function measureProfiles(
  engine: Engine,
  inputsOf: (profile: number) => Promise<Readonly<Record<string, Tensor>>>,
  options: Pick<MeasureOptions, 'graphs'>,
  signal: AbortSignal,
): Promise<ProfileTimes[]> {
  const found: ProfileTimes[] = [];
  for (const index of engine.profiles.keys()) {
    const inputs = await inputsOf(index);
    const context = engine.createContext({ profile: index, graphs: options.graphs });
    try {
      await runFor([context], inputs, 0, leastProfiled, signal);
      const { latencies } = await runFor([context], inputs, profileRunMs, leastProfiled, signal);
      const shapes = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, t.dims]));
      found.push({ index, shapes, latencies, device: await context.deviceTimes(devicePlays) });
    } finally {
      await context.close();
    }
  }
  return found;
}

async function runFor(
  contexts: readonly ExecutionContext[],
  inputs: Readonly<Record<string, Tensor>>,
  durationMs: number,
  iterations: number,
  signal: AbortSignal,
): Promise<{ latencies: number[]; wallMs: number }> {
  const latencies: number[] = [];
  let begun = 0;
  const started = performance.now();
  await Promise.all(
    contexts.map(async (context) => {
      while (begun < iterations || performance.now() - started < durationMs) {
        begun++;
        const start = performance.now();
        await context.run(inputs, { signal });
        latencies.push(performance.now() - start);
      }
    }),
  );
  return { latencies, wallMs: performance.now() - started };
}

/** Times in kernels. Measuring every layer costs a little, so these runs do not count as latencies. */
async function profile(
  context: ExecutionContext,
  inputs: Readonly<Record<string, Tensor>>,
  signal: AbortSignal,
): Promise<{ compute: number[]; layers: LayerProfile[] }> {
  context.setProfiling(true);
  const compute: number[] = [];
  const started = performance.now();
  let before = 0;
  while (compute.length < leastProfiled || performance.now() - started < profileMs) {
    await context.run(inputs, { signal });
    const sum = context.profile().reduce((total, layer) => total + layer.microseconds, 0);
    compute.push((sum - before) / 1000);
    before = sum;
  }
  const layers = context.profile();
  context.setProfiling(false);
  return { compute, layers };
}
