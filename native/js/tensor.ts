/** Tensors as the addon takes and gives them, and what must be copied before it may read them in place. */

import type { DType } from './plan.js';

/**
 * Dense row-major elements. `data` holds exactly the tensor's bytes: float16 and bfloat16 are bit patterns in a
 * Uint16Array, 8-bit floats and bool bytes, elements below 8 bits packed lowest bits first. Any typed array of the
 * right length in bytes is taken; results come in the one `@tensorwright/core` uses for the dtype.
 */
export interface NativeTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

/** Memory that another thread may change, or that may shrink, while a native thread reads it. */
export function volatile(view: ArrayBufferView): boolean {
  const { buffer } = view;
  return (
    !(buffer instanceof ArrayBuffer) || (buffer as ArrayBuffer & { readonly resizable?: boolean }).resizable === true
  );
}

export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A tensor the addon may read in place: the same, unless its memory is shared or resizable. */
export function readable<T extends NativeTensor | null>(tensor: T): T {
  if (tensor === null || !ArrayBuffer.isView(tensor.data)) return tensor;
  const { data } = tensor;
  if (volatile(data)) return { ...tensor, data: new Uint8Array(bytesOf(data)) };
  return data instanceof DataView ? { ...tensor, data: bytesOf(data) } : tensor;
}
