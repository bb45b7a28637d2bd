#include <cmath>

#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;

// y = x / (scale + |x|), for float32.
struct SoftSign {
  static constexpr const char *name = "MyScaledSoftSign", *version = "1", *name_space = "mine";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  static constexpr double one = 1;
  static constexpr tw_value scale_default = {TW_FIELD_FLOAT, 1, nullptr, &one, nullptr};
  static constexpr tw_field fields[] = {{"scale", TW_FIELD_FLOAT, &scale_default}};

  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }

  static void enqueue(const tw_run&, Fields fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto* y = static_cast<float*>(out[0].data);
    const auto scale = static_cast<float>(fields.number(0));
    std::int64_t size = 1;
    for (int axis = 0; axis < in[0].rank; ++axis) size *= in[0].dims[axis];
    for (std::int64_t i = 0; i < size; ++i) y[i] = x[i] / (scale + std::fabs(x[i]));
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(SoftSign)
