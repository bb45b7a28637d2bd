// The inner loops of pooling, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct PoolLoops {
  // y[c] = the largest, or `factor` times the sum, over the `count` taps' pixels of `channels` side by side.
  void (*max_pixels)(const float* const* taps, int64_t count, int64_t channels, float* y);
  void (*sum_pixels)(const float* const* taps, int64_t count, int64_t channels, float factor, float* y);
  // acc[i] op= x[i * stride] for one row of outputs.
  void (*max_row)(const float* x, int64_t stride, int64_t n, float* acc);
  void (*sum_row)(const float* x, int64_t stride, int64_t n, float* acc);
};
TW_PER_ISA(const PoolLoops& pool_loops();)

}  // namespace tw
