/** Progress of a build: phases in order, units of work inside the long ones, an estimate of what is left. */

import type { BuildPhase, BuildProgress } from './options.js';

export class ProgressReporter {
  readonly #listener: ((progress: BuildProgress) => void) | undefined;
  #phase: BuildPhase | undefined;
  #phaseStart = performance.now();

  constructor(listener: ((progress: BuildProgress) => void) | undefined) {
    this.#listener = listener;
  }

  /** `done` of `total` units of the phase; 0 of 1 when it has no units. */
  report(phase: BuildPhase, done = 0, total = 1): void {
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#phaseStart = performance.now();
    }
    const elapsed = performance.now() - this.#phaseStart;
    const estimateMs = done > 0 ? (elapsed / done) * (total - done) : undefined;
    this.#listener?.({ phase, done, total, estimateMs });
  }

  finish(): void {
    this.#listener?.({ phase: 'plan', done: 1, total: 1, estimateMs: 0 });
  }
}
