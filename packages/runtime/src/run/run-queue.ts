/** Runs of one context, one after the other in the order they were asked for. */

import { TensorwrightError } from '@tensorwright/core';

interface Waiting {
  start(): void;
  reject(error: Error): void;
}

export class RunQueue {
  readonly #waiting: Waiting[] = [];
  #running: Promise<unknown> | undefined;
  #closed = false;

  get busy(): boolean {
    return this.#running !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** A run that still waits when its signal aborts never starts. */
  enqueue<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (!this.#running) return this.#start(work);
    return new Promise<T>((resolve, reject) => {
      const leave = (error: Error): void => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      };
      const entry: Waiting = {
        start: () => {
          signal?.removeEventListener('abort', onAbort);
          this.#start(work).then(resolve, reject);
        },
        reject: leave,
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        // A reason may be anything, and is passed on as it is.
        leave(signal!.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(entry);
    });
  }

  #start<T>(work: () => Promise<T>): Promise<T> {
    const run = work();
    const next = (): void => {
      this.#running = undefined;
      this.#waiting.shift()?.start();
    };
    this.#running = run.then(next, next);
    return run;
  }

  /** Refuses waiting and later runs; resolves when the running one has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#waiting.splice(0))
      entry.reject(new TensorwrightError('ERR_DISPOSED', 'the execution context was closed before the run began'));
    await this.#running;
  }
}
