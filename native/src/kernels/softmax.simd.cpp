// Softmax of floats in three passes over a row: maximum, exponentials with their sum, division.
#include "kernels/simd/math.h"
#include "kernels/softmax_loops.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int kLanes = F32::kLanes;
constexpr float kInfinity = __builtin_inff();

float maximum(const float* x, int64_t n) {
  F32 a = F32::set(-kInfinity), b = a;
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    a = max(a, F32::load(x + i));
    b = max(b, F32::load(x + i + kLanes));
  }
  for (; i < n; i += kLanes) a = max(a, n - i < kLanes ? F32::load_part(x + i, n - i, -kInfinity) : F32::load(x + i));
  alignas(64) float lanes[kLanes];
  max(a, b).store(lanes);
  float m = lanes[0];
  for (int k = 1; k < kLanes; ++k) m = lanes[k] > m ? lanes[k] : m;
  return m;
}

void row(const float* x, float* y, int64_t n, bool log) {
  const float top = maximum(x, n);
  const F32 shift = F32::set(top);
  F32 a = F32::set(0), b = a;
  int64_t i = 0;
  if (log) {
    for (; i + kLanes <= n; i += kLanes) a = a + exp(F32::load(x + i) - shift);
    if (i < n) b = exp(F32::load_part(x + i, n - i, -kInfinity) - shift);
    const F32 offset = F32::set(top + __builtin_logf((a + b).sum()));
    for_vectors(n, [&](int64_t at, int64_t lanes, bool whole) {
      if (whole) (F32::load(x + at) - offset).store(y + at);
      else (F32::load_part(x + at, lanes, 0) - offset).store_part(y + at, lanes);
    });
    return;
  }
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const F32 e = exp(F32::load(x + i) - shift), f = exp(F32::load(x + i + kLanes) - shift);
    e.store(y + i);
    f.store(y + i + kLanes);
    a = a + e;
    b = b + f;
  }
  for (; i + kLanes <= n; i += kLanes) {
    const F32 e = exp(F32::load(x + i) - shift);
    e.store(y + i);
    a = a + e;
  }
  if (i < n) {
    const F32 e = exp(F32::load_part(x + i, n - i, -kInfinity) - shift);
    e.store_part(y + i, n - i);
    b = b + e;
  }
  const F32 factor = F32::set(1.0f / (a + b).sum());
  for_vectors(n, [&](int64_t at, int64_t lanes, bool whole) {
    if (whole) (F32::load(y + at) * factor).store(y + at);
    else (F32::load_part(y + at, lanes, 0) * factor).store_part(y + at, lanes);
  });
}

// One vector of columns; `lanes` of them count.
template <bool log>
TW_SIMD_INLINE void column_vector(const float* x, int64_t xs, float* y, int64_t ys, int64_t n, int64_t lanes) {
  const bool whole = lanes == kLanes;
  const auto load = [&](const float* p) { return whole ? F32::load(p) : F32::load_part(p, lanes, 0); };
  const auto store = [&](F32 v, float* p) {
    if (whole) v.store(p);
    else v.store_part(p, lanes);
  };
  F32 top = F32::set(-kInfinity), sum = F32::set(0);
  for (int64_t r = 0; r < n; ++r) top = max(top, load(x + r * xs));
  for (int64_t r = 0; r < n; ++r) {
    const F32 e = exp(load(x + r * xs) - top);
    if (!log) store(e, y + r * ys);
    sum = sum + e;
  }
  if (log) {
    alignas(64) float part[kLanes];
    sum.store(part);
    for (int k = 0; k < kLanes; ++k) part[k] = __builtin_logf(part[k]);
    const F32 offset = top + F32::load(part);
    for (int64_t r = 0; r < n; ++r) store(load(x + r * xs) - offset, y + r * ys);
  } else {
    const F32 factor = F32::set(1.0f) / sum;
    for (int64_t r = 0; r < n; ++r) store(load(y + r * ys) * factor, y + r * ys);
  }
}

void columns(const float* x, int64_t xs, float* y, int64_t ys, int64_t n, int64_t columns, bool log) {
  for (int64_t c = 0; c < columns; c += kLanes) {
    const int64_t lanes = columns - c < kLanes ? columns - c : kLanes;
    if (log) column_vector<true>(x + c, xs, y + c, ys, n, lanes);
    else column_vector<false>(x + c, xs, y + c, ys, n, lanes);
  }
}

}  // namespace

const SoftmaxLoops& softmax_loops() {
  static constexpr SoftmaxLoops table = {row, columns};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
