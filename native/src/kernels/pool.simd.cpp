// Pooling of floats in vectors: over channels where they lie side by side, over a row of outputs otherwise.
#include "kernels/pool_loops.h"
#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int kLanes = F32::kLanes;

struct Max {
  static constexpr float kIdentity = -__builtin_inff();
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return max_nan(a, b); }
  static TW_SIMD_INLINE float apply(float a, float b) { return a != a || a > b ? a : b; }
};
struct Sum {
  static constexpr float kIdentity = 0;
  static TW_SIMD_INLINE F32 apply(F32 a, F32 b) { return a + b; }
  static TW_SIMD_INLINE float apply(float a, float b) { return a + b; }
};

template <typename Op, typename Finish>
TW_SIMD_INLINE void pixels(const float* const* taps, int64_t count, int64_t channels, float* y, Finish finish) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    F32 a = F32::set(Op::kIdentity), b = a, d = a, e = a;
    for (int64_t t = 0; t < count; ++t) {
      const float* p = taps[t] + c;
      a = Op::apply(a, F32::load(p));
      b = Op::apply(b, F32::load(p + kLanes));
      d = Op::apply(d, F32::load(p + 2 * kLanes));
      e = Op::apply(e, F32::load(p + 3 * kLanes));
    }
    finish(a).store(y + c);
    finish(b).store(y + c + kLanes);
    finish(d).store(y + c + 2 * kLanes);
    finish(e).store(y + c + 3 * kLanes);
  }
  for (; c + 2 * kLanes <= channels; c += 2 * kLanes) {
    F32 a = F32::set(Op::kIdentity), b = a;
    for (int64_t t = 0; t < count; ++t) {
      a = Op::apply(a, F32::load(taps[t] + c));
      b = Op::apply(b, F32::load(taps[t] + c + kLanes));
    }
    finish(a).store(y + c);
    finish(b).store(y + c + kLanes);
  }
  for (; c < channels; c += kLanes) {
    F32 a = F32::set(Op::kIdentity);
    const int64_t lanes = channels - c;
    if (lanes >= kLanes) {
      for (int64_t t = 0; t < count; ++t) a = Op::apply(a, F32::load(taps[t] + c));
      finish(a).store(y + c);
    } else {
      for (int64_t t = 0; t < count; ++t) a = Op::apply(a, F32::load_part(taps[t] + c, lanes, 0));
      finish(a).store_part(y + c, lanes);
    }
  }
}

void max_pixels(const float* const* taps, int64_t count, int64_t channels, float* y) {
  pixels<Max>(taps, count, channels, y, [](F32 v) { return v; });
}

void sum_pixels(const float* const* taps, int64_t count, int64_t channels, float factor, float* y) {
  const F32 f = F32::set(factor);
  pixels<Sum>(taps, count, channels, y, [&](F32 v) { return v * f; });
}

template <typename Op>
void row(const float* x, int64_t stride, int64_t n, float* acc) {
  int64_t i = 0;
  if (stride != 1) {
    if (stride == 2)  // the last element read lies behind the last one wanted
      for (; i + kLanes < n; i += kLanes) Op::apply(F32::load(acc + i), F32::load_even(x + 2 * i)).store(acc + i);
    for (; i < n; ++i) acc[i] = Op::apply(acc[i], x[i * stride]);
    return;
  }
  for (; i + kLanes <= n; i += kLanes) Op::apply(F32::load(acc + i), F32::load(x + i)).store(acc + i);
  if (i < n) Op::apply(F32::load_part(acc + i, n - i, 0), F32::load_part(x + i, n - i, 0)).store_part(acc + i, n - i);
}

}  // namespace

const PoolLoops& pool_loops() {
  static constexpr PoolLoops table = {max_pixels, sum_pixels, row<Max>, row<Sum>};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
