/** Text that kernels begin with which move several elements at a time. */

import { type Dim, dtypeInfo, type DType } from '@tensorwright/core';

/**
 * `is_aligned<Width>(pointer)`, and `load_elements<Aligned, Width>`, `store_elements<Aligned, Width>`: Width elements in
 * one access where the pointer is known to allow it. An operand may begin in the middle of another tensor.
 */
export const vectorAccess = `
template <int Width, typename T>
TW_DEVICE bool is_aligned(const T* pointer) {
  return reinterpret_cast<u64>(pointer) % alignof(Vec<T, Width>) == 0;
}

template <bool Aligned, int Width, typename T>
TW_DEVICE Vec<T, Width> load_elements(const T* from) {
  if constexpr (Aligned) return load_vec<Width>(from);
  else return load_strided<Width>(from, 1);
}

template <bool Aligned, int Width, typename T>
TW_DEVICE void store_elements(T* to, const Vec<T, Width>& values) {
  if constexpr (Aligned) {
    store_vec(to, values);
  } else {
#pragma unroll
    for (int v = 0; v < Width; ++v) to[v] = values[v];
  }
}
`;

/** The most elements, a power of two, that one access of at most 16 bytes moves and that divide each of the extents. */
export function widthOf(dtype: DType, ...extents: readonly Dim[]): number {
  let width = 128 / dtypeInfo(dtype).bits;
  while (extents.some((d) => typeof d !== 'number' || d % width !== 0) && width > 1) width /= 2;
  return width;
}
