// Tensor maps as the plan describes them, encoded when addresses and extents are known.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cuda/driver.h"

namespace tw::cuda {

struct TensorMapSpec {
  bool output = false;
  size_t operand = 0;
  int element_bytes = 0, swizzle = 0;
  std::vector<size_t> dims, strides;  // indices of numbers; strides in bytes, of axes 1 and up
  std::vector<uint32_t> box, element_strides;
  std::vector<int> lower, upper;  // of an im2col map

  // "mi2 e2 d3,4 s5 b64,128 z128 [t1,2,2,1 l-1,-1 u-1,-1]". Throws kInvalidPlan.
  static TensorMapSpec parse(const std::string& text, size_t numbers);

  TensorMap encode(void* address, std::span<const int64_t> numbers) const;
};

}  // namespace tw::cuda
