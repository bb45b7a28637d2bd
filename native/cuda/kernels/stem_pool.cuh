#include "stem.cuh"

// The convolution of stem.cuh and the largest of its results in windows of them, which alone are written. A warp
// convolves sixteen columns, two neighbours of them in a lane, and walks down their rows: the maximum along x comes
// from two lanes, that along y from the row before. Windows are two or three columns wide and two apart. Where they
// overlap, warps convolve the columns and rows that they share anew. The generated text gives, besides Stem, whose
// Result has value<W>(sums, sides) in place of store and whose sides depend on nothing but channels, a type Pool:
//   Element                                 f16 or bf16, of results
//   taps_y, taps_x, stride_y, pad_y, pad_x  taps_x is 2 or 3; taps_y is at least stride_y, and at most twice that
//   out_y(a), out_x(a)                      extents of the pooled image
//   width                                   channels that are stored at once
//   at(a, n, c, y, x)                       where that element of the pooled image goes

// The larger of each half; NaN wins.
template <typename T>
TW_DEVICE u32 maximum_pair(u32 a, u32 b) {
#ifdef TW_EMULATOR
  return pack2<T>(maximum(unpack_low<T>(a), unpack_low<T>(b)), maximum(unpack_high<T>(a), unpack_high<T>(b)));
#else
  u32 result;
  if constexpr (is_same<T, f16>) asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  else asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#endif
}

// Two infinities below all numbers.
template <typename T>
TW_DEVICE constexpr u32 lowest_pair() {
  return is_same<T, f16> ? 0xFC00FC00u : 0xFF80FF80u;
}

// What eight channels need besides their sums. Of the eight, those from `count` on do not exist.
template <typename Result>
struct PooledSides {
  static constexpr int part = Result::width < 8 ? Result::width : 8;
  typename Result::template Sides<part> of[8 / part];

  TW_DEVICE void load(const Arguments& a, i32 column, int count) {
#pragma unroll
    for (int i = 0; i < 8; i += part)
      if (i < count) of[i / part] = Result::template load<part>(a, 0, 0, column + i);
  }
  template <typename T>
  TW_DEVICE void values(const Vec<f32, 8>& sums, u32 (&words)[4]) const {
    Vec<T, 8> all;
#pragma unroll
    for (int i = 0; i < 8; i += part) {
      Vec<f32, part> some;
#pragma unroll
      for (int k = 0; k < part; ++k) some.v[k] = sums.v[i + k];
      const auto values = Result::template value<part>(some, of[i / part]);
#pragma unroll
      for (int k = 0; k < part; ++k) all.v[i + k] = values.v[k];
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) words[k] = all.v[2 * k].bits | static_cast<u32>(all.v[2 * k + 1].bits) << 16;
  }
};

// What a lane knows of a row: the largest of a window's columns, pairs of channels. `first` and `second` say which of
// the lane's columns are inside of the image.
template <typename Pool, typename Sides, int Columns>
TW_DEVICE void row_maxima(const f32 (&sums)[Columns][4], const Sides (&sides)[Columns / 4], bool first, bool second,
                          u32 (&largest)[Columns]) {
  using T = typename Pool::Element;
#pragma unroll
  for (int i = 0; i < Columns / 4; ++i) {
    u32 words[2][4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Vec<f32, 8> channels;
#pragma unroll
      for (int k = 0; k < 8; ++k) channels.v[k] = sums[i * 4 + k / 2][half * 2 + k % 2];
      sides[i].template values<T>(channels, words[half]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const u32 even = first ? words[0][k] : lowest_pair<T>(), odd = second ? words[1][k] : lowest_pair<T>();
      u32 pair = maximum_pair<T>(even, odd);
      if constexpr (Pool::taps_x == 3) pair = maximum_pair<T>(pair, shuffle_down(even, 4));
      largest[i * 4 + k] = pair;
    }
  }
}

// A block makes WarpsY * Passes * Rows pooled rows, as many columns as WarpsX * 16 give, and WarpsN * Columns * 8
// channels. A warp convolves the rows of Rows pooled ones at once, its share of what Products adds: see WarpProducts.
template <template <typename, typename> class Products, typename Stem, typename Pool, int WarpsX, int WarpsY,
          int WarpsN, int Rows, int Passes, int Columns>
TW_DEVICE void stem_pool_block(const Arguments& a) {
  using T = typename Pool::Element;
  static_assert(Pool::taps_x == 2 || Pool::taps_x == 3, "columns of one lane and perhaps the next");
  constexpr int overlap = Pool::taps_y - Pool::stride_y;
  static_assert(overlap >= 0 && overlap <= Pool::stride_y, "rows of two windows at most");
  constexpr int wide = (16 - Pool::taps_x) / 2 + 1, high = Passes * Rows;
  constexpr int width = (WarpsX - 1) * wide * 2 + 16, height = WarpsY * high * Pool::stride_y + overlap;
  using Lines = StemLines<Stem, height, width, WarpsN * Columns, WarpsX * WarpsY * WarpsN * warp_size>;
  using Added = Products<Stem, Lines>;
  TW_SHARED_BYTES(shared);
  u8* const weights = shared;
  u32* const image = reinterpret_cast<u32*>(shared + Lines::weight_bytes);
  const u32 across = ceil_div(Pool::out_x(a), WarpsX * wide), down = ceil_div(Pool::out_y(a), WarpsY * high);
  const i32 tile_x = blockIdx.x % across * (WarpsX * wide);
  const i32 tile_y = blockIdx.x / across % down * (WarpsY * high);
  const i32 n = blockIdx.x / across / down;
  const int warp = warp_index(), lane = lane_index();
  const int warp_x = warp % WarpsX, warp_n = warp / WarpsX % WarpsN, warp_y = warp / WarpsX / WarpsN;
  stem_weights<Lines, Stem>(a, weights);
  wait_for_predecessor();
  PooledSides<typename Stem::Result> sides[Columns / 4];
#pragma unroll
  for (int i = 0; i < Columns / 4; ++i) {
    const i32 column = (warp_n * Columns + i * 4 + lane % 4) * 8;
    sides[i].load(a, column, Stem::outputs - column);
  }
  stem_image<Lines, Stem>(a, image, n, tile_y * Pool::stride_y - Pool::pad_y, tile_x * 2 - Pool::pad_x);
  Added::weights_came();
  __syncthreads();

  const i32 pooled_x = tile_x + warp_x * wide + lane / 4, x = pooled_x * 2 - Pool::pad_x;
  const bool first = static_cast<u32>(x) < static_cast<u32>(Stem::out_x(a));
  const bool second = static_cast<u32>(x + 1) < static_cast<u32>(Stem::out_x(a));
  const bool has = lane / 4 < wide && pooled_x < Pool::out_x(a);
  const u32* line =
      image + Lines::begin((warp_x * wide + lane / 4) * 2) + warp_y * high * Pool::stride_y * Lines::row_words;
  i32 pooled_y = tile_y + warp_y * high, y = pooled_y * Pool::stride_y - Pool::pad_y;
  const i32 out_y = Stem::out_y(a);
  // The largest of the rows that the next windows begin with.
  u32 shared_rows[Columns];
#pragma unroll
  for (int c = 0; c < Columns; ++c) shared_rows[c] = lowest_pair<T>();
  if constexpr (overlap > 0) {
    if (y + overlap > 0) {
      f32 sums[overlap][Columns][4]{};
      Added::template add<Lines::further(1)>(sums, line, weights, warp_n);
#pragma unroll
      for (int r = 0; r < overlap; ++r) {
        u32 row[Columns];
        row_maxima<Pool>(sums[r], sides, first, second, row);
        const bool inside = static_cast<u32>(y + r) < static_cast<u32>(out_y);
#pragma unroll
        for (int c = 0; c < Columns; ++c)
          if (inside) shared_rows[c] = maximum_pair<T>(shared_rows[c], row[c]);
      }
    }
    line += overlap * Lines::row_words;
    y += overlap;
  }
#pragma unroll 1
  for (int pass = 0; pass < Passes && pooled_y < Pool::out_y(a); ++pass) {
    f32 sums[Rows * Pool::stride_y][Columns][4]{};
    Added::template add<Lines::further(1)>(sums, line, weights, warp_n);
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      u32 largest[Columns];
#pragma unroll
      for (int c = 0; c < Columns; ++c) {
        largest[c] = shared_rows[c];
        shared_rows[c] = lowest_pair<T>();
      }
#pragma unroll
      for (int r = 0; r < Pool::stride_y; ++r) {
        u32 row[Columns];
        row_maxima<Pool>(sums[i * Pool::stride_y + r], sides, first, second, row);
        const bool inside = static_cast<u32>(y + i * Pool::stride_y + r) < static_cast<u32>(out_y);
#pragma unroll
        for (int c = 0; c < Columns; ++c) {
          if (inside) largest[c] = maximum_pair<T>(largest[c], row[c]);
          if (inside && r >= Pool::stride_y - overlap) shared_rows[c] = maximum_pair<T>(shared_rows[c], row[c]);
        }
      }
      if (!has || pooled_y + i >= Pool::out_y(a)) continue;
#pragma unroll
      for (int q = 0; q < Columns / 4; ++q) {
        const i32 column = (warp_n * Columns + q * 4 + lane % 4) * 8;
        Vec<T, 8> channels;
        memcpy(&channels, largest + q * 4, sizeof(channels));
#pragma unroll
        for (int k = 0; k < 8; k += Pool::width) {
          Vec<T, Pool::width> part;
#pragma unroll
          for (int e = 0; e < Pool::width; ++e) part.v[e] = channels.v[k + e];
          if (column + k < Stem::outputs) store_vec(Pool::at(a, n, column + k, pooled_y + i, pooled_x), part);
        }
      }
    }
    line += Rows * Pool::stride_y * Lines::row_words;
    y += Rows * Pool::stride_y;
    pooled_y += Rows;
  }
}
