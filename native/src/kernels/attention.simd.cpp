#include "kernels/attention_loops.h"

#include "kernels/simd/math.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int kLanes = F32::kLanes;
constexpr float kInfinity = __builtin_inff();

float row_max(const float* x, int64_t n) {
  F32 a = F32::set(-kInfinity), b = a;
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    a = max(F32::load(x + i), a);
    b = max(F32::load(x + i + kLanes), b);
  }
  for (; i < n; i += kLanes) a = max(n - i < kLanes ? F32::load_part(x + i, n - i, -kInfinity) : F32::load(x + i), a);
  alignas(64) float lanes[kLanes];
  max(a, b).store(lanes);
  float m = lanes[0];
  for (int k = 1; k < kLanes; ++k) m = lanes[k] > m ? lanes[k] : m;
  return m;
}

float exp_sum(float* x, int64_t n, float shift) {
  const F32 s = F32::set(shift);
  F32 a = F32::set(0), b = a;
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const F32 e = exp(F32::load(x + i) - s), f = exp(F32::load(x + i + kLanes) - s);
    e.store(x + i);
    f.store(x + i + kLanes);
    a = a + e;
    b = b + f;
  }
  for (; i < n; i += kLanes) {
    if (n - i >= kLanes) {
      const F32 e = exp(F32::load(x + i) - s);
      e.store(x + i);
      a = a + e;
    } else {
      const F32 e = exp(F32::load_part(x + i, n - i, -kInfinity) - s);
      e.store_part(x + i, n - i);
      b = b + e;
    }
  }
  return (a + b).sum();
}

// y = f(x) for every element.
template <typename F>
TW_SIMD_INLINE void map(const float* x, int64_t n, float* y, F&& f) {
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) f(F32::load(x + i)).store(y + i);
    else f(F32::load_part(x + i, lanes, 0)).store_part(y + i, lanes);
  });
}

void scale(const float* x, int64_t n, float factor, float* y) {
  const F32 v = F32::set(factor);
  map(x, n, y, [&](F32 a) { return a * v; });
}

void add(float* x, const float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) (F32::load(x + i) + F32::load(y + i)).store(x + i);
    else (F32::load_part(x + i, lanes, 0) + F32::load_part(y + i, lanes, 0)).store_part(x + i, lanes);
  });
}

void softcap(float* x, int64_t n, float cap) {
  const F32 c = F32::set(cap), inverse = F32::set(1.0f / cap);
  map(x, n, x, [&](F32 a) { return c * tanh(a * inverse); });
}

void dots(const float* q, const float* k, int64_t stride, int64_t n, int64_t d, float* y) {
  for (int64_t j = 0; j < n; ++j) {
    const float* p = k + j * stride;
    F32 a = F32::set(0), b = a;
    int64_t i = 0;
    for (; i + 2 * kLanes <= d; i += 2 * kLanes) {
      a = fma(F32::load(q + i), F32::load(p + i), a);
      b = fma(F32::load(q + i + kLanes), F32::load(p + i + kLanes), b);
    }
    for (; i + kLanes <= d; i += kLanes) a = fma(F32::load(q + i), F32::load(p + i), a);
    if (i < d) b = fma(F32::load_part(q + i, d - i, 0), F32::load_part(p + i, d - i, 0), b);
    y[j] = (a + b).sum();
  }
}

}  // namespace

const AttentionLoops& attention_loops() {
  static constexpr AttentionLoops table = {row_max, exp_sum, scale, add, softcap, dots};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
