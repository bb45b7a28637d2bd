// Plugins of a device: some that count the calls of their code, which a recording spares, and one that does not
// compile.
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

constexpr const char* keep_text = R"cuda(
extern "C" __global__ void count(const float* x, long long size, long long* count) {
  for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
    if (x[i] > 0.0f) atomicAdd((unsigned long long*)count, 1ull);
}
extern "C" __global__ void keep(const float* x, long long size, float* y) {
  for (long long i = 0; i < size; ++i)
    if (x[i] > 0.0f) *y++ = x[i];
}
)cuda";

struct KeepState {
  cuda::Module module;
  cuda::Kernel count = module.kernel("count"), keep = module.kernel("keep");
};

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

// The elements above 0, which it counts on the device.
struct Positive : Counting<0> {
  static constexpr const char* name = "Positive";
  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    std::int64_t most = 1024;
    builder.extent(in[0], 0).known(most);
    out[0] = builder.shape(TW_FLOAT32, {builder.data_dependent(0, most)});
  }
  static int64_t workspace_bytes(int32_t, const tw_value*, const tw_tensor*, const tw_tensor*) { return 8; }
  static void* attach(int32_t, Fields) { return new KeepState{cuda::Module(cuda::compile(keep_text))}; }
  static void detach(void* state) { delete static_cast<KeepState*>(state); }
  static void enqueue(const tw_run& run, Fields, const tw_tensor* in, tw_tensor*) {
    const auto& state = *static_cast<KeepState*>(run.state);
    const auto* x = static_cast<const float*>(in[0].data);
    auto* count = static_cast<long long*>(run.workspace);
    const auto size = static_cast<long long>(in[0].dims[0]);
    cuda::fill(run.stream, count, 0, 8);
    cuda::launch(run.stream, state.count, {4}, {32}, 0, x, size, count);
    int64_t kept = 0;
    cuda::read(run.stream, &kept, count, 8);
    void* y = nullptr;
    if (run.allocate(run.host, 0, 1, &kept, &y) != 0) return;
    cuda::launch(run.stream, state.keep, {1}, {1}, 0, x, size, static_cast<float*>(y));
  }
};

struct Broken : Counting<0> {
  static constexpr const char* name = "Broken";
  static void* attach(int32_t, Fields) { return new State{cuda::Module(cuda::compile("no_such_type x;"))}; }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Counting<0>, Counting<TW_NOT_RECORDED>, Positive, Broken)
