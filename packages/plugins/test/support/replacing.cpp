// Plugins that change an input in place, and that take the place of subgraphs.
#include <cmath>
#include <cstdint>

#include "tensorwright/cuda.hpp"
#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;
using tensorwright::Match;
using tensorwright::Pattern;
namespace cuda = tensorwright::cuda;

constexpr const char* increase_text = R"cuda(
extern "C" __global__ void increase(float* present, long long first, float by) { present[first + threadIdx.x] += by; }
)cuda";

struct State {
  virtual ~State() = default;
};
struct DeviceState : State {
  cuda::Module module{cuda::compile(increase_text)};
  cuda::Kernel kernel = module.kernel("increase");
};

// Adds 1 to the first `count` elements of a cache, and touches no others.
struct Increment {
  static constexpr const char *name = "Increment", *version = "1", *name_space = "test";
  static constexpr const char *inputs[] = {"past?", "like"}, *outputs[] = {"size", "present"};
  static constexpr tw_alias aliases[] = {{"present", "past"}};
  static constexpr std::int64_t one = 1;
  static constexpr tw_value one_default = {TW_FIELD_INT, 1, &one, nullptr, nullptr};
  static constexpr tw_field fields[] = {{"count", TW_FIELD_INT, &one_default}, {"grow", TW_FIELD_INT, &one_default}};

  static void infer(const Builder& builder, Fields fields, const tw_shape* in, tw_shape* out) {
    out[0] = builder.shape(TW_FLOAT32, {builder.number(1)});
    out[1] = in[1];
    out[1].dims[0] = (builder.extent(in[1], 0) * fields.integer(1)).handle();
  }
  static std::int32_t supports(std::int32_t, const tw_value*, const tw_shape* in, const tw_shape*) {
    return in[1].dtype == TW_FLOAT32;
  }
  static void* attach(std::int32_t backend, Fields) { return backend == TW_CUDA ? new DeviceState : new State; }
  static void detach(void* state) { delete static_cast<State*>(state); }
  static void enqueue(const tw_run& run, Fields fields, const tw_tensor* in, tw_tensor* out) {
    auto *size = static_cast<float*>(out[0].data), *present = static_cast<float*>(out[1].data);
    const bool given = in[0].rank >= 0;
    if (given && in[0].data != out[1].data) throw std::runtime_error("past and present lie apart");
    const auto count = given ? static_cast<unsigned>(fields.integer(0)) : 0;
    const auto extent = static_cast<float>(out[1].dims[0]);
    if (run.backend == TW_CUDA) {
      const auto& state = *static_cast<const DeviceState*>(static_cast<const State*>(run.state));
      cuda::fill(run.stream, size, 0, 4);
      cuda::launch(run.stream, state.kernel, {1}, {1}, 0, size, 0LL, extent);
      if (count) cuda::launch(run.stream, state.kernel, {1}, {count}, 0, present, 0LL, 1.0f);
      return;
    }
    *size = extent;
    for (unsigned i = 0; i < count; ++i) present[i] += 1;
  }
};

// y = scale * tanh(x), which is also what it gives as `th` without the scale.
struct ScaledTanh {
  static constexpr const char *name = "ScaledTanh", *version = "1", *name_space = "test";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y", "th"};
  static constexpr double one = 1;
  static constexpr tw_value one_default = {TW_FIELD_FLOAT, 1, nullptr, &one, nullptr};
  static constexpr const char* nothing = "";
  static constexpr tw_value no_note = {TW_FIELD_STRING, 1, nullptr, nullptr, &nothing};
  static constexpr tw_field fields[] = {{"scale", TW_FIELD_FLOAT, &one_default}, {"note", TW_FIELD_STRING, &no_note}};

  static bool accept(const Match& match) {
    const tw_tensor x = match.tensor("x"), scale = match.tensor("scale");
    if (x.data || !scale.data) throw std::runtime_error("data of what is no constant");
    if (reinterpret_cast<std::uintptr_t>(scale.data) % sizeof(float)) throw std::runtime_error("scale lies askew");
    if (x.rank == 3) throw std::runtime_error("three axes are too many");
    if (x.rank == 4) match.set("note", 4);
    if (scale.rank != 0 || x.dtype != TW_FLOAT32) return false;
    match.set("scale", match.number("scale"));
    return true;
  }
  static std::vector<Pattern> patterns() {
    return {
        {"scaled tanh", {{"tanh", {"x"}, {"th"}}, {"mul", {"scale", "th"}, {"y"}}}, {{"scale"}}, accept},
        {"halved tanh",
         {{"tanh", {"x"}, {"th"}}, {"div", {"th", "two"}, {"y"}}},
         {{"two", 2}},
         [](const Match& match) { return match.set("scale", 0.5), true; }},
    };
  }

  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = out[1] = in[0]; }
  static void enqueue(const tw_run&, Fields fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto *y = static_cast<float*>(out[0].data), *th = static_cast<float*>(out[1].data);
    std::int64_t size = 1;
    for (int axis = 0; axis < in[0].rank; ++axis) size *= in[0].dims[axis];
    for (std::int64_t i = 0; i < size; ++i) y[i] = static_cast<float>(fields.number(0)) * (th[i] = std::tanh(x[i]));
  }
};

// The slope below 0 is a quarter.
struct Quarter {
  static constexpr const char *name = "Quarter", *version = "1", *name_space = "test";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  static std::vector<Pattern> patterns() {
    // One by its condition, one by its own word.
    return {{nullptr, {{"leakyRelu", {"x"}, {"y"}, {{"alpha", 0.25}}}}},
            {"asked", {{"thresholdedRelu", {"x"}, {"y"}}}, {}, [](const Match& match) {
               const tw_value alpha = match.attribute("y", "alpha");
               return alpha.kind == TW_FIELD_FLOAT && alpha.ints && alpha.ints[0] == 3 && alpha.floats[0] == 3;
             }}};
  }
  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }
  static void enqueue(const tw_run&, Fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto* y = static_cast<float*>(out[0].data);
    for (std::int64_t i = 0; i < in[0].dims[0]; ++i) y[i] = x[i] < 0 ? x[i] / 4 : x[i];
  }
};

// The elements above 0.
struct Above {
  static constexpr const char *name = "Above", *version = "1", *name_space = "test";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  static void infer(const Builder& builder, Fields, const tw_shape*, tw_shape* out) {
    out[0] = builder.shape(TW_FLOAT32, {builder.data_dependent(0, 64)});
  }
  static void enqueue(const tw_run& run, Fields, const tw_tensor* in, tw_tensor*) {
    const auto* x = static_cast<const float*>(in[0].data);
    std::vector<float> kept;
    for (std::int64_t i = 0; i < in[0].dims[0]; ++i)
      if (x[i] > 0) kept.push_back(x[i]);
    const auto count = static_cast<std::int64_t>(kept.size());
    void* y = nullptr;
    if (run.allocate(run.host, 0, 1, &count, &y) == 0) std::memcpy(y, kept.data(), kept.size() * sizeof(float));
  }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Increment, ScaledTanh, Quarter, Above)
