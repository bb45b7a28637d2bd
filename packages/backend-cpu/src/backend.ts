/** The CPU backend: tactics on the native kernels. */

import {
  type Backend,
  type Candidate,
  type DeviceDescription,
  type EmitContext,
  type EmittedStep,
  type Measurable,
  type Node,
  registerBackend,
  TensorwrightError,
  viewGroup,
} from '@tensorwright/core';
import { native } from './native.js';
import type { Tactic } from './tactic.js';
import { tactics } from './tactics/index.js';
import { version } from './version.js';

function tacticFor(node: Node): Tactic | undefined {
  return tactics.find((t) => t.refuses(viewGroup(node)) === undefined);
}

function refuses(node: Node): string | undefined {
  const view = viewGroup(node);
  const reasons = new Set<string>();
  for (const tactic of tactics) {
    const reason = tactic.refuses(view);
    if (reason === undefined) return undefined;
    reasons.add(reason);
  }
  // The tactics of other operators say only that this is not theirs.
  const telling = [...reasons]
    .filter((r) => !r.startsWith('no ') && !r.startsWith('not ') && !r.startsWith('only '))
    .concat([...reasons].filter((r) => r.startsWith('no kernel') || r.startsWith('no native')));
  return telling.length > 0 ? telling.join('; ') : [...reasons].join('; ');
}

function device(): DeviceDescription | undefined {
  try {
    const n = native();
    const id = `cpu ${n.isa()} ${String(n.defaultThreads())} threads`;
    return { id, description: `${id} (${n.features().join(' ')})` };
  } catch (error) {
    if (TensorwrightError.is(error) || (error as { code?: string }).code === 'ERR_NATIVE_LOAD') return undefined;
    throw error;
  }
}

function unavailable(): string | undefined {
  try {
    native();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export const cpuBackend: Backend = {
  name: 'cpu',
  version,
  device,
  unavailable,
  refuses,
  candidates(node: Node): readonly Candidate[] {
    const tactic = tacticFor(node);
    if (!tactic) return [];
    return tactic.candidates(viewGroup(node)).map(({ variant, ...outline }) => ({
      producer: `@tensorwright/backend-cpu ${version}`,
      ...outline,
      tactic: variant === undefined ? `cpu.${tactic.name}` : `cpu.${tactic.name}.${variant}`,
    }));
  },
  async emit(node: Node, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const tactic = tacticFor(node);
    if (!tactic)
      throw new TensorwrightError('ERR_INTERNAL', `the cpu backend was asked to emit ${node.op}, which it refuses`);
    return tactic.emit(viewGroup(node), candidate, context);
  },
  async measure(work: Measurable): Promise<number[]> {
    const n = native();
    const weights = n.openWeights(work.weights);
    try {
      const program = n.createProgram(work.program, weights);
      try {
        return await n.time(program, work.inputDims, { minNanoseconds: 2e6, maxRuns: 50 });
      } finally {
        program.close();
      }
    } finally {
      weights.close();
    }
  },
};

registerBackend(cpuBackend);
