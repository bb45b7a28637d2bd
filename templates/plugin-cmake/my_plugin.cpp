// A plugin library for Tensorwright. Rename the plugin, say what its outputs are in `infer`, compute them in `enqueue`.
// What else a plugin can have (fields, scratch memory, state, CUDA) is in the README.
#include <cmath>

#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;
using tensorwright::Pattern;

// y = x / (1 + |x|), for float32.
struct SoftSign {
  static constexpr const char *name = "MySoftSign", *version = "1", *name_space = "mine";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};

  // Type and shape of y: those of x.
  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }

  static void enqueue(const tw_run&, Fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto* y = static_cast<float*>(out[0].data);
    std::int64_t size = 1;
    for (int axis = 0; axis < in[0].rank; ++axis) size *= in[0].dims[axis];
    for (std::int64_t i = 0; i < size; ++i) y[i] = x[i] / (1.0f + std::fabs(x[i]));
  }

  // Where a model has the same in pieces, the plugin takes their place. Leave it out, or write what yours stands for.
  static std::vector<Pattern> patterns() {
    return {{"x / (1 + |x|)",
             {{"abs", {"x"}, {"size"}}, {"add", {"one", "size"}, {"sum"}}, {"div", {"x", "sum"}, {"y"}}},
             {{"one", 1}}}};
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(SoftSign)
