/** Long synchronous work in slices, so that timers and sockets of the process are served. */

import { setImmediate } from 'node:timers/promises';
import type { Steps } from './rewrite.js';

const sliceMs = 4;

/** For one piece of long work, made when it begins. */
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

  /** Gives way when this slice has lasted long enough. @throws the signal's reason */
  async breathe(): Promise<void> {
    this.#signal?.throwIfAborted();
    if (performance.now() - this.#since < sliceMs) return;
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#since = performance.now();
  }
}
