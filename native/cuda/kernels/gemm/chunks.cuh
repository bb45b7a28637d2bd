// 16-byte chunks of a row are permuted, so that ldmatrix reads eight rows without bank conflicts: as TMA does it with a
// swizzle of so many bytes, where rows begin at multiples of eight of them.
template <int RowBytes>
TW_DEVICE constexpr int chunk_permutation(int row) {
  constexpr int chunks = RowBytes / 16;
  static_assert((chunks & (chunks - 1)) == 0, "a power of two");
  if constexpr (chunks >= 8) return row & 7;
  else return (row / (8 / chunks)) & (chunks - 1);
}

template <int RowBytes>
TW_DEVICE constexpr int chunk_offset(int row, int chunk) {
  return row * RowBytes + ((chunk ^ chunk_permutation<RowBytes>(row)) << 4);
}
