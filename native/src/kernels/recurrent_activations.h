// The activations that recurrent layers name in an attribute.
#pragma once
#include <string>
#include <vector>

#include "base/attributes.h"

namespace tw {

enum class RecurrentFunction {
  kRelu, kTanh, kSigmoid, kAffine, kLeakyRelu, kThresholdedRelu, kScaledTanh, kHardSigmoid, kElu, kSoftsign, kSoftplus
};

struct RecurrentActivation {
  RecurrentFunction function;
  double alpha, beta, clip;  // clip 0: none

  // In place; arguments are clipped first.
  void apply(float* x, int64_t n) const;
  void apply(double* x, int64_t n) const;
};

// Those of every direction in turn. Alphas and betas are listed for the activations that take one, in order.
std::vector<RecurrentActivation> recurrent_activations(const Attributes& attributes, const std::vector<std::string>& defaults, size_t directions);

}  // namespace tw
