/** Chooses the other implementation, and falls back where the choice is left to us. */

import type { Network } from '@tensorwright/core';
import { CommandError, exitCodes } from '../exit-codes.js';
import type { Reporter } from '../output/reporter.js';
import { checkComparable } from './library-calls.js';
import { loadOnnxRuntime, type OnnxRuntimeModel, onnxRuntimePeer } from './onnxruntime-peer.js';
import type { Peer } from './peer.js';
import { referencePeer } from './reference-peer.js';

export const peerNames = ['auto', 'onnxruntime', 'reference', 'none'] as const;
export type PeerName = (typeof peerNames)[number];

export interface PeerJob {
  readonly network: Network;
  readonly model: OnnxRuntimeModel;
  readonly threads: number | undefined;
}

const nobody: Peer = { name: 'nothing', run: () => Promise.resolve({}), close: () => Promise.resolve() };

/**
 * Finds out, before the time that a build takes, that there will be nobody to compare with.
 * @throws CommandError when ONNX Runtime is asked for and not installed, and where the reference cannot compute a node
 */
export async function checkPeer(choice: PeerName, network: Network): Promise<void> {
  if (choice === 'none') return;
  if (choice !== 'reference' && (await loadOnnxRuntime())) return;
  if (choice === 'onnxruntime')
    throw new CommandError(
      exitCodes.unavailable,
      'onnxruntime-node is not installed: npm install onnxruntime-node, or --against reference',
    );
  await checkComparable(network);
}

/**
 * Hands a peer that `checkPeer` has found possible to `work`, and closes it. With 'auto', ONNX Runtime where it is
 * installed and can run the model, else the reference.
 */
export async function withPeer<T>(
  choice: PeerName,
  job: PeerJob,
  reporter: Reporter,
  signal: AbortSignal,
  work: (peer: Peer) => Promise<T>,
): Promise<T> {
  if (choice === 'none') return work(nobody);
  const reference = (): Promise<T> => work(referencePeer(job.network, reporter, signal));
  const ort = choice === 'reference' ? undefined : await loadOnnxRuntime();
  if (!ort) return reference();
  let peer: Peer | undefined;
  try {
    peer = await onnxRuntimePeer(ort, job.model, job.threads);
    return await work(peer);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (choice === 'onnxruntime')
      throw new CommandError(exitCodes.failure, `ONNX Runtime cannot run the model: ${reason}`, { cause: error });
    signal.throwIfAborted();
    reporter.warn(`ONNX Runtime cannot run the model, comparing with the reference: ${reason}`);
  } finally {
    await peer?.close();
  }
  await checkComparable(job.network);
  return reference();
}
