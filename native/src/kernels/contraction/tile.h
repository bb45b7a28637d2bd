// The register tile: the one inner loop under every float32 matrix product here.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

// Columns of packed constants come in panels of 32, each K-major: panel[k][32]. The last panel is 16 wide when 16 are
// enough. The same bytes serve every instruction set: narrower ones walk a panel in pieces.
constexpr int64_t kPanel = 32;
inline int64_t panel_width(int64_t columns) { return columns <= 16 ? 16 : 32; }
inline int64_t padded_columns(int64_t n) { return n / kPanel * kPanel + (n % kPanel ? panel_width(n % kPanel) : 0); }

constexpr int kMaxTileRows = 14;  // of float32 tiles
constexpr int kMaxWordRows = 32;  // of all tiles

// What a 4-byte word of both operands holds, in the order of the summed dimension: one float, two bfloat16, or four
// 8-bit integers, unsigned in A and signed in B, whose sums are int32 and wrap. Where words are counted, the elements that
// the last one lacks are zeros in B. All narrow panels have the shape of those of floats.
enum class Words : uint8_t { kFloat32, kBFloat16, kInt8 };
constexpr int64_t word_elements(Words words) {
  return words == Words::kFloat32 ? 1 : words == Words::kBFloat16 ? 2 : 4;
}
constexpr int64_t word_count(Words words, int64_t elements) {
  return (elements + word_elements(words) - 1) / word_elements(words);
}

// For rows r and columns j, counted from `column` in c, bias and residual:
// c[r][j] = clip(sum over k of a[r * lda + k] * b[k * ldb + j]  (+ c[r][j]) (+ bias[j]) (+ residual[r][j]))
struct TileArgs {
  const float* a;
  int64_t lda;
  const int32_t* offsets = nullptr;  // if given, a[r * lda + offsets[k]] stands for a[r * lda + k]
  const float* b;
  int64_t ldb;  // 32 or 16
  int64_t k;
  float* const* c;  // one pointer a row
  int64_t column;
  int rows, columns;  // columns <= ldb
  bool accumulate = false;
  const float* bias = nullptr;
  const float* const* residual = nullptr;  // one pointer a row
  bool clip = false;
  float low = 0, high = 0;
  // Of bfloat16 words only: the residuals are bfloat16; results go here as bfloat16, and c is only accumulated from.
  bool narrow_residual = false;
  uint16_t* const* narrow_c = nullptr;
};

struct TileTable {
  int rows;  // tallest tile of this level
  void (*tile)(const TileArgs& args);
  // dst[r * ld + k] = src[r * row_stride + k * k_stride]
  void (*gather_rows)(const float* src, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t k, float* dst,
                      int64_t ld);
  // One panel of B: dst[k * width + j] = src[k * k_stride + j * n_stride], zero beyond `columns`.
  void (*pack_panel)(const float* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, float* dst);
};
TW_PER_ISA(const TileTable& tile_table();)
inline const TileTable& tile_table() { return TW_SELECT_ISA(tile_table)(); }

// A register tile of any words. Of int8 ones, c is int32 and nothing but `accumulate` is obeyed of what follows the
// sums.
struct TileKernel {
  int rows;  // of the tallest tile
  void (*tile)(const TileArgs& args);
  void (*leave)() = nullptr;  // if given, called by a thread that will not multiply for a while
};
// The fastest that this processor has.
TileKernel tile_kernel(Words words);

}  // namespace tw
