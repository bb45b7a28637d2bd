// Loops over narrow words and over the sums of their products, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct WordLoops {
  // From signed bytes to unsigned ones 128 larger, and back.
  void (*flip)(uint8_t* bytes, int64_t n);
  // sums[r] += the unsigned bytes of the k words at a + r * lda.
  void (*add_row_sums)(const float* a, int64_t lda, int rows, int64_t k, int32_t* sums);
  // sums[j] += the signed bytes of words b[i * width + j], i < k.
  void (*add_column_sums)(const float* b, int64_t width, int64_t k, int32_t* sums);
  // sums[j] += row + column[j], of int32; then, if so asked, floats in their place.
  void (*finish_sums)(float* sums, int64_t n, int32_t row, const int32_t* column, bool to_float);
  void (*narrow)(const float* from, int64_t n, uint16_t* to);  // to bfloat16
  void (*widen)(const uint16_t* from, int64_t n, float* to);   // and back
  // One panel of B from elements of 2 bytes or of 1 byte: element (i, j) from src[i * k_stride + j * n_stride], i < k,
  // j < columns; zeros elsewhere. `flip` is added to bytes by exclusive or.
  void (*pack_pairs)(const uint16_t* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns,
                     uint16_t* dst);
  void (*pack_bytes)(const uint8_t* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, uint8_t flip,
                     uint8_t* dst);
};
TW_PER_ISA(const WordLoops& word_loops();)
inline const WordLoops& word_loops() { return TW_SELECT_ISA(word_loops)(); }

}  // namespace tw
