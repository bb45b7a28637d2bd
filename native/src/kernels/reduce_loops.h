// The inner loops of reductions, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

enum class Monoid { kSum, kProd, kMax, kMin };

struct ReduceLoops {
  // All of n consecutive elements into one; indexed by Monoid.
  float (*row[4])(const float* x, int64_t n);
  // acc[c] op= x[r * row_stride + c] over all rows.
  void (*columns[4])(const float* x, int64_t rows, int64_t row_stride, int64_t columns, float* acc);
};
TW_PER_ISA(const ReduceLoops& reduce_loops();)

}  // namespace tw
