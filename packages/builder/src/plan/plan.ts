/** A finished plan in memory: the header and the weights it refers to. */

import {
  Breather,
  encodePlanHead,
  formatChecksum,
  type PlanHeader,
  TensorwrightError,
  updateChecksum,
} from '@tensorwright/core';
import { open, rename, rm } from 'node:fs/promises';
import type { WeightSection } from './weights.js';

/** Bytes handled at once: below a millisecond. */
const sliceBytes = 1 << 20;

export class Plan {
  readonly header: PlanHeader;
  readonly #head: Uint8Array;
  readonly #weights: WeightSection;

  private constructor(header: PlanHeader, head: Uint8Array, weights: WeightSection) {
    this.header = header;
    this.#head = head;
    this.#weights = weights;
  }

  /** @internal Used by the builder. */
  static async create(header: Omit<PlanHeader, 'sections'>, weights: WeightSection, breather: Breather): Promise<Plan> {
    let checksum = 0;
    for await (const slice of slices(weights, breather)) checksum = updateChecksum(slice, checksum);
    const encoded = encodePlanHead(header, [
      { name: 'weights', bytes: weights.length, digest: formatChecksum(checksum) },
    ]);
    return new Plan(encoded.header, encoded.head, weights);
  }

  /** Size of the file in bytes. */
  get byteLength(): number {
    return this.#head.length + this.#weights.length;
  }

  /** The whole file. The same build gives the same bytes. */
  async toBytes(): Promise<Uint8Array> {
    const out = new Uint8Array(this.byteLength);
    out.set(this.#head, 0);
    let at = this.#head.length;
    for await (const slice of slices(this.#weights, new Breather(undefined))) {
      out.set(slice, at);
      at += slice.length;
    }
    return out;
  }

  /** Writes the file; an existing one is replaced only when the new one is complete. */
  async save(path: string): Promise<void> {
    const temporary = `${path}.${String(process.pid)}.tmp`;
    try {
      const file = await open(temporary, 'w');
      try {
        await file.write(this.#head);
        for await (const slice of slices(this.#weights, new Breather(undefined))) await file.write(slice);
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
