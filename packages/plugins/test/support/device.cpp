// Plugins of a device: some that count the calls of their code, which a recording spares, and one that does not compile.
#include "tensorwright/cuda.hpp"
#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;
namespace cuda = tensorwright::cuda;

constexpr const char *x_input[] = {"x"}, *y_output[] = {"y"};
constexpr const char* fill_text = R"cuda(
extern "C" __global__ void fill(float* y, float value) { y[threadIdx.x] = value; }
)cuda";

struct State {
  cuda::Module module;
  cuda::Kernel kernel = module.kernel("fill");
  float calls = 0;
};

template <int32_t Flags>
struct Counting {
  static constexpr const char *name = Flags ? "Called" : "Recorded", *version = "1", *name_space = "test";
  static constexpr auto& inputs = x_input;
  static constexpr auto& outputs = y_output;
  static constexpr int32_t flags = Flags;
  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }
  static int32_t supports(int32_t backend, const tw_value*, const tw_shape*, const tw_shape*) {
    return backend == TW_CUDA;
  }
  static void* attach(int32_t, Fields) { return new State{cuda::Module(cuda::compile(fill_text))}; }
  static void detach(void* state) { delete static_cast<State*>(state); }
  static void enqueue(const tw_run& run, Fields, const tw_tensor*, tw_tensor* out) {
    auto& state = *static_cast<State*>(run.state);
    cuda::launch(run.stream, state.kernel, {1}, {static_cast<unsigned>(out[0].dims[0])}, 0,
                 static_cast<float*>(out[0].data), ++state.calls);
  }
};

struct Broken : Counting<0> {
  static constexpr const char* name = "Broken";
  static void* attach(int32_t, Fields) { return new State{cuda::Module(cuda::compile("no_such_type x;"))}; }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Counting<0>, Counting<TW_NOT_RECORDED>, Broken)
