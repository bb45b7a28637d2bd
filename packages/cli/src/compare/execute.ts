/** One network, built and run by us and by the peer, on the same inputs. */

import type { BuildOptions } from '@tensorwright/builder';
import type { Network, RuntimeValue, Tensor } from '@tensorwright/core';
import type { EngineInspection } from '@tensorwright/runtime';
import { buildPlan } from '../models/build-plan.js';
import type { Reporter } from '../output/reporter.js';
import { checkPeer, type PeerJob, type PeerName, withPeer } from './open-peer.js';

export interface Execution {
  readonly outputs: Readonly<Record<string, RuntimeValue>>;
  readonly wanted: Readonly<Record<string, RuntimeValue>>;
  readonly peer: string;
  readonly engine: EngineInspection;
  readonly buildMs: number;
}

export interface ExecutionJob extends PeerJob {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly build: BuildOptions;
  readonly against: PeerName;
}

/** @throws CommandError where nobody else can compute a node */
export async function execute(job: ExecutionJob, reporter: Reporter, signal: AbortSignal): Promise<Execution> {
  await checkPeer(job.against, job.network);
  const own = await runOwn(job.network, job, reporter, signal);
  const theirs = await withPeer(job.against, job, reporter, signal, async (peer) => ({
    peer: peer.name,
    wanted: await peer.run(job.inputs),
  }));
  return { ...own, ...theirs };
}

async function runOwn(
  network: Network,
  job: ExecutionJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Omit<Execution, 'wanted' | 'peer'>> {
  const { Runtime } = await import('@tensorwright/runtime');
  const { plan, milliseconds } = await buildPlan(network, job.build, reporter, signal);
  const engine = await Runtime.load(plan, {
    logger: reporter.logger,
    ...(job.threads !== undefined && { threads: job.threads }),
  });
  try {
    const context = engine.createContext();
    const outputs = await context.run<RuntimeValue>(job.inputs, { signal });
    return { outputs, engine: engine.inspect(), buildMs: milliseconds };
  } finally {
    await engine.close();
  }
}
