// Tiles of up to 32 rows and 32 columns on the tile registers: 0 and 1 sum the upper 16 rows, 2 and 3 the lower ones, 4
// and 5 hold words of A, 6 and 7 words of B, which lie in panels just as the registers want them.
#pragma once
#include <type_traits>

#include "kernels/contraction/amx_tiles.h"
#include "kernels/contraction/word_tile.h"


namespace tw::TW_ISA_NAMESPACE {

constexpr int kAmxRows = 2 * kTileRows;

inline thread_local int shaped_rows = 0;  // the height of tiles that this thread's registers are shaped for

inline void shape_tiles(int rows) {
  if (rows == shaped_rows) return;
  const int upper = rows < kTileRows ? rows : kTileRows, lower = rows - upper;
  TileShapes shapes;
  for (const int tile : {0, 1, 4}) shapes.set(tile, upper);
  for (const int tile : {2, 3, 5}) shapes.set(tile, lower);
  for (const int tile : {6, 7}) shapes.set(tile, kTileWords);
  TW_TILE_SHAPES(&shapes);
  shaped_rows = rows;
}

inline void leave_tiles() {
  if (shaped_rows == 0) return;
  TW_TILE_RELEASE();
  shaped_rows = 0;
}

template <typename Op>
void run_amx_tile(const TileArgs& t) {
  const bool lower = t.rows > kTileRows, right = t.columns > kTileWords;
  shape_tiles(t.rows);
  TW_TILE_ZERO(0);
  if (right) TW_TILE_ZERO(1);
  if (lower) TW_TILE_ZERO(2);
  if (lower && right) TW_TILE_ZERO(3);

  // Words [0, 16) of A at a and of B at b.
  const auto step = [&](const float* a, int64_t lda, const float* b, int64_t ldb) {
    const auto multiply = [](int c) {
      constexpr bool floats = std::is_same_v<Op, BFloat16Pairs>;
      if constexpr (floats) {
        switch (c) {
          case 0: TW_TILE_BFLOAT16(0, 4, 6); break;
          case 1: TW_TILE_BFLOAT16(1, 4, 7); break;
          case 2: TW_TILE_BFLOAT16(2, 5, 6); break;
          case 3: TW_TILE_BFLOAT16(3, 5, 7); break;
        }
      } else {
        switch (c) {
          case 0: TW_TILE_INT8(0, 4, 6); break;
          case 1: TW_TILE_INT8(1, 4, 7); break;
          case 2: TW_TILE_INT8(2, 5, 6); break;
          case 3: TW_TILE_INT8(3, 5, 7); break;
        }
      }
    };
    TW_TILE_LOAD(4, a, 4 * lda);
    TW_TILE_LOAD(6, b, 4 * ldb);
    multiply(0);
    if (right) {
      TW_TILE_LOAD(7, b + kTileWords, 4 * ldb);
      multiply(1);
    }
    if (!lower) return;
    TW_TILE_LOAD(5, a + kTileRows * lda, 4 * lda);
    multiply(2);
    if (right) multiply(3);
  };

  int64_t k = 0;
  for (; k + kTileWords <= t.k; k += kTileWords) step(t.a + k, t.lda, t.b + k * t.ldb, t.ldb);
  if (const int64_t rest = t.k - k; rest > 0) {
    float a[kAmxRows * kTileWords] = {}, b[kTileWords * 2 * kTileWords] = {};
    for (int r = 0; r < t.rows; ++r)
      std::memcpy(a + r * kTileWords, t.a + r * t.lda + k, static_cast<size_t>(rest) * sizeof(float));
    for (int64_t i = 0; i < rest; ++i)
      std::memcpy(b + i * 2 * kTileWords, t.b + (k + i) * t.ldb, static_cast<size_t>(t.ldb) * sizeof(float));
    step(a, kTileWords, b, 2 * kTileWords);
  }

  constexpr int64_t kWidth = 2 * kTileWords;
  alignas(64) float sums[kAmxRows * kWidth];
  TW_TILE_STORE(0, sums, 4 * kWidth);
  if (right) TW_TILE_STORE(1, sums + kTileWords, 4 * kWidth);
  if (lower) TW_TILE_STORE(2, sums + kTileRows * kWidth, 4 * kWidth);
  if (lower && right) TW_TILE_STORE(3, sums + kTileRows * kWidth + kTileWords, 4 * kWidth);
  for (int r = 0; r < t.rows; ++r) {
    for (int column = 0; column < t.columns; column += F32::kLanes)
      finish_vector(t, r, t.column + column, t.columns - column, Op::Sum::load(sums + r * kWidth + column));
  }
}

}  // namespace tw::TW_ISA_NAMESPACE
