/** Tries tactics in a process of their own: a kernel that faults takes the device from the process that ran it. */

import {
  type Measurable,
  Tensor,
  type Trial,
  type TrialOptions,
  type Trials,
  type TrialsOptions,
} from '@tensorwright/core';
import type { NativeTensor, Trial as NativeTrial, TrialProcess } from '@tensorwright/native';
import { native } from './native.js';

/** Kernels take microseconds: this is many runs. */
const timing = { minNanoseconds: 2e6, maxRuns: 50 };

export function startTrials({ timeoutMs, log }: TrialsOptions): Trials {
  return new CudaTrials(native().startTrials({ timeoutMs }), log);
}

class CudaTrials implements Trials {
  /** undefined where no process can be started: trials then run in this one. */
  #process: TrialProcess | undefined;
  readonly #log: TrialsOptions['log'];

  constructor(process: TrialProcess, log: TrialsOptions['log']) {
    this.#process = process;
    this.#log = log;
  }

  async try(work: Measurable, { timed, coldConstants = false, outputs, signal }: TrialOptions): Promise<Trial> {
    const { minNanoseconds, maxRuns } = timing;
    const options = { minNanoseconds, maxRuns: timed ? maxRuns : 0, coldConstants, outputs };
    const trial = (await this.#elsewhere(work, options, signal)) ?? (await tryHere(work, options));
    return { nanoseconds: trial.nanoseconds, outputs: trial.outputs.map(tensorOf) };
  }

  async #elsewhere(
    work: Measurable,
    options: Parameters<TrialProcess['try']>[1],
    signal: AbortSignal | undefined,
  ): Promise<NativeTrial | undefined> {
    if (!this.#process) return undefined;
    try {
      return await this.#process.try(work, options, signal);
    } catch (error) {
      if (this.#process.works || (error as { code?: string }).code !== 'ERR_BACKEND_UNAVAILABLE') throw error;
      this.close();
      this.#log({
        level: 'warn',
        message: `tactics are tried in this process, which a failing kernel would break: ${(error as Error).message}`,
      });
      return undefined;
    }
  }

  close(): void {
    this.#process?.close();
    this.#process = undefined;
  }
}

async function tryHere(work: Measurable, options: Parameters<TrialProcess['try']>[1]): Promise<NativeTrial> {
  const n = native();
  const weights = n.openWeights(work.weights);
  try {
    const program = await n.loadProgram(work.program, weights);
    try {
      return await n.try(program, work.inputDims, options);
    } finally {
      program.close();
    }
  } finally {
    weights.close();
  }
}

function tensorOf(tensor: NativeTensor | null): Tensor | undefined {
  return tensor ? new Tensor(tensor.dtype, tensor.data as Tensor['data'], tensor.dims) : undefined;
}
