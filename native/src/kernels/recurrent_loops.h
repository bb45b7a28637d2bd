// The elementwise loops of recurrent layers, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct RecurrentLoops {
  void (*sigmoid)(float* x, int64_t n);
  void (*tanh)(float* x, int64_t n);
};
TW_PER_ISA(const RecurrentLoops& recurrent_loops();)

}  // namespace tw
