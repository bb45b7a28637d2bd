/** Text that kernels begin with which compute in float whatever is stored. */

import { vectorAccess } from './vector-access.js';

/** `vectorAccess`, and `load_floats<Aligned, Width>`, `store_floats<Aligned, Width>`: the same, as floats. */
export const floatAccess: string = `${vectorAccess}
template <bool Aligned, int Width, typename T>
TW_DEVICE Vec<float, Width> load_floats(const T* from) {
  return convert_vec<float>(load_elements<Aligned, Width>(from));
}

template <bool Aligned, int Width, typename T>
TW_DEVICE void store_floats(T* to, const Vec<float, Width>& values) {
  store_elements<Aligned>(to, convert_vec<T>(values));
}
`;
