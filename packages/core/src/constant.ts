/** Constant tensors of a graph. The bytes may still lie in a file and are read when first asked for. */

import { Tensor } from './tensor.js';
import type { DType } from './dtype.js';

let nextId = 1;

export class ConstantData {
  /** Identity for hash-consing. */
  readonly id: number = nextId++;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly #load: () => Tensor;
  #cached: WeakRef<Tensor> | Tensor | undefined;

  /** @param source the tensor, or a function that reads it: called again when its result has been collected. */
  constructor(dtype: DType, dims: readonly number[], source: Tensor | (() => Tensor)) {
    this.dtype = dtype;
    this.dims = dims;
    if (source instanceof Tensor) {
      this.#cached = source;
      this.#load = () => source;
    } else {
      this.#load = source;
    }
  }

  static of(tensor: Tensor): ConstantData {
    return new ConstantData(tensor.dtype, tensor.dims, tensor);
  }

  get tensor(): Tensor {
    const cached = this.#cached instanceof WeakRef ? this.#cached.deref() : this.#cached;
    if (cached) return cached;
    const tensor = this.#load();
    this.#cached = new WeakRef(tensor);
    return tensor;
  }
}
