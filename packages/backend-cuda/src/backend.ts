/** The CUDA backend: tactics on the kernel library, compiled for the device at hand. */

import {
  type Backend,
  type Candidate,
  type DeviceDescription,
  type EmitContext,
  type EmittedStep,
  type Node,
  registerBackend,
  type TacticSource,
  TensorwrightError,
  viewGroup,
} from '@tensorwright/core';
import { native } from './native.js';
import type { Tactic } from './tactic.js';
import { emitCopy } from './tactics/copy.js';
import { needsOfCublasLt } from './tactics/cublaslt.js';
import { needsOfCudnn } from './tactics/cudnn.js';
import { joinCopies } from './tactics/joined-copies.js';
import { tactics } from './tactics/index.js';
import { reorderedPerMicrosecond } from './tactics/operands.js';
import { startTrials } from './trials.js';
import { version } from './version.js';

function refuses(node: Node): string | undefined {
  const view = viewGroup(node);
  const reasons = new Set<string>();
  for (const tactic of tactics) {
    const reason = tactic.refuses(view);
    if (reason === undefined) return undefined;
    reasons.add(reason);
  }
  // Tactics of other operators say only that this is not theirs.
  const telling = [...reasons].filter((r) => !r.startsWith('no ') && !r.startsWith('not ') && !r.startsWith('only '));
  return telling.length > 0 ? telling.join('; ') : `no kernel for ${view.anchor?.op ?? node.op}`;
}

function device(): DeviceDescription | undefined {
  try {
    const status = native().cuda.status();
    const [first] = status.available ? status.devices : [];
    if (!status.available || !first || status.compiler === undefined) return undefined;
    return {
      id: `${first.name} ${first.architecture} driver ${status.driver}`,
      description: `${first.name} (${first.architecture}, ${String(first.multiprocessors)} multiprocessors)`,
      cacheBytes: first.l2Bytes,
    };
  } catch (error) {
    if (TensorwrightError.is(error) || (error as { code?: string }).code === 'ERR_NATIVE_LOAD') return undefined;
    throw error;
  }
}

function unavailable(): string | undefined {
  try {
    const status = native().cuda.status();
    return status.available ? status.compilerReason : status.reason;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * A library's kernel neither fetches its weights while its predecessor ends nor lets its successor begin. On an H200, of
 * networks with libraries less the same without, for each step that had changed: 3.2 in bert_base at batch 1, 0.9 in
 * vit_b_16 at batch 8, lost in the noise where steps take 20 and more.
 */
const libraryHandover = 0.8;

const nameOf = (tactic: Tactic): string => `cuda.${tactic.name}`;

function isAllowed({ source }: Tactic, sources: readonly TacticSource[] | undefined): boolean {
  return !source || !sources || sources.includes(source);
}

export const cudaBackend: Backend = {
  name: 'cuda',
  memory: 'cuda',
  version,
  device,
  unavailable,
  refuses,
  async prepare(node: Node, sources?: readonly TacticSource[]): Promise<void> {
    const view = viewGroup(node);
    for (const tactic of tactics) if (isAllowed(tactic, sources)) await tactic.prepare?.(view);
  },
  candidates(node: Node, sources?: readonly TacticSource[]): readonly Candidate[] {
    const view = viewGroup(node);
    return tactics
      .filter((t) => isAllowed(t, sources) && t.refuses(view) === undefined)
      .flatMap((tactic) =>
        tactic.candidates(view).map(({ variant, ...outline }) => ({
          producer: `@tensorwright/backend-cuda ${version}`,
          ...outline,
          ...(tactic.source && { source: tactic.source, handover: libraryHandover }),
          tactic: variant === undefined ? nameOf(tactic) : `${nameOf(tactic)}.${variant}`,
        })),
      );
  },
  async emit(node: Node, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const tactic = tactics.find((t) => `${candidate.tactic}.`.startsWith(`${nameOf(t)}.`));
    if (!tactic)
      throw new TensorwrightError(
        'ERR_INTERNAL',
        `the cuda backend has no tactic '${candidate.tactic}' for ${node.op}`,
      );
    return tactic.emit(viewGroup(node), candidate, context);
  },
  // On an H200: networks of small steps (resnet50, efficientnet_b0 at batch 1) less the sum of their steps.
  handover: 0.6,
  reorderingSpeed: reorderedPerMicrosecond,
  emitCopy,
  joinCopies,
  needs: (kernels) => [...needsOfCublasLt(kernels), ...needsOfCudnn(kernels)],
  trials: startTrials,
};

registerBackend(cudaBackend);
