/** A finished plan in memory: the header and the weights it refers to. */

import {
  alignUp,
  Breather,
  encodePlanHead,
  formatChecksum,
  type PlanHeader,
  planSectionAlignment,
  TensorwrightError,
  updateChecksum,
} from '@tensorwright/core';
import { open, rename, rm } from 'node:fs/promises';
import type { WeightSection } from './weights.js';

/** Bytes handled at once: below a millisecond. */
const sliceBytes = 1 << 20;

/** An engine as it is saved: a header that says what to run, and sections of weights, compiled kernels and libraries. */
export class Plan {
  readonly header: PlanHeader;
  readonly #head: Uint8Array;
  readonly #weights: WeightSection;
  readonly #libraries: Uint8Array | undefined;

  private constructor(header: PlanHeader, head: Uint8Array, weights: WeightSection, libraries: Uint8Array | undefined) {
    this.header = header;
    this.#head = head;
    this.#weights = weights;
    this.#libraries = libraries;
  }

  /** @internal Used by the builder. */
  static async create(
    header: Omit<PlanHeader, 'sections'>,
    weights: WeightSection,
    libraries: Uint8Array | undefined,
    breather: Breather,
  ): Promise<Plan> {
    let checksum = 0;
    for await (const slice of slices(weights, breather)) checksum = updateChecksum(slice, checksum);
    const encoded = encodePlanHead(header, [
      { name: 'weights', bytes: weights.length, digest: formatChecksum(checksum) },
      ...(libraries
        ? [{ name: 'libraries' as const, bytes: libraries.length, digest: formatChecksum(updateChecksum(libraries)) }]
        : []),
    ]);
    return new Plan(encoded.header, encoded.head, weights, libraries);
  }

  /** Size of the file in bytes. */
  get byteLength(): number {
    if (!this.#libraries) return this.#head.length + this.#weights.length;
    return this.#head.length + alignUp(this.#weights.length, planSectionAlignment) + this.#libraries.length;
  }

  /** The whole file. The same build gives the same bytes. */
  async toBytes(): Promise<Uint8Array> {
    const out = new Uint8Array(this.byteLength);
    let at = 0;
    for await (const slice of this.#slices()) {
      out.set(slice, at);
      at += slice.length;
    }
    return out;
  }

  /** The file's bytes in order. */
  async *#slices(): AsyncGenerator<Uint8Array> {
    yield this.#head;
    yield* slices(this.#weights, new Breather(undefined));
    if (!this.#libraries) return;
    const { length } = this.#weights;
    yield new Uint8Array(alignUp(length, planSectionAlignment) - length);
    yield this.#libraries;
  }

  /** Writes the file; an existing one is replaced only when the new one is complete. */
  async save(path: string): Promise<void> {
    const temporary = `${path}.${String(process.pid)}.tmp`;
    try {
      const file = await open(temporary, 'w');
      try {
        for await (const slice of this.#slices()) await file.write(slice);
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `Plan.save: cannot write '${path}': ${(cause as Error).message}`,
        { file: path },
        { cause },
      );
    }
  }
}

/** The section's bytes in order, gaps of the alignment as zeros. */
async function* slices(weights: WeightSection, breather: Breather): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const chunk of weights.chunks) {
    if (chunk.offset > at) yield new Uint8Array(chunk.offset - at);
    const bytes = await chunk.load();
    for (let i = 0; i < bytes.length; i += sliceBytes) {
      yield bytes.subarray(i, i + sliceBytes);
      await breather.breathe();
    }
    at = chunk.offset + chunk.length;
  }
}
