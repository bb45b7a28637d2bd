// The plugin library whose steps are timed next to a kernel of ours: y = max(x, 0), four elements a thread.
#include "tensorwright/cuda.hpp"
#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;
namespace cuda = tensorwright::cuda;

constexpr const char* kernel_text = R"cuda(
struct alignas(16) Four { float v[4]; };
extern "C" __global__ void __launch_bounds__(256) relu(const Four* x, Four* y, int count) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= count) return;
  Four four = x[i];
  for (int k = 0; k < 4; ++k) four.v[k] = fmaxf(four.v[k], 0.0f);
  y[i] = four;
}
)cuda";

struct Relu {
  static constexpr const char *name = "Relu", *version = "1", *name_space = "harness";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  struct State {
    cuda::Module module{cuda::compile(kernel_text)};
    cuda::Kernel kernel = module.kernel("relu");
  };

  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    std::int64_t size = 0;
    if (in[0].rank != 1 || !builder.extent(in[0], 0).known(size) || size % 4)
      throw std::runtime_error("x must have one extent, a known multiple of 4");
    out[0] = in[0];
  }
  static std::int32_t supports(std::int32_t backend, const tw_value*, const tw_shape* in, const tw_shape*) {
    return backend == TW_CUDA && in[0].dtype == TW_FLOAT32;
  }
  static void* attach(std::int32_t, Fields) { return new State; }
  static void detach(void* state) { delete static_cast<State*>(state); }
  static void enqueue(const tw_run& run, Fields, const tw_tensor* in, tw_tensor* out) {
    const int count = static_cast<int>(in[0].dims[0] / 4);
    cuda::launch(run.stream, static_cast<State*>(run.state)->kernel, {static_cast<unsigned>((count + 255) / 256)},
                 {256}, 0, static_cast<const void*>(in[0].data), out[0].data, count);
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Relu)
