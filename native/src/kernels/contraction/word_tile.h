// Register tiles of narrow words, for the files that instantiate them under the flags of one instruction set.
#pragma once
#include "kernels/contraction/tile.h"
#include "kernels/simd/words.h"

namespace tw::TW_ISA_NAMESPACE {

// Accumulators fill the registers that a step of the product leaves: widened words take twice the registers.
#if TW_ISA_LEVEL >= 2
template <typename Op>
constexpr int kWordRows = Op::kNative ? 14 : 12;
#else
template <typename Op>
constexpr int kWordRows = Op::kNative ? 6 : 4;
#endif

// Applies fn(row, vector) to every register of the tile.
template <int MR, int NV, typename F>
TW_SIMD_INLINE void for_word_tile(F&& fn) {
#pragma GCC unroll 14
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) fn(r, j);
  }
}

// What follows the sums x of row r, columns [column, column + n) of a vector: all TileArgs asks for.
TW_SIMD_INLINE void finish_vector(const TileArgs& t, int r, int64_t column, int n, F32 x) {
  constexpr int W = F32::kLanes;
  const bool whole = n >= W;
  const auto load = [&](const float* p) { return whole ? F32::load(p + column) : F32::load_part(p + column, n, 0); };
  if (t.accumulate) x = x + load(t.c[r]);
  if (t.bias) x = x + load(t.bias);
  if (t.residual) {
    if (t.narrow_residual) {
      const uint16_t* p = reinterpret_cast<const uint16_t*>(t.residual[r]) + column;
      x = x + (whole ? load_bfloat16(p) : load_bfloat16_part(p, n));
    } else {
      x = x + load(t.residual[r]);
    }
  }
  if (t.clip) x = min(F32::set(t.high), max(F32::set(t.low), x));
  if (t.narrow_c) {
    if (whole)
      store_bfloat16(x, t.narrow_c[r] + column);
    else
      store_bfloat16_part(x, t.narrow_c[r] + column, n);
  } else if (whole) {
    x.store(t.c[r] + column);
  } else {
    x.store_part(t.c[r] + column, n);
  }
}
TW_SIMD_INLINE void finish_vector(const TileArgs& t, int r, int64_t column, int n, I32 x) {
  float* c = t.c[r] + column;
  if (n >= I32::kLanes) {
    if (t.accumulate) x = x + I32::load(c);
    x.store(c);
  } else {
    if (t.accumulate) x = x + I32::load_part(c, n);
    x.store_part(c, n);
  }
}

// KU independent sums over k hide the latency of short tiles.
template <typename Op, int MR, int NV, int KU>
__attribute__((noinline)) void word_tile(const TileArgs& t, int64_t column, int columns) {
  constexpr int W = F32::kLanes;
  using Sum = typename Op::Sum;
  Sum acc[KU][MR][NV];
#pragma GCC unroll 4
  for (int u = 0; u < KU; ++u) for_word_tile<MR, NV>([&](int r, int j) { acc[u][r][j] = Op::zero(); });
  const int64_t lda = t.lda, lda3 = 3 * lda, ldb = t.ldb;
  const float *a0 = t.a, *a1 = t.a + 5 * lda, *a2 = t.a + 10 * lda;
  const float* b = t.b + column;
  const auto row = [&](int r) {
    const float* base = r < 5 ? a0 : r < 10 ? a1 : a2;
    return r % 5 == 3 ? base + lda3 : base + (r % 5) * lda;
  };
  const auto step = [&](int u, int at) {
    constexpr int64_t kAhead = KU > 1 ? 1024 : 256;
    __builtin_prefetch(b + kAhead, 0, 3);
    if (NV * W > 16) __builtin_prefetch(b + kAhead + 16, 0, 3);
    typename Op::Right right[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) right[j] = Op::right(b + j * W);
    b += ldb;
#pragma GCC unroll 14
    for (int r = 0; r < MR; ++r) {
      const typename Op::Left left = Op::left(load_word(row(r) + at));
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[u][r][j] = Op::add(acc[u][r][j], left, right[j]);
    }
  };
  int64_t k = t.k;
  if constexpr (KU > 1) {
    for (; k >= KU; k -= KU) {
#pragma GCC unroll 4
      for (int u = 0; u < KU; ++u) step(u, u);
      a0 += KU, a1 += KU, a2 += KU;
    }
  }
  for (; k > 0; --k) {
    step(0, 0);
    ++a0, ++a1, ++a2;
  }
#pragma GCC unroll 4
  for (int u = 1; u < KU; ++u) for_word_tile<MR, NV>([&](int r, int j) { acc[0][r][j] = acc[0][r][j] + acc[u][r][j]; });
  for_word_tile<MR, NV>([&](int r, int j) {
    const int n = columns - j * W;
    if (n > 0) finish_vector(t, r, t.column + column + j * W, n, acc[0][r][j]);
  });
}

using WordTileFn = void (*)(const TileArgs&, int64_t, int);
template <typename Op, int NV, int MR>
constexpr WordTileFn word_tile_of() {
  if constexpr (MR > kWordRows<Op>)
    return nullptr;
  else
    return word_tile<Op, MR, NV, MR == 1 ? 4 : MR <= 3 ? 2 : 1>;
}
template <typename Op, int NV>
constexpr WordTileFn kWordTiles[15] = {
    nullptr,
    word_tile_of<Op, NV, 1>(),  word_tile_of<Op, NV, 2>(),  word_tile_of<Op, NV, 3>(),  word_tile_of<Op, NV, 4>(),
    word_tile_of<Op, NV, 5>(),  word_tile_of<Op, NV, 6>(),  word_tile_of<Op, NV, 7>(),  word_tile_of<Op, NV, 8>(),
    word_tile_of<Op, NV, 9>(),  word_tile_of<Op, NV, 10>(), word_tile_of<Op, NV, 11>(), word_tile_of<Op, NV, 12>(),
    word_tile_of<Op, NV, 13>(), word_tile_of<Op, NV, 14>()};

template <typename Op>
void run_word_tile(const TileArgs& t) {
  constexpr int W = F32::kLanes;
  for (int column = 0; column < t.columns; column += 2 * W) {
    const int columns = t.columns - column;
    (columns > W ? kWordTiles<Op, 2> : kWordTiles<Op, 1>)[t.rows](t, column, columns);
  }
}

}  // namespace tw::TW_ISA_NAMESPACE
