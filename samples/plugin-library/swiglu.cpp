// A plugin for the processor and for CUDA devices: SwiGLU (Shazeer, 2020), y = silu(gate) * up, where x [..., 2n] holds
// gate and up side by side, and y is [..., n]. Elements are float32; `limit` bounds the gate from above.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensorwright/cuda.hpp"
#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;
namespace cuda = tensorwright::cuda;

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1"
#endif

constexpr const char* kernel_text = R"cuda(
extern "C" __global__ void __launch_bounds__(256)
swiglu(const float* x, float* y, long long size, long long n, float limit) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const long long at = i / n * 2 * n + i % n;
  const float gate = fminf(x[at], limit);
  y[i] = gate / (1.0f + expf(-gate)) * x[at + n];
}
)cuda";

// What a step keeps from run to run: nothing on the processor, its compiled kernel on a device.
struct State {
  virtual ~State() = default;
};
struct DeviceState : State {
  cuda::Module module{cuda::compile(kernel_text)};
  cuda::Kernel kernel = module.kernel("swiglu");
};

struct SwiGlu {
  static constexpr const char *name = "SwiGlu", *version = PLUGIN_VERSION, *name_space = "samples";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  static constexpr double no_limit = std::numeric_limits<float>::max();
  static constexpr tw_value limit_default = {TW_FIELD_FLOAT, 1, nullptr, &no_limit, nullptr};
  static constexpr tw_field fields[] = {{"limit", TW_FIELD_FLOAT, &limit_default}};

  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    const int last = in[0].rank - 1;
    if (last < 0) throw std::runtime_error("x must have an axis");
    const auto both = builder.extent(in[0], last);
    std::int64_t known = 0;
    if (both.known(known) && known % 2) throw std::runtime_error("x's last extent must be even");
    out[0] = in[0];
    out[0].dims[last] = (both / 2).handle();
  }

  static std::int32_t supports(std::int32_t, const tw_value*, const tw_shape* in, const tw_shape*) {
    return in[0].dtype == TW_FLOAT32;
  }

  static void* attach(std::int32_t backend, Fields) { return backend == TW_CUDA ? new DeviceState : new State; }
  static void detach(void* state) { delete static_cast<State*>(state); }

  static void enqueue(const tw_run& run, Fields fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto* y = static_cast<float*>(out[0].data);
    const std::int64_t n = out[0].dims[out[0].rank - 1];
    std::int64_t rows = 1;
    for (int a = 0; a + 1 < out[0].rank; ++a) rows *= out[0].dims[a];
    const auto limit = static_cast<float>(fields.number(0));

    if (run.backend == TW_CUDA) {
      const auto& state = *static_cast<const DeviceState*>(static_cast<const State*>(run.state));
      const std::int64_t size = rows * n, blocks = (size + 255) / 256;
      if (blocks > std::numeric_limits<std::int32_t>::max()) throw std::runtime_error("x is too large");
      cuda::launch(run.stream, state.kernel, {static_cast<unsigned>(blocks)}, {256}, 0, x, y,
                   static_cast<long long>(size), static_cast<long long>(n), limit);
      return;
    }
    for (std::int64_t row = 0; row < rows; ++row, x += 2 * n, y += n) {
      for (std::int64_t i = 0; i < n; ++i) {
        const float gate = std::min(x[i], limit);
        y[i] = gate / (1.0f + std::exp(-gate)) * x[n + i];
      }
    }
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(SwiGlu)
