/**
 * A process that runs programs on random inputs, so that one whose kernels fault or hang takes nothing else with it: a
 * device refuses all later work of the process that broke it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { NativeError, type NativeErrorCode } from './errors.js';
import type { PlanProgram } from './plan.js';
import type { NativeTensor } from './tensor.js';
import { trialHost } from './trial-host.js';

/** A program, its weights, and the dims of its inputs. */
export interface TrialWork {
  readonly program: PlanProgram;
  readonly weights: Uint8Array;
  readonly inputDims: readonly (readonly number[])[];
}

export interface TrialOptions {
  /** Measure at least this long in all. Default: 10 ms. */
  readonly minNanoseconds?: number;
  /** Measure at most this often; 0: not at all. Default: 1000. */
  readonly maxRuns?: number;
  /**
   * Time it on a device with constants that the device's cache does not hold, as where the other constants of a network
   * displace them. Default: false.
   */
  readonly coldConstants?: boolean;
  /** Give what the last step computes, in memory that held NaNs before. Default: false. */
  readonly outputs?: boolean;
  /** Threads of kernels on the processor. Default: the physical cores. */
  readonly threads?: number;
  readonly device?: number;
}

export interface Trial {
  /** Nanoseconds of every run, ascending. */
  readonly nanoseconds: readonly number[];
  /** Row-major; null where the step has no such output. */
  readonly outputs: readonly (NativeTensor | null)[];
}

export interface TrialProcessOptions {
  /** Milliseconds that one trial may take. */
  readonly timeoutMs: number;
}

type Answer = { readonly request: number } & (
  | { readonly status: { readonly available: boolean; readonly reason?: string } }
  | { readonly begun: true }
  | { readonly trial: Trial }
  | { readonly error: { readonly code: NativeErrorCode; readonly message: string } }
);

/** Milliseconds that the process may take to start and open the device. */
const startTimeoutMs = 60_000;
/** Set in that process: should it turn out to be something else than Node.js, it starts no further ones. */
const hostVariable = 'TENSORWRIGHT_TRIAL_HOST';

/** A program packed into one file is no Node.js to run other code with. */
function isPacked(): boolean {
  const get = (process as { getBuiltinModule?(name: string): { isSea?(): boolean } | undefined }).getBuiltinModule;
  return process.env[hostVariable] !== undefined || get?.('node:sea')?.isSea?.() === true;
}

function noProcess(reason: string, cause?: unknown): NativeError {
  return new NativeError('ERR_BACKEND_UNAVAILABLE', `no process for trials: ${reason}`, {}, { cause });
}

/** The process ended on its own before it began what it was asked. */
class EndedBefore extends NativeError {}

/**
 * The process starts with the first trial, and again when it has ended, by a trial or on its own. One trial at a time:
 * others wait for their turn.
 */
export class TrialProcess {
  readonly #addon: string;
  readonly #timeoutMs: number;
  #child: ChildProcess | undefined;
  #started = false;
  #stderr = '';
  #requests = 0;
  /** The end of the trial in progress. */
  #idle: Promise<unknown> = Promise.resolve();

  /** @internal `Native.startTrials` makes them. */
  constructor(addon: string, { timeoutMs }: TrialProcessOptions) {
    this.#addon = addon;
    this.#timeoutMs = timeoutMs;
  }

  /** True once a process has run: failures are then the trials' own. */
  get works(): boolean {
    return this.#started;
  }

  /**
   * @throws ERR_DEVICE when the trial faults, ends its process or exceeds the time; ERR_BACKEND_UNAVAILABLE when no
   * process can be started that sees a device; what `createProgram` throws; the signal's reason
   */
  try(work: TrialWork, options: TrialOptions = {}, signal?: AbortSignal): Promise<Trial> {
    const trial = this.#idle.then(() => this.#try(work, options, signal));
    this.#idle = trial.catch(() => undefined);
    return trial;
  }

  async #try(work: TrialWork, options: TrialOptions, signal: AbortSignal | undefined): Promise<Trial> {
    const { minNanoseconds = 10_000_000, maxRuns = 1000, coldConstants = false, outputs = false } = options;
    const { threads = 0, device = 0 } = options;
    const message = { work, options: { minNanoseconds, maxRuns, coldConstants, outputs, threads, device } };
    let answer: Answer;
    try {
      answer = await this.#request(message, signal);
    } catch (error) {
      if (!(error instanceof EndedBefore)) throw error;
      answer = await this.#request(message, signal);
    }
    if ('trial' in answer) return answer.trial;
    const { code, message: text } = 'error' in answer ? answer.error : { code: 'ERR_INTERNAL' as const, message: '' };
    // The device is lost to that process, perhaps.
    if (code === 'ERR_DEVICE') this.close();
    throw new NativeError(code, text);
  }

  /** Ends the process. A later trial starts another. */
  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Asks the process that is there, or a new one. */
  async #request(message: object, signal: AbortSignal | undefined): Promise<Answer> {
    signal?.throwIfAborted();
    if (this.#child?.connected === false) this.close();
    if (!this.#child) await this.#start(signal);
    return this.#ask({ request: ++this.#requests, ...message }, this.#timeoutMs, signal);
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    // Options of this process are its own affair: loaders and inspectors would start with the other one as well.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#stderr = '';
    if (isPacked()) throw noProcess('this program is not Node.js itself');
    let child: ChildProcess;
    try {
      child = spawn(process.execPath, ['--input-type=commonjs', '-e', trialHost, this.#addon], {
        env: { ...env, ELECTRON_RUN_AS_NODE: '1', [hostVariable]: '1' },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        serialization: 'advanced',
        windowsHide: true,
      });
    } catch (error) {
      // Node.js may have been told to start no processes.
      throw noProcess((error as Error).message, error);
    }
    // What waits for an answer keeps this process alive, by its timer; an idle child does not.
    child.unref();
    child.channel?.unref();
    child.stderr?.on('data', (text: Buffer) => (this.#stderr = (this.#stderr + text.toString()).slice(-2000)));
    (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    this.#child = child;
    const answer = await this.#ask({ request: 0 }, startTimeoutMs, signal);
    if ('status' in answer && answer.status.available) {
      this.#started = true;
      return;
    }
    this.close();
    const reason = 'status' in answer ? answer.status.reason : undefined;
    throw new NativeError('ERR_BACKEND_UNAVAILABLE', `the process for trials sees no device: ${reason ?? 'no reason'}`);
  }

  /** Sends a request, but for the one that the start is, and gives what comes back. */
  #ask(message: { readonly request: number }, timeoutMs: number, signal: AbortSignal | undefined): Promise<Answer> {
    const child = this.#child!;
    const { request } = message;
    let begun = request === 0;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        child.off('message', onMessage).off('exit', onExit).off('error', onError);
      };
      const fail = (error: Error): void => {
        end();
        if (this.#child === child) this.close();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(new NativeError('ERR_DEVICE', `it did not end within ${String(timeoutMs / 1000)} s`));
      }, timeoutMs);
      const onMessage = (message: unknown): void => {
        const answer = message as Answer;
        if (answer.request !== request) return;
        if ('begun' in answer) {
          begun = true;
          return;
        }
        end();
        resolve(answer);
      };
      const onExit = (code: number | null, name: string | null): void => {
        const told = this.#stderr.trim().split('\n').pop();
        const how = name === null ? `with code ${String(code)}` : `by ${name}`;
        const Kind = begun ? NativeError : EndedBefore;
        fail(new Kind('ERR_DEVICE', `it ended its process ${how}${told ? `: ${told}` : ''}`));
      };
      const onError = (error: Error): void => {
        fail(noProcess(error.message, error));
      };
      const onAbort = (): void => {
        fail(signal!.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      child.on('message', onMessage).on('exit', onExit).on('error', onError);
      if (request === 0) return;
      try {
        child.send(message, (error) => {
          // The other end is gone.
          if (error) fail(new EndedBefore('ERR_DEVICE', `it ended its process: ${error.message}`));
        });
      } catch (error) {
        // What cannot be sent, the process has not seen.
        end();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}
