// A plugin whose functions go wrong in the way that its field names.
#include <cstring>
#include <limits>

#include "tensorwright/plugin.hpp"

namespace {

using tensorwright::Builder;
using tensorwright::Fields;

struct Odd {
  static constexpr const char *name = "Odd", *version = "1", *name_space = "test";
  static constexpr const char *inputs[] = {"x"}, *outputs[] = {"y"};
  static constexpr tw_field fields[] = {{"way", TW_FIELD_STRING, nullptr}};

  static bool is(const tw_value* fields, const char* way) { return std::strcmp(fields[0].strings[0], way) == 0; }
  static void infer(const Builder& builder, Fields fields, const tw_shape* in, tw_shape* out) {
    out[0] = in[0];
    const tw_value* values = &fields[0];
    if (is(values, "infer throws")) throw 7;
    if (is(values, "infer gives no type")) out[0].dtype = 99;
    if (is(values, "infer gives no rank")) out[0].rank = TW_MAX_RANK + 1;
    if (is(values, "infer gives a rank below zero")) out[0].rank = -1;
    if (is(values, "infer gives no extent")) out[0].dims[0] = 12345;
    if (is(values, "infer gives an extent below zero")) out[0] = builder.shape(TW_FLOAT32, {builder.number(-1)});
  }
  static int32_t supports(int32_t backend, const tw_value* fields, const tw_shape*, const tw_shape*) {
    if (is(fields, "supports throws")) throw 7;
    return backend == TW_CPU;
  }
  static int64_t workspace_bytes(int32_t, const tw_value* fields, const tw_tensor*, const tw_tensor*) {
    if (is(fields, "workspace_bytes throws")) throw 7;
    if (is(fields, "workspace_bytes is below zero")) return -1;
    return is(fields, "workspace_bytes is huge") ? std::numeric_limits<int64_t>::max() : 16;
  }
  static void* attach(int32_t, Fields fields) {
    if (is(&fields[0], "attach throws")) throw 7;
    return is(&fields[0], "attach gives nothing") ? nullptr : new bool(is(&fields[0], "detach throws"));
  }
  static void detach(void* state) {
    if (*static_cast<bool*>(state)) throw 7;
    delete static_cast<bool*>(state);
  }
  static void enqueue(const tw_run& run, Fields fields, const tw_tensor* in, tw_tensor* out) {
    if (is(&fields[0], "enqueue throws")) throw 7;
    if (is(&fields[0], "enqueue fails without a word")) run.fail(run.host, nullptr);
    const int64_t dims = -4;
    void* data = nullptr;
    if (is(&fields[0], "enqueue asks for an output that is none")) run.allocate(run.host, 9, 1, &dims, &data);
    if (is(&fields[0], "enqueue asks for less than nothing")) run.allocate(run.host, 0, 1, &dims, &data);
    std::memcpy(out[0].data, in[0].data, static_cast<size_t>(in[0].dims[0]) * sizeof(float));
  }
};

}  // namespace

#ifdef THROWS
TW_PLUGIN_EXPORT extern const uint32_t tensorwright_plugin_interface = TW_PLUGIN_INTERFACE;
TW_PLUGIN_EXPORT const tw_plugin* const* tensorwright_plugins(uint32_t, int32_t*) { throw 7; }
#else
TENSORWRIGHT_PLUGINS(Odd)
#endif
