// Register tiles: 14 x 32 on AVX-512, 6 x 16 on AVX2, 4 x 8 elsewhere; every smaller height has its own code.
#include "kernels/contraction/tile.h"

#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

#if TW_ISA_LEVEL >= 2
constexpr int kRows = 14;
#elif TW_ISA_LEVEL == 1 || defined(__aarch64__)
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif
constexpr int W = F32::kLanes;

TW_SIMD_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }

// Applies fn(row, vector) to every register of the tile.
template <int MR, int NV, typename F>
TW_SIMD_INLINE void for_tile(F&& fn) {
#pragma GCC unroll 14
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) fn(r, j);
  }
}

template <int MR, int NV>
TW_SIMD_INLINE void finish(const TileArgs& t, F32 (&acc)[MR][NV], int64_t column, int columns) {
  const int64_t first = t.column + column;
  if (columns >= NV * W) {
    if (t.accumulate)
      for_tile<MR, NV>([&](int r, int j) { acc[r][j] = acc[r][j] + F32::load(t.c[r] + first + j * W); });
    if (t.bias) for_tile<MR, NV>([&](int r, int j) { acc[r][j] = acc[r][j] + F32::load(t.bias + first + j * W); });
    if (t.residual)
      for_tile<MR, NV>([&](int r, int j) { acc[r][j] = acc[r][j] + F32::load(t.residual[r] + first + j * W); });
    if (t.clip) {
      const F32 low = F32::set(t.low), high = F32::set(t.high);
      for_tile<MR, NV>([&](int r, int j) { acc[r][j] = min(high, max(low, acc[r][j])); });
    }
    for_tile<MR, NV>([&](int r, int j) { acc[r][j].store(t.c[r] + first + j * W); });
    return;
  }
  for_tile<MR, NV>([&](int r, int j) {
    const int n = columns - j * W < W ? columns - j * W : W;
    if (n <= 0) return;
    F32 x = acc[r][j];
    if (t.accumulate) x = x + F32::load_part(t.c[r] + first + j * W, n, 0);
    if (t.bias) x = x + F32::load_part(t.bias + first + j * W, n, 0);
    if (t.residual) x = x + F32::load_part(t.residual[r] + first + j * W, n, 0);
    if (t.clip) x = min(F32::set(t.high), max(F32::set(t.low), x));
    x.store_part(t.c[r] + first + j * W, n);
  });
}

// KU independent sums over k hide the latency of short tiles.
template <int MR, int NV, int KU, bool OFFSETS>
__attribute__((noinline)) void tile(const TileArgs& t, int64_t column, int columns) {
  F32 acc[MR][NV];
  for_tile<MR, NV>([&](int r, int j) { acc[r][j] = F32::set(0); });
  const int64_t lda = t.lda, lda3 = 3 * lda, ldb = t.ldb;
  const float *a0 = t.a, *a1 = t.a + 5 * lda, *a2 = t.a + 10 * lda;
  const float* b = t.b + column;
  int64_t k = t.k;
  const auto row = [&](int r) {
    const float* base = r < 5 ? a0 : r < 10 ? a1 : a2;
    return r % 5 == 3 ? base + lda3 : base + (r % 5) * lda;
  };
  if constexpr (KU > 1 && !OFFSETS) {
    F32 more[KU - 1][MR][NV];
#pragma GCC unroll 4
    for (int u = 0; u < KU - 1; ++u) {
#pragma GCC unroll 4
      for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) more[u][r][j] = F32::set(0);
      }
    }
    for (; k >= KU; k -= KU) {
#pragma GCC unroll 4
      for (int u = 0; u < KU; ++u) {
        prefetch(b + u * ldb + 1024);
        if (NV * W > 16) prefetch(b + u * ldb + 1024 + 16);
#pragma GCC unroll 4
        for (int r = 0; r < MR; ++r) {
          const F32 x = F32::set(row(r)[u]);
#pragma GCC unroll 2
          for (int j = 0; j < NV; ++j) {
            F32& sum = u == 0 ? acc[r][j] : more[u == 0 ? 0 : u - 1][r][j];
            sum = fma(x, F32::load(b + u * ldb + j * W), sum);
          }
        }
      }
      b += KU * ldb, a0 += KU, a1 += KU, a2 += KU;
    }
#pragma GCC unroll 4
    for (int u = 0; u < KU - 1; ++u) {
#pragma GCC unroll 4
      for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) acc[r][j] = acc[r][j] + more[u][r][j];
      }
    }
  }
  const int32_t* offsets = t.offsets;
  for (; k > 0; --k) {
    if (OFFSETS) {
      a0 = t.a + *offsets++;
      a1 = a0 + 5 * lda, a2 = a0 + 10 * lda;
    }
    F32 bv[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) bv[j] = F32::load(b + j * W);
    if (KU == 1) {
      prefetch(b + 256);
      if (NV * W > 16) prefetch(b + 256 + 16);
    }
    b += ldb;
#pragma GCC unroll 14
    for (int r = 0; r < MR; ++r) {
      const F32 x = F32::set(*row(r));
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[r][j] = fma(x, bv[j], acc[r][j]);
    }
    if (!OFFSETS) ++a0, ++a1, ++a2;
  }
  finish<MR, NV>(t, acc, column, columns);
}

using TileFn = void (*)(const TileArgs&, int64_t, int);
template <int NV, bool OFFSETS>
struct Heights {
  static constexpr TileFn table[15] = {
      nullptr,
      tile<1, NV, 4, OFFSETS>,
      tile<2, NV, 2, OFFSETS>,
      tile<3, NV, 2, OFFSETS>,
      tile<4, NV, 1, OFFSETS>,
#if TW_ISA_LEVEL >= 1 || defined(__aarch64__)
      tile<5, NV, 1, OFFSETS>,
      tile<6, NV, 1, OFFSETS>,
#endif
#if TW_ISA_LEVEL >= 2
      tile<7, NV, 1, OFFSETS>,
      tile<8, NV, 1, OFFSETS>,
      tile<9, NV, 1, OFFSETS>,
      tile<10, NV, 1, OFFSETS>,
      tile<11, NV, 1, OFFSETS>,
      tile<12, NV, 1, OFFSETS>,
      tile<13, NV, 1, OFFSETS>,
      tile<14, NV, 1, OFFSETS>,
#endif
  };
};

template <bool OFFSETS>
void run_tile_of(const TileArgs& t) {
  for (int column = 0; column < t.columns; column += 2 * W) {
    const int columns = t.columns - column;
    (columns > W ? Heights<2, OFFSETS>::table : Heights<1, OFFSETS>::table)[t.rows](t, column, columns);
  }
}

void run_tile(const TileArgs& t) { t.offsets ? run_tile_of<true>(t) : run_tile_of<false>(t); }

// A 4 x 4 block, stored transposed.
TW_SIMD_INLINE void transpose4(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
#if defined(TW_SIMD_X86)
  __m128 a = _mm_loadu_ps(src), b = _mm_loadu_ps(src + src_stride), c = _mm_loadu_ps(src + 2 * src_stride),
         d = _mm_loadu_ps(src + 3 * src_stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(dst, a);
  _mm_storeu_ps(dst + dst_stride, b);
  _mm_storeu_ps(dst + 2 * dst_stride, c);
  _mm_storeu_ps(dst + 3 * dst_stride, d);
#else
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) dst[j * dst_stride + i] = src[i * src_stride + j];
  }
#endif
}

#if TW_ISA_LEVEL >= 1
// Two 4-float pieces `apart` of each other in one register.
TW_SIMD_INLINE __m256 load_two(const float* p, int64_t apart) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + apart), 1);
}
// An 8 x 8 block: halves are swapped by the loads, so that only shuffles within halves remain.
TW_SIMD_INLINE void transpose8(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const float* p = src + 4 * h;
    const __m256 a = load_two(p, 4 * src_stride), b = load_two(p + src_stride, 4 * src_stride),
                 c = load_two(p + 2 * src_stride, 4 * src_stride), d = load_two(p + 3 * src_stride, 4 * src_stride);
    const __m256 ab = _mm256_unpacklo_ps(a, b), AB = _mm256_unpackhi_ps(a, b), cd = _mm256_unpacklo_ps(c, d),
                 CD = _mm256_unpackhi_ps(c, d);
    float* q = dst + 4 * h * dst_stride;
    _mm256_storeu_ps(q, _mm256_shuffle_ps(ab, cd, 0x44));
    _mm256_storeu_ps(q + dst_stride, _mm256_shuffle_ps(ab, cd, 0xee));
    _mm256_storeu_ps(q + 2 * dst_stride, _mm256_shuffle_ps(AB, CD, 0x44));
    _mm256_storeu_ps(q + 3 * dst_stride, _mm256_shuffle_ps(AB, CD, 0xee));
  }
}
#endif

// dst[j * dst_stride + i] = src[i * src_stride + j]
void transpose(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float* dst, int64_t dst_stride) {
  int64_t i = 0;
#if TW_ISA_LEVEL >= 1
  for (; i + 8 <= rows; i += 8) {
    int64_t j = 0;
    for (; j + 8 <= columns; j += 8)
      transpose8(src + i * src_stride + j, src_stride, dst + j * dst_stride + i, dst_stride);
    for (; j < columns; ++j) {
      for (int64_t q = i; q < i + 8; ++q) dst[j * dst_stride + q] = src[q * src_stride + j];
    }
  }
#endif
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4)
      transpose4(src + i * src_stride + j, src_stride, dst + j * dst_stride + i, dst_stride);
    for (; j < columns; ++j) {
      for (int64_t q = i; q < i + 4; ++q) dst[j * dst_stride + q] = src[q * src_stride + j];
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) dst[j * dst_stride + i] = src[i * src_stride + j];
  }
}

TW_SIMD_INLINE void copy_row(const float* src, int64_t n, float* dst) {
  int64_t i = 0;
  for (; i + W <= n; i += W) F32::load(src + i).store(dst + i);
  if (i < n) F32::load_part(src + i, n - i, 0).store_part(dst + i, n - i);
}

void gather_rows(const float* src, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t k, float* dst,
                 int64_t ld) {
  if (k_stride == 1) {
    for (int64_t r = 0; r < rows; ++r) copy_row(src + r * row_stride, k, dst + r * ld);
  } else if (row_stride == 1) {
    transpose(src, k_stride, k, rows, dst, ld);
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < k; ++i) dst[r * ld + i] = src[r * row_stride + i * k_stride];
    }
  }
}

void pack_panel(const float* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, float* dst) {
  const int64_t width = panel_width(columns);
  if (columns < width) {
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = columns; j < width; ++j) dst[i * width + j] = 0;
    }
  }
  if (n_stride == 1) {
    for (int64_t i = 0; i < k; ++i) copy_row(src + i * k_stride, columns, dst + i * width);
  } else if (k_stride == 1) {
    transpose(src, n_stride, columns, k, dst, width);
  } else {
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < columns; ++j) dst[i * width + j] = src[i * k_stride + j * n_stride];
    }
  }
}

}  // namespace

const TileTable& tile_table() {
  static constexpr TileTable table = {kRows, run_tile, gather_rows, pack_panel};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
