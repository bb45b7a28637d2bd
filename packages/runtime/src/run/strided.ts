/** Reading and writing strided views of dense tensors: what operands of steps are. */

import {
  allocateElements,
  copyStrided,
  elementCount,
  elementsOf,
  type Elements,
  invariant,
  rowMajorStrides,
  type Tensor,
  tensorOf,
  TensorwrightError,
} from '@tensorwright/core';

/** A view of a value's memory, all numbers known. Offsets and strides in elements. */
export interface ConcreteView {
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
}

/** Strides of a dense tensor whose axes lie in this order, outermost first. */
export function denseStrides(dims: readonly number[], order: readonly number[] | undefined): number[] {
  if (!order) return rowMajorStrides(dims);
  const strides = new Array<number>(dims.length);
  let stride = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    strides[order[i]!] = stride;
    stride *= dims[order[i]!]!;
  }
  return strides;
}

/** A dense row-major tensor of the view's elements; shares memory with `whole` where the view is all of it. */
export function readView(whole: Tensor, order: readonly number[] | undefined, view: ConcreteView): Tensor {
  const count = elementCount(view.dims);
  if (view.offset === 0 && !order && count === whole.size && isDense(view)) return whole.reshape(view.dims);
  const memory = order ? reorder(whole, order) : elementsOf(whole);
  checkBounds(view, memory.length);
  const out = allocateElements(whole.dtype, count);
  copyStrided(memory, view, out, { offset: 0, strides: rowMajorStrides(view.dims) }, view.dims);
  return tensorOf(whole.dtype, out as Elements & ArrayLike<number>, view.dims);
}

/** Memory of a value that steps write piece by piece. */
export class Canvas {
  readonly #dtype: Tensor['dtype'];
  readonly #dims: readonly number[];
  readonly #order: readonly number[] | undefined;
  readonly #memory: Elements;

  constructor(dtype: Tensor['dtype'], dims: readonly number[], order: readonly number[] | undefined) {
    this.#dtype = dtype;
    this.#dims = dims;
    this.#order = order;
    this.#memory = allocateElements(dtype, elementCount(dims));
  }

  write(view: ConcreteView, tensor: Tensor): void {
    invariant(elementCount(view.dims) === tensor.size, 'a step gave another size than its operand has');
    checkBounds(view, this.#memory.length);
    copyStrided(elementsOf(tensor), { offset: 0, strides: rowMajorStrides(view.dims) }, this.#memory, view, view.dims);
  }

  /** As a row-major tensor. Shares memory where it lies so already. */
  tensor(): Tensor {
    if (!this.#order) return tensorOf(this.#dtype, this.#memory as Elements & ArrayLike<number>, this.#dims);
    const out = allocateElements(this.#dtype, this.#memory.length);
    copyStrided(
      this.#memory,
      { offset: 0, strides: denseStrides(this.#dims, this.#order) },
      out,
      { offset: 0, strides: rowMajorStrides(this.#dims) },
      this.#dims,
    );
    return tensorOf(this.#dtype, out as Elements & ArrayLike<number>, this.#dims);
  }
}

/** The elements as they lie in memory in this axis order. */
function reorder(tensor: Tensor, order: readonly number[]): Elements {
  const out = allocateElements(tensor.dtype, tensor.size);
  copyStrided(
    elementsOf(tensor),
    { offset: 0, strides: rowMajorStrides(tensor.dims) },
    out,
    { offset: 0, strides: denseStrides(tensor.dims, order) },
    tensor.dims,
  );
  return out;
}

function isDense({ dims, strides }: ConcreteView): boolean {
  const dense = rowMajorStrides(dims);
  return dims.every((d, i) => d === 1 || strides[i] === dense[i]);
}

function checkBounds(view: ConcreteView, length: number): void {
  if (view.dims.includes(0)) return;
  let low = view.offset;
  let high = view.offset;
  view.dims.forEach((d, i) => {
    const reach = (d - 1) * view.strides[i]!;
    if (reach < 0) low += reach;
    else high += reach;
  });
  if (low < 0 || high >= length) {
    throw new TensorwrightError(
      'ERR_INVALID_PLAN',
      `a view reaches from element ${low} to ${high} of a value with ${length}`,
    );
  }
}
