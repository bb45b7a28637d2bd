// Padding a tensor on every side, or cropping it by negative amounts.
#pragma once
#include <vector>

#include "base/kernel.h"

namespace tw {

enum class PadMode { kConstant, kReflect, kEdge, kWrap };
PadMode pad_mode(const Attributes& attributes);

// Makes output 0 of x. `value` (one element of x's dtype, or absent: data null) fills around it in constant mode.
void pad_tensor(KernelContext& context, const Tensor& x, const std::vector<int64_t>& low,
                const std::vector<int64_t>& high, PadMode mode, const Tensor* value, std::span<Tensor> outputs);

}  // namespace tw
