/** A tensor of a network under definition. */

import { TensorwrightError } from '../errors.js';
import type { Dim } from '../dim.js';
import type { DType } from '../dtype.js';
import type { Value } from '../graph.js';
import { formatType } from '../type.js';

export class NetworkTensor {
  readonly value: Value;
  /** Default: none; outputs get one when they are marked. */
  name: string | undefined;

  constructor(value: Value, name?: string) {
    this.value = value;
    this.name = name;
  }

  get dtype(): DType {
    return this.#type().dtype;
  }

  /** undefined: the rank is not known. */
  get dims(): readonly Dim[] | undefined {
    return this.#type().dims;
  }

  setName(name: string): this {
    this.name = name;
    return this;
  }

  toString(): string {
    return `${this.name ?? this.value.node.op}: ${formatType(this.value.type)}`;
  }

  #type(): { readonly dtype: DType; readonly dims: readonly Dim[] | undefined } {
    const { type } = this.value;
    if (type.kind !== 'tensor')
      throw new TensorwrightError(
        'ERR_DTYPE_MISMATCH',
        `${this.name ?? this.value.node.op} is a ${type.kind}, not a tensor`,
      );
    return type;
  }
}
