// Weighted sums of rows, the inner loop of all interpolation, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct WeightedSums {
  // y[i] = sum over t of weights[t] * rows[t][i]
  void (*sum)(const float* const* rows, const float* weights, int64_t count, int64_t n, float* y);
  // y[i] = max over t of weights[t] * rows[t][i]
  void (*max)(const float* const* rows, const float* weights, int64_t count, int64_t n, float* y);
  // y[i] = sum over t of weights[t * n + i] * row[indices[t * n + i]]
  void (*gathered)(const float* row, const int32_t* indices, const float* weights, int64_t taps, int64_t n, float* y);
};
TW_PER_ISA(const WeightedSums& weighted_sums();)

}  // namespace tw
