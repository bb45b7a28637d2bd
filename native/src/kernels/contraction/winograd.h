// Winograd's minimal filtering F(m x m, 3 x 3): square tiles of input and their products with transformed weights.
// F(4, 3) interpolates at 0, ±5/8, ±3/2 and infinity: half the rounding error of the usual 0, ±1, ±2 (about 1e-6 of the
// output's standard deviation), and all constants of the transforms are exact in float32. F(2, 3) uses 0, ±1, infinity.
#pragma once
#include "base/isa_dispatch.h"

namespace tw {

constexpr int kMaxWinogradTile = 6;

// One tile of input, (m + 2) x (m + 2), for all channels.
struct WinogradInput {
  const float* x;                                    // at the tile's corner (perhaps outside the input), channel 0
  int64_t row, column;                               // strides
  int row_begin, row_end, column_begin, column_end;  // what of the tile is inside the input
  int64_t channels;
  float* v;  // [point][point_stride], channels padded to whole vectors of 16
  int64_t point_stride;
};

// One tile of output, m x m, for all output channels.
struct WinogradOutput {
  const float* products;  // [point][point_stride]
  int64_t point_stride;
  int64_t columns;
  float* const* y;               // m * m pointers at column 0; null outside the output
  const float* bias;             // null or one a column
  const float* const* residual;  // null or as y
  bool clip;
  float low, high;
};

struct WinogradTable {
  void (*input)(const WinogradInput& tile);
  void (*output)(const WinogradOutput& tile);
};
TW_PER_ISA(const WinogradTable& winograd_table(int m);)
inline const WinogradTable& winograd_table(int m) { return TW_SELECT_ISA(winograd_table)(m); }

}  // namespace tw
