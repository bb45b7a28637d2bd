/** The weights section while it is being laid out: constants deduplicated by identity and by content. */

import {
  alignUp,
  byteLength,
  type ConstantData,
  elementCount,
  TensorwrightError,
  type Tensor,
} from '@tensorwright/core';
import { createHash } from 'node:crypto';

const alignment = 256;

export interface WeightChunk {
  readonly offset: number;
  /** The bytes, without holding up the event loop. */
  readonly load: () => Promise<Uint8Array>;
  readonly length: number;
  /** What these are the bytes of, where they are a constant as it is. */
  readonly constant?: ConstantData;
}

export interface WeightReference {
  readonly offset: number;
  readonly bytes: number;
}

export class WeightSection {
  readonly chunks: WeightChunk[] = [];
  #end = 0;
  readonly #byData = new Map<ConstantData, WeightReference>();
  readonly #byDigest = new Map<string, WeightReference>();

  /** Bytes of the section so far. */
  get length(): number {
    return this.#end;
  }

  addConstant(data: ConstantData): WeightReference {
    const known = this.#byData.get(data);
    if (known) return known;
    if (data.dtype === 'string')
      throw new TensorwrightError('ERR_INTERNAL', 'string constants do not go into the weights section');
    const reference = this.#add(
      async () => (await data.load()).bytes,
      byteLength(data.dtype, elementCount(data.dims)),
      data,
    );
    this.#byData.set(data, reference);
    return reference;
  }

  addTensor(tensor: Tensor): WeightReference {
    const { bytes } = tensor;
    // Small tensors repeat often (scales, epsilons); large packed weights are shared by their makers.
    if (bytes.length > 1 << 16) return this.#addBytes(bytes);
    const digest = createHash('sha1').update(bytes).digest('base64') + String(bytes.length);
    let reference = this.#byDigest.get(digest);
    if (!reference) this.#byDigest.set(digest, (reference = this.#addBytes(bytes)));
    return reference;
  }

  #addBytes(bytes: Uint8Array): WeightReference {
    return this.#add(() => Promise.resolve(bytes), bytes.length);
  }

  #add(load: () => Promise<Uint8Array>, length: number, constant?: ConstantData): WeightReference {
    const offset = alignUp(this.#end, alignment);
    this.chunks.push({ offset, load, length, ...(constant && { constant }) });
    this.#end = offset + length;
    return { offset, bytes: length };
  }
}
