// Plugins for tests: a plain one, one whose output's size the values decide, and ones that go wrong.
#include <cmath>
#include <vector>

#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Extent;
using tensorwright::Fields;

#ifndef VERSION
#define VERSION "1"
#define POWER 1
#endif

// Of an output, in a later build of the library that forgot to change its version.
#ifndef GROWTH
#define GROWTH 0
#endif

int64_t count(const tw_tensor& t) {
  int64_t n = 1;
  for (int a = 0; a < t.rank; ++a) n *= t.dims[a];
  return n;
}

constexpr const char* x_input[] = {"x"};
constexpr const char* y_output[] = {"y"};

// y = (by · x)^POWER, and the sum of each row of the last axis.
struct Scale {
  static constexpr const char *name = "Scale", *version = VERSION, *name_space = "test";
  static constexpr auto& inputs = x_input;
  static constexpr const char* outputs[] = {"y", "sums"};
  static constexpr double one = 1;
  static constexpr tw_value by_default = {TW_FIELD_FLOAT, 1, nullptr, &one, nullptr};
  static constexpr tw_field fields[] = {{"by", TW_FIELD_FLOAT, &by_default}, {"labels", TW_FIELD_STRINGS, nullptr}};

  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    if (in[0].rank != 2) throw std::runtime_error("x must have rank 2");
    out[0] = in[0];
    out[1] = builder.shape(TW_FLOAT32, {builder.extent(in[0], 0) + GROWTH});
  }
  static int64_t workspace_bytes(int32_t, const tw_value*, const tw_tensor* in, const tw_tensor*) {
    return 4 * in[0].dims[1];
  }
  static void* attach(int32_t, Fields fields) {
    if (fields.number(0) == 0) throw std::runtime_error("by must not be 0");
    return new double(fields.number(0));
  }
  static void detach(void* state) { delete static_cast<double*>(state); }

  static void enqueue(const tw_run& run, Fields fields, const tw_tensor* in, tw_tensor* out) {
    const auto* x = static_cast<const float*>(in[0].data);
    auto *y = static_cast<float*>(out[0].data), *sums = static_cast<float*>(out[1].data);
    auto* row = static_cast<float*>(run.workspace);
    if (fields[1].count != 2) throw std::runtime_error("labels must be two");
    for (int64_t i = 0; i < in[0].dims[0]; ++i, x += in[0].dims[1], y += in[0].dims[1]) {
      sums[i] = 0;
      const double by = *static_cast<double*>(run.state);
      for (int64_t j = 0; j < in[0].dims[1]; ++j) row[j] = static_cast<float>(std::pow(by * x[j], POWER));
      for (int64_t j = 0; j < in[0].dims[1]; ++j) sums[i] += y[j] = row[j];
    }
  }
};

struct Positive {
  static constexpr const char *name = "Positive", *version = VERSION, *name_space = "test";
  static constexpr auto& inputs = x_input;
  static constexpr auto& outputs = y_output;

  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    std::int64_t most = 1 << 20;
    if (in[0].rank == 1) builder.extent(in[0], 0).known(most);
    out[0] = builder.shape(in[0].dtype, {builder.data_dependent(0, most)});
  }
  static void enqueue(const tw_run& run, Fields, const tw_tensor* in, tw_tensor*) {
    std::vector<float> kept;
    for (int64_t i = 0; i < count(in[0]); ++i)
      if (const float v = static_cast<const float*>(in[0].data)[i]; v > 0) kept.push_back(v);
    const auto n = static_cast<int64_t>(kept.size());
    void* data = nullptr;
    if (run.allocate(run.host, 0, 1, &n, &data) == 0) std::memcpy(data, kept.data(), kept.size() * sizeof(float));
  }
};

// At most 4 elements, it says; then it asks for memory of `dims`, as often as `times`.
struct Liar {
  static constexpr const char *name = "Liar", *version = VERSION, *name_space = "test";
  static constexpr auto& inputs = x_input;
  static constexpr auto& outputs = y_output;
  static constexpr tw_field fields[] = {{"dims", TW_FIELD_INTS, nullptr}, {"times", TW_FIELD_INT, nullptr}};
  static void infer(const Builder& builder, Fields, const tw_shape* in, tw_shape* out) {
    out[0] = builder.shape(in[0].dtype, {builder.data_dependent(0, 4)});
  }
  static void enqueue(const tw_run& run, Fields fields, const tw_tensor*, tw_tensor*) {
    void* data = nullptr;
    for (int64_t i = 0; i < fields.integer(1); ++i) run.allocate(run.host, 0, fields[0].count, fields[0].ints, &data);
  }
};

struct Throwing {
  static constexpr const char *name = "Throwing", *version = VERSION, *name_space = "test";
  static constexpr auto& inputs = x_input;
  static constexpr auto& outputs = y_output;
  static void infer(const Builder&, Fields, const tw_shape* in, tw_shape* out) { out[0] = in[0]; }
  static void enqueue(const tw_run&, Fields, const tw_tensor*, tw_tensor*) { throw std::runtime_error("out of luck"); }
};

}  // namespace

TENSORWRIGHT_PLUGINS(Scale, Positive, Throwing, Liar)
