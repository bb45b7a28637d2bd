/** Objects that own something native: closed once, by hand, by `using` or when collected. */

import type { Binding, Handle } from './binding.js';
import { NativeError } from './errors.js';

export abstract class Resource {
  protected readonly binding: Binding;
  readonly #kind: string;
  #handle: Handle | undefined;

  protected constructor(binding: Binding, handle: Handle, kind: string) {
    this.binding = binding;
    this.#handle = handle;
    this.#kind = kind;
  }

  /** @internal @throws ERR_DISPOSED after close() */
  get handle(): Handle {
    if (this.#handle === undefined) throw new NativeError('ERR_DISPOSED', `this ${this.#kind} has been closed`);
    return this.#handle;
  }

  get closed(): boolean {
    return this.#handle === undefined;
  }

  /**
   * Gives up the native object. Work that is under way ends normally, and what was made from the object lives on;
   * a second call does nothing.
   */
  close(): void {
    if (this.#handle === undefined) return;
    this.binding.close(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
