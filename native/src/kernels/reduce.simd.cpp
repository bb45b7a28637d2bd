// Reductions of floats in vectors. Sums run in many partial sums, which also keeps their rounding error small.
#include "kernels/reduce_loops.h"
#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

struct Sum {
  static constexpr float kIdentity = 0;
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return a + b; }
  static TW_SIMD_INLINE float apply(float a, float b) { return a + b; }
};
struct Prod {
  static constexpr float kIdentity = 1;
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return a * b; }
  static TW_SIMD_INLINE float apply(float a, float b) { return a * b; }
};
struct Max {
  static constexpr float kIdentity = -__builtin_inff();
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return max_nan(a, b); }
  static TW_SIMD_INLINE float apply(float a, float b) { return a != a || a > b ? a : b; }
};
struct Min {
  static constexpr float kIdentity = __builtin_inff();
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return min_nan(a, b); }
  static TW_SIMD_INLINE float apply(float a, float b) { return a != a || a < b ? a : b; }
};

template <typename Op>
float row(const float* x, int64_t n) {
  constexpr int kLanes = F32::kLanes;
  const F32 identity = F32::set(Op::kIdentity);
  F32 a = identity, b = identity, c = identity, d = identity;
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = Op::apply(a, F32::load(x + i));
    b = Op::apply(b, F32::load(x + i + kLanes));
    c = Op::apply(c, F32::load(x + i + 2 * kLanes));
    d = Op::apply(d, F32::load(x + i + 3 * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) a = Op::apply(a, F32::load(x + i));
  if (i < n) b = Op::apply(b, F32::load_part(x + i, n - i, Op::kIdentity));
  alignas(64) float lanes[kLanes];
  Op::apply(Op::apply(a, b), Op::apply(c, d)).store(lanes);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) lanes[k] = Op::apply(lanes[k], lanes[k + width]);
  return lanes[0];
}

// Four vectors of columns at a time; partial results of 256 rows are combined, for the rounding error of sums.
template <typename Op>
void columns(const float* x, int64_t rows, int64_t row_stride, int64_t columns, float* acc) {
  constexpr int kLanes = F32::kLanes;
  constexpr int64_t kRows = 256;
  for (int64_t r0 = 0; r0 < rows; r0 += kRows) {
    const int64_t r1 = r0 + kRows < rows ? r0 + kRows : rows;
    int64_t c = 0;
    for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
      const float* p = x + r0 * row_stride + c;
      F32 s0 = F32::load(p), s1 = F32::load(p + kLanes), s2 = F32::load(p + 2 * kLanes), s3 = F32::load(p + 3 * kLanes);
      for (int64_t r = r0 + 1; r < r1; ++r) {
        p += row_stride;
        s0 = Op::apply(s0, F32::load(p));
        s1 = Op::apply(s1, F32::load(p + kLanes));
        s2 = Op::apply(s2, F32::load(p + 2 * kLanes));
        s3 = Op::apply(s3, F32::load(p + 3 * kLanes));
      }
      float* q = acc + c;
      Op::apply(F32::load(q), s0).store(q);
      Op::apply(F32::load(q + kLanes), s1).store(q + kLanes);
      Op::apply(F32::load(q + 2 * kLanes), s2).store(q + 2 * kLanes);
      Op::apply(F32::load(q + 3 * kLanes), s3).store(q + 3 * kLanes);
    }
    for (; c + kLanes <= columns; c += kLanes) {
      F32 s = F32::load(x + r0 * row_stride + c);
      for (int64_t r = r0 + 1; r < r1; ++r) s = Op::apply(s, F32::load(x + r * row_stride + c));
      Op::apply(F32::load(acc + c), s).store(acc + c);
    }
    if (const int64_t n = columns - c; n > 0) {
      F32 s = F32::load_part(x + r0 * row_stride + c, n, 0);
      for (int64_t r = r0 + 1; r < r1; ++r) s = Op::apply(s, F32::load_part(x + r * row_stride + c, n, 0));
      Op::apply(F32::load_part(acc + c, n, 0), s).store_part(acc + c, n);
    }
  }
}

}  // namespace

const ReduceLoops& reduce_loops() {
  static constexpr ReduceLoops table = {
      {row<Sum>, row<Prod>, row<Max>, row<Min>},
      {columns<Sum>, columns<Prod>, columns<Max>, columns<Min>},
  };
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
