/** Long synchronous work in slices, so that timers and sockets of the process are served. */

import type { Steps } from '@tensorwright/core';
import { setImmediate } from 'node:timers/promises';

const sliceMs = 6;

export class Breather {
  #since = performance.now();
  readonly #signal: AbortSignal | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** Runs sliced work to its end. */
  async drive<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (performance.now() - this.#since >= sliceMs) await this.breathe();
    }
  }

  async breathe(): Promise<void> {
    this.#signal?.throwIfAborted();
    if (performance.now() - this.#since < sliceMs) return;
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#since = performance.now();
  }
}
