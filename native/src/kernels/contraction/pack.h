// Packing constant weights when an engine is built. A tactic is named "dot", "convTranspose", "conv." and the
// convolution's "algorithm", or "dot.narrow" and "conv.narrow"; the attributes are those of the step. The bytes do not
// depend on the machine that packs them.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "base/attributes.h"
#include "base/tensor.h"
#include "base/thread_pool.h"

namespace tw {

// Both throw kInvalidArgument on a tactic that has no packed weights. Weights are float32, those of
// the narrow tactics of the dtype that the attribute "weights" names, with any strides; `out` is 64-byte aligned.
size_t packed_bytes(std::string_view tactic, const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack(std::string_view tactic, const Attributes& attributes, const Tensor& weights, std::byte* out,
          ThreadPool& pool);

}  // namespace tw
