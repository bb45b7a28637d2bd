// Copies, and writes what is not its own: `over` floats beyond its output, or `scratch` beyond its scratch memory.
#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;

struct Careless {
  static constexpr const char *name = "CarelessLibrary", *version = "1", *name_space = "test";
  static constexpr const char* inputs[] = {"x"};
  static constexpr const char* outputs[] = {"y"};
  static constexpr double none = 0;
  static constexpr tw_value zero = {TW_FIELD_FLOAT, 1, nullptr, &none, nullptr};
  static constexpr tw_field fields[] = {{"over", TW_FIELD_FLOAT, &zero}, {"scratch", TW_FIELD_FLOAT, &zero}};

  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }
  static int64_t workspace_bytes(int32_t, const tw_value*, const tw_tensor*, const tw_tensor*) { return 16; }

  static void enqueue(const tw_run& run, Fields fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto *y = static_cast<float*>(out[0].data), *scratch = static_cast<float*>(run.workspace);
    const int64_t size = in[0].dims[0];
    for (int64_t i = 0; i < size; ++i) y[i] = x[i];
    for (int64_t i = 0; i < static_cast<int64_t>(fields.number(0)); ++i) y[size + i] = 1;
    for (int64_t i = 0; i < static_cast<int64_t>(fields.number(1)); ++i) scratch[4 + i] = 1;
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Careless)
