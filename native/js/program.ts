/** Weights, programs and cancel tokens. */

import type { Binding, Handle } from './binding.js';
import { Context } from './context.js';
import { Resource } from './resource.js';

/** One read-only block of memory that programs take their constants from. */
export class Weights extends Resource {
  /** @internal */
  constructor(binding: Binding, handle: Handle) {
    super(binding, handle, 'block of weights');
  }
}

export interface ContextOptions {
  /** Fill memory with NaN bytes as soon as nobody may read it any more: for tests of memory plans. Default: false. */
  readonly poison?: boolean;
  /** Record the steps of a device when they have run once, and play the recording from then on. Default: true. */
  readonly recordings?: boolean;
  /** Run steps of plugins in memory of their own between guards, and throw ERR_PLUGIN where they change these. Default: false. */
  readonly guards?: boolean;
}

/** A checked plan program with its kernels. Contexts run it; they may outlive it. */
export class Program extends Resource {
  /** @internal */
  constructor(binding: Binding, handle: Handle) {
    super(binding, handle, 'program');
  }

  /** A context of its own memory. Contexts of one program run in parallel, the runs of one context in order. */
  createContext(options: ContextOptions = {}): Context {
    const { poison = false, recordings = true, guards = false } = options;
    return new Context(this.binding, this.binding.createContext(this.handle, poison, recordings, guards));
  }

  /** Bytes of the device's memory that hold the constants, which all contexts share. */
  get deviceConstantBytes(): number {
    return this.binding.deviceConstantBytes(this.handle);
  }
}

/** Ends the runs it was given to within a step, with ERR_ABORTED. */
export class CancelToken {
  readonly #binding: Binding;
  /** @internal */
  readonly handle: Handle;

  /** @internal */
  constructor(binding: Binding) {
    this.#binding = binding;
    this.handle = binding.createToken();
  }

  cancel(): void {
    this.#binding.cancel(this.handle);
  }
}
