// conv_f32: one name for all tactics; the attribute "algorithm" picks.
#include "kernels/contraction/conv.h"

namespace tw {

std::unique_ptr<Kernel> make_conv_f32(const StepInfo& step) {
  const std::string algorithm = step.attributes.string("algorithm", "indirect");
  if (algorithm == "indirect" || algorithm == "nchw") return make_conv_gemm(step);
  if (algorithm == "depthwise") return make_depthwise(step);
  if (algorithm == "winograd2" || algorithm == "winograd4") return make_winograd(step);
  throw Error(Code::kInvalidPlan, "conv_f32: unknown algorithm '" + algorithm + "'");
}

}  // namespace tw
