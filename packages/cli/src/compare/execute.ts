/** One network, built and run by us and by the peer, on the same inputs. */

import type { BuildOptions } from '@tensorwright/builder';
import { type Network, operatorOf, type RuntimeValue, type Tensor, topologicalOrder } from '@tensorwright/core';
import type { EngineInspection } from '@tensorwright/runtime';
import { CommandError, exitCodes } from '../exit-codes.js';
import { buildPlan } from '../models/build-plan.js';
import type { Reporter } from '../output/reporter.js';
import { type PeerJob, type PeerName, withPeer } from './open-peer.js';

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
  checkComparable(job.network);
  const own = await runOwn(job.network, job, reporter, signal);
  const theirs = await withPeer(job.against, job, reporter, signal, async (peer) => ({
    peer: peer.name,
    wanted: await peer.run(job.inputs),
  }));
  return { ...own, ...theirs };
}

/** A plugin of a library runs on its backends alone: neither ONNX Runtime nor the reference knows it. */
function checkComparable({ graph }: Network): void {
  for (const { op } of topologicalOrder(graph)) {
    const { custom, evaluate } = operatorOf(op);
    if (custom === true && !evaluate)
      throw new CommandError(
        exitCodes.unavailable,
        `nothing else can compute plugin '${op}', so there is nothing to compare with: it has no function for the processor and no layers`,
      );
  }
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
