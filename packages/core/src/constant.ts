/** Constant tensors of a graph. The bytes may still lie in a file and are read when first asked for. */

import { Tensor } from './tensor.js';
import type { DType } from './dtype.js';

let nextId = 1;

/** How a constant's tensor is had. Called again when its result has been collected. */
export interface ConstantSource {
  read(): Tensor;
  /** The same off the event loop, or in pieces: for constants so large that reading them would hold it up. */
  load(): Promise<Tensor>;
}

export class ConstantData {
  /** Identity for hash-consing. */
  readonly id: number = nextId++;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly #source: ConstantSource;
  #cached: WeakRef<Tensor> | Tensor | undefined;

  /** @param source the tensor, a function that reads it, or both ways to read it. */
  constructor(dtype: DType, dims: readonly number[], source: Tensor | (() => Tensor) | ConstantSource) {
    this.dtype = dtype;
    this.dims = dims;
    if (source instanceof Tensor) {
      this.#cached = source;
      this.#source = readAtOnce(() => source);
    } else {
      this.#source = typeof source === 'function' ? readAtOnce(source) : source;
    }
  }

  static of(tensor: Tensor): ConstantData {
    return new ConstantData(tensor.dtype, tensor.dims, tensor);
  }

  /** Read on the spot: what only needs dims and dtype should not ask for it. */
  get tensor(): Tensor {
    return this.#known() ?? this.#keep(this.#source.read());
  }

  /** The tensor, without holding up the event loop while it is read. */
  async load(): Promise<Tensor> {
    return this.#known() ?? this.#keep(await this.#source.load());
  }

  #known(): Tensor | undefined {
    return this.#cached instanceof WeakRef ? this.#cached.deref() : this.#cached;
  }

  #keep(tensor: Tensor): Tensor {
    this.#cached = new WeakRef(tensor);
    return tensor;
  }
}

function readAtOnce(read: () => Tensor): ConstantSource {
  return { read, load: () => new Promise((resolve) => resolve(read())) };
}
