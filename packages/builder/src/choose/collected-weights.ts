/** The weights that the candidates of a problem are tried with, read once where all of them read the same. */

import type { ConstantData } from '@tensorwright/core';
import type { WeightSection } from '../plan/weights.js';

/** Bytes copied at once: below a millisecond. */
const sliceBytes = 1 << 20;

/** A section that holds constants as they are, and nothing else. */
interface Collected {
  readonly constants: readonly ConstantData[];
  readonly bytes: Promise<Uint8Array>;
}

export class CollectedWeights {
  readonly #known: Collected[] = [];
  readonly #breathe: () => Promise<void>;

  constructor(breathe: () => Promise<void>) {
    this.#breathe = breathe;
  }

  /** The section's bytes, which nobody may change: others may be given the same. */
  async of(section: WeightSection): Promise<Uint8Array> {
    const constants = section.chunks.flatMap((c) => c.constant ?? []);
    if (constants.length === 0 || constants.length < section.chunks.length) return this.#collect(section);
    // Offsets follow from the order.
    const same = (c: Collected): boolean =>
      c.constants.length === constants.length && c.constants.every((d, i) => d === constants[i]);
    const known = this.#known.find(same);
    if (known) return known.bytes;
    const bytes = this.#collect(section);
    this.#known.push({ constants, bytes });
    return bytes;
  }

  async #collect(section: WeightSection): Promise<Uint8Array> {
    const bytes = new Uint8Array(section.length);
    for (const { offset, load } of section.chunks) {
      const from = await load();
      for (let i = 0; i < from.length; i += sliceBytes) {
        bytes.set(from.subarray(i, i + sliceBytes), offset + i);
        await this.#breathe();
      }
    }
    return bytes;
  }
}
