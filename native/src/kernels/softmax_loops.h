// The inner loops of softmax and logSoftmax, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct SoftmaxLoops {
  // Over n consecutive elements; y may be x.
  void (*row)(const float* x, float* y, int64_t n, bool log);
  // Over n rows for each of some columns that lie side by side; y may be x.
  void (*columns)(const float* x, int64_t x_stride, float* y, int64_t y_stride, int64_t n, int64_t columns, bool log);
};
TW_PER_ISA(const SoftmaxLoops& softmax_loops();)

}  // namespace tw
