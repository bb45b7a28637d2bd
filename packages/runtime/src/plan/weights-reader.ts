/** The weights section as steps in TypeScript read it. */

import { TensorwrightError } from '@tensorwright/core';
import type { PlanSource } from './plan-source.js';
import type { WeightsSection } from './read-plan.js';

export class WeightsReader {
  readonly #source: PlanSource;
  readonly #section: WeightsSection | undefined;
  readonly #buffers = new Set<ArrayBufferLike>();

  constructor(source: PlanSource, section: WeightsSection | undefined) {
    this.#source = source;
    this.#section = section;
  }

  /** @throws ERR_INVALID_PLAN when the range is not inside the section */
  read(offset: number, bytes: number): Uint8Array {
    const length = this.#section?.bytes ?? 0;
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(bytes) ||
      offset < 0 ||
      bytes < 0 ||
      bytes > length - offset
    ) {
      throw new TensorwrightError(
        'ERR_INVALID_PLAN',
        `bytes ${String(offset)} … ${String(offset + bytes)} are outside the weights section of ${length} bytes`,
      );
    }
    if (bytes === 0) return new Uint8Array(0);
    const read = this.#source.readSync(this.#section!.offset + offset, bytes);
    this.#buffers.add(read.buffer);
    return read;
  }

  /** True for memory that holds weights: never given to users, who might write to it. */
  owns(buffer: ArrayBufferLike): boolean {
    return this.#buffers.has(buffer);
  }
}
