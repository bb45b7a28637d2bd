#include "kernels/contraction/conv_rows.h"

#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int W = F32::kLanes;

TW_SIMD_INLINE void copy(const float* src, int64_t element, int64_t n, float* dst) {
  if (element != 1) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * element];
    return;
  }
  for (; n >= W; n -= W, src += W, dst += W) F32::load(src).store(dst);
  if (n > 0) F32::load_part(src, n, 0).store_part(dst, n);
}

TW_SIMD_INLINE void clear(float* dst, int64_t n) {
  for (; n >= W; n -= W, dst += W) F32::set(0).store(dst);
  if (n > 0) F32::set(0).store_part(dst, n);
}

// Runs are mostly a few cache lines long, where calls of memcpy would show.
template <typename T>
TW_SIMD_INLINE void copy(const T* src, int64_t element, int64_t n, T* dst) {
  if (element != 1) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i * element];
    return;
  }
  constexpr int64_t kBlock = 32 / sizeof(T);
  for (; n >= kBlock; n -= kBlock, src += kBlock, dst += kBlock) __builtin_memcpy(dst, src, 32);
  for (int64_t i = 0; i < n; ++i) dst[i] = src[i];
}

template <typename T>
TW_SIMD_INLINE void clear(T* dst, int64_t n) {
  __builtin_memset(dst, 0, static_cast<size_t>(n) * sizeof(T));
}

TW_SIMD_INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
TW_SIMD_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

template <typename T>
void gather(const ConvGather& t, const T* x, int64_t m, int rows, int64_t k, int64_t kc, T* dst, int64_t ld) {
  if (kc == 0) return;
  const ConvGeometry& g = *t.geometry;
  const int64_t positions = t.positions, unit = t.unit, element = t.element, length = positions * unit;
  // A place along w is `step` input columns and `place` elements of memory from the next.
  const int64_t step = positions > 1 ? g.dilation[2] : 1, place = positions > 1 ? step * g.x[2] : 0;
  const ConvRun* runs = t.runs;
  const int64_t first_run = k / length, first_from = k % length;
  const auto within = [&](int64_t i) { return i == 0 ? 0 : i / unit * place + i % unit * element; };
  int64_t point[3], rest = m;
  for (int i = 2; i >= 0; --i) point[i] = rest % g.out[i], rest /= g.out[i];
  int64_t n = rest;
  for (int r = 0; r < rows; ++r, dst += ld) {
    const int64_t d = point[0] * g.stride[0] - g.pad[0], h = point[1] * g.stride[1] - g.pad[1],
                  w = point[2] * g.stride[2] - g.pad[2];
    const T* base = x + n * g.x_batch + d * g.x[0] + h * g.x[1] + w * g.x[2];
    T* to = dst;
    int64_t run = first_run, from = first_from;
    for (int64_t left = kc; left > 0; ++run, from = 0) {
      const int64_t count = at_most(length - from, left);
      left -= count;
      const ConvRun& tap = runs[run];
      const int64_t row = h + tap.h, column = w + tap.w;
      const bool inside = static_cast<uint64_t>(row) < static_cast<uint64_t>(g.in[1]) &&
                          static_cast<uint64_t>(d + tap.d) < static_cast<uint64_t>(g.in[0]);
      if (!inside) {
        clear(to, count);
      } else if (column >= 0 && column + (positions - 1) * step < g.in[2]) {
        copy(base + tap.offset + within(from), element, count, to);
      } else {
        // Places [first, last) are inside.
        const int64_t first = column < 0 ? (-column + step - 1) / step : 0;
        const int64_t last = column >= g.in[2] ? 0 : at_most(positions, (g.in[2] - column + step - 1) / step);
        const int64_t begin = at_most(at_least(first * unit - from, 0), count),
                      end = at_least(at_most(last * unit - from, count), begin);
        clear(to, begin);
        copy(base + tap.offset + within(from + begin), element, end - begin, to + begin);
        clear(to + end, count - end);
      }
      to += count;
    }
    if (++point[2] == g.out[2]) {
      point[2] = 0;
      if (++point[1] == g.out[1]) {
        point[1] = 0;
        if (++point[0] == g.out[0]) point[0] = 0, ++n;
      }
    }
  }
}

}  // namespace

const ConvRowsTable& conv_rows_table() {
  static constexpr ConvRowsTable table = {gather<float>, gather<uint16_t>, gather<uint8_t>};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
