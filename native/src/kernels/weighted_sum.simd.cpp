#include "kernels/weighted_sum.h"

#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

template <bool largest>
void weighted(const float* const* rows, const float* weights, int64_t count, int64_t n, float* y) {
  constexpr int kLanes = F32::kLanes;
  int64_t i = 0;
  // Long pieces of each row at a time, for the memory's sake.
  constexpr int kPiece = 8;
  for (; i + kPiece * kLanes <= n; i += kPiece * kLanes) {
    F32 a[kPiece];
    for (int k = 0; k < kPiece; ++k) a[k] = F32::set(weights[0]) * F32::load(rows[0] + i + k * kLanes);
    for (int64_t t = 1; t < count; ++t) {
      const F32 w = F32::set(weights[t]);
      for (int k = 0; k < kPiece; ++k) {
        const F32 p = F32::load(rows[t] + i + k * kLanes);
        a[k] = largest ? max(a[k], w * p) : fma(w, p, a[k]);
      }
    }
    for (int k = 0; k < kPiece; ++k) a[k].store(y + i + k * kLanes);
  }
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    F32 a = F32::set(weights[0]) * F32::load(rows[0] + i), b = F32::set(weights[0]) * F32::load(rows[0] + i + kLanes);
    for (int64_t t = 1; t < count; ++t) {
      const F32 w = F32::set(weights[t]), p = F32::load(rows[t] + i), q = F32::load(rows[t] + i + kLanes);
      a = largest ? max(a, w * p) : fma(w, p, a);
      b = largest ? max(b, w * q) : fma(w, q, b);
    }
    a.store(y + i);
    b.store(y + i + kLanes);
  }
  for (; i < n; i += kLanes) {
    const int64_t lanes = n - i;
    const bool whole = lanes >= kLanes;
    F32 a = F32::set(0);
    for (int64_t t = 0; t < count; ++t) {
      const F32 product = F32::set(weights[t]) * (whole ? F32::load(rows[t] + i) : F32::load_part(rows[t] + i, lanes, 0));
      a = t == 0 ? product : largest ? max(a, product) : a + product;
    }
    if (whole) a.store(y + i);
    else a.store_part(y + i, lanes);
  }
}

void gathered(const float* row, const int32_t* indices, const float* weights, int64_t taps, int64_t n, float* y) {
  constexpr int kLanes = F32::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    F32 a = F32::load(weights + i) * F32::gather(row, indices + i);
    for (int64_t t = 1; t < taps; ++t) a = fma(F32::load(weights + t * n + i), F32::gather(row, indices + t * n + i), a);
    a.store(y + i);
  }
  for (; i < n; ++i) {
    float sum = 0;
    for (int64_t t = 0; t < taps; ++t) sum += weights[t * n + i] * row[indices[t * n + i]];
    y[i] = sum;
  }
}

}  // namespace

const WeightedSums& weighted_sums() {
  static constexpr WeightedSums table = {weighted<false>, weighted<true>, gathered};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
