/** Keeps the event loop awake while short runs are under way: to be woken takes as long as many a small model does. */

// Taken once: a program may put others in the place of the global ones, for its tests.
import { setImmediate } from 'node:timers';
import type { Binding, Handle } from './binding.js';

// In milliseconds.
/** Longer runs are waited for asleep. */
const longest = 0.4;
/** A turn of the event loop that takes longer than this is one that others need, or that waited for a core. */
const longestTurn = 0.1;
/** And for so long who sleeps is served sooner than who is awake. */
const busyFor = 20;

/** How many times the expected duration a run may take before the event loop goes to sleep after all. */
const patience = 2;

let underWay = 0;
let turning = false;
let lastTurn = 0;
let awakeUntil = 0;
let asleepUntil = 0;

/** What the runs of one context take, going by the last. */
export class Watch {
  readonly #binding: Binding;
  #expected = Infinity;

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  /** Waits for a run that has begun. The event loop turns meanwhile, and does whatever else there is. */
  async over<T>(run: Promise<T>, context: Handle): Promise<T> {
    const began = performance.now();
    underWay++;
    if (this.#expected < longest && began > asleepUntil && this.#binding.leavesCore(context)) {
      awakeUntil = Math.max(awakeUntil, began + patience * this.#expected);
      lastTurn = began;
      if (!turning) this.#turn();
    }
    try {
      return await run;
    } finally {
      underWay--;
      this.#expected = performance.now() - began;
    }
  }

  readonly #turn = (): void => {
    const now = performance.now();
    if (now - lastTurn > longestTurn) asleepUntil = now + busyFor;
    lastTurn = now;
    turning = underWay > 0 && now < awakeUntil && now > asleepUntil;
    this.#binding.poll(turning);
    if (turning) setImmediate(this.#turn);
  };
}
