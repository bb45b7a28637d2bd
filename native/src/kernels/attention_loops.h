// The row loops of attention, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct AttentionLoops {
  float (*max)(const float* x, int64_t n);
  // x = e^(x - shift); their sum.
  float (*exp_sum)(float* x, int64_t n, float shift);
  void (*scale)(const float* x, int64_t n, float factor, float* y);
  void (*add)(float* x, const float* y, int64_t n);
  // x = cap * tanh(x / cap)
  void (*softcap)(float* x, int64_t n, float cap);
  // y[j] = sum over d of q[d] * k[j * stride + d]
  void (*dots)(const float* q, const float* k, int64_t stride, int64_t n, int64_t d, float* y);
};
TW_PER_ISA(const AttentionLoops& attention_loops();)

}  // namespace tw
