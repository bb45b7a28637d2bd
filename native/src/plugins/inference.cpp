#include "plugins/inference.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "executor/checked.h"

namespace tw::plugins {
namespace {

struct Code32 {
  DType dtype;
  int32_t code;
};
constexpr std::array<Code32, 13> kCodes{{{DType::kFloat32, TW_FLOAT32},
                                         {DType::kUInt8, TW_UINT8},
                                         {DType::kInt8, TW_INT8},
                                         {DType::kUInt16, TW_UINT16},
                                         {DType::kInt16, TW_INT16},
                                         {DType::kInt32, TW_INT32},
                                         {DType::kInt64, TW_INT64},
                                         {DType::kBool, TW_BOOL},
                                         {DType::kFloat16, TW_FLOAT16},
                                         {DType::kFloat64, TW_FLOAT64},
                                         {DType::kUInt32, TW_UINT32},
                                         {DType::kUInt64, TW_UINT64},
                                         {DType::kBFloat16, TW_BFLOAT16}}};

constexpr const char* kOperations[] = {"+", "-", "*", "floordiv", "mod", "min", "max"};
constexpr size_t kMostExpressions = 1 << 16, kLongestCode = 1 << 12;

// Extents go through numbers of JavaScript.
constexpr int64_t kLargestExtent = (int64_t{1} << 53) - 1;

std::optional<int64_t> compute(int32_t operation, int64_t a, int64_t b) {
  switch (operation) {
    case TW_ADD:
      return checked_add(a, b);
    case TW_SUBTRACT: {
      const auto negative = checked_mul(b, -1);
      return negative ? checked_add(a, *negative) : negative;
    }
    case TW_MULTIPLY:
      return checked_mul(a, b);
    case TW_FLOOR_DIVIDE:
      return checked_floor_div(a, b);
    case TW_MODULO:
      return checked_floor_mod(a, b);
    case TW_MINIMUM:
      return std::min(a, b);
    default:
      return std::max(a, b);
  }
}

// The extents of one call of `infer`; a tw_extent is an index into them.
struct Extents {
  struct Extent {
    bool number = false;
    int64_t value = 0;
    ExtentCode code;
  };
  std::vector<Extent> all;
  std::vector<std::pair<int64_t, int64_t>> data_dependent;
  std::string failure;

  // What goes wrong comes out at the end, the first of it: no exception may cross the plugin's frames.
  tw_extent refuse(const std::string& why) {
    if (failure.empty()) failure = why;
    return 0;
  }
  tw_extent add(Extent extent) {
    if (all.size() >= kMostExpressions || extent.code.size() > kLongestCode)
      return refuse("its extents are too large as expressions");
    all.push_back(std::move(extent));
    return static_cast<tw_extent>(all.size() - 1);
  }
  const Extent& at(tw_extent handle) {
    // Never destroyed: threads go on while the process ends.
    static const auto& none = *new Extent{true, 0, {"0"}};
    if (handle >= 0 && static_cast<size_t>(handle) < all.size()) return all[static_cast<size_t>(handle)];
    refuse("it used an extent that is none");
    return none;
  }
};

Extents& extents_of(void* host) { return *static_cast<Extents*>(host); }

tw_extent number(void* host, int64_t value) {
  if (value < -kLargestExtent || value > kLargestExtent) return extents_of(host).refuse("an extent exceeds 2^53");
  return extents_of(host).add({true, value, {std::to_string(value)}});
}

tw_extent combine(void* host, int32_t operation, tw_extent a, tw_extent b) {
  Extents& e = extents_of(host);
  if (operation < TW_ADD || operation > TW_MAXIMUM) return e.refuse("it used an operation that is none");
  const Extents::Extent left = e.at(a), right = e.at(b);
  const bool divides = operation == TW_FLOOR_DIVIDE || operation == TW_MODULO;
  if (divides && right.number && right.value == 0) return e.refuse("it divides an extent by zero");
  if (left.number && right.number) {
    const auto value = compute(operation, left.value, right.value);
    return value ? number(host, *value) : e.refuse("an extent exceeds 64 bits");
  }
  ExtentCode code = left.code;
  code.insert(code.end(), right.code.begin(), right.code.end());
  code.push_back(kOperations[operation]);
  return e.add({false, 0, std::move(code)});
}

int32_t known(void* host, tw_extent extent, int64_t* value) {
  const Extents::Extent& e = extents_of(host).at(extent);
  if (e.number) *value = e.value;
  return e.number;
}

tw_extent data_dependent(void* host, int64_t min, int64_t max) {
  Extents& e = extents_of(host);
  if (min < 0 || max < min || max > kLargestExtent)
    return e.refuse("a data-dependent extent needs bounds with 0 <= min <= max < 2^53");
  e.data_dependent.emplace_back(min, max);
  return e.add({false, 0, {"f" + std::to_string(e.data_dependent.size() - 1)}});
}

void fail(void* host, const char* message) { extents_of(host).refuse(message ? message : "it failed"); }

std::vector<tw_shape> shapes_of(Extents& extents, const std::vector<KnownShape>& shapes) {
  std::vector<tw_shape> out;
  size_t unknowns = 0;
  for (const KnownShape& s : shapes) {
    tw_shape shape{};
    shape.dtype = s.dtype;
    shape.rank = static_cast<int32_t>(s.dims.size());
    for (size_t a = 0; a < s.dims.size(); ++a)
      shape.dims[a] = s.dims[a] == kUnknown ? extents.add({false, 0, {"x" + std::to_string(unknowns++)}})
                                            : number(&extents, s.dims[a]);
    out.push_back(shape);
  }
  return out;
}

[[noreturn]] void refuse(const tw_plugin& plugin, const std::string& why) {
  throw Error(Code::kPlugin, "plugin " + title(plugin) + ": " + why);
}

}  // namespace

int32_t code_of(DType dtype) {
  const auto it = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code32& c) { return c.dtype == dtype; });
  return it == kCodes.end() ? 0 : it->code;
}

std::optional<DType> dtype_of(int32_t code) {
  const auto it = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code32& c) { return c.code == code; });
  return it == kCodes.end() ? std::nullopt : std::optional(it->dtype);
}

Inference infer(const tw_plugin& plugin, const FieldValues& fields, const std::vector<KnownShape>& inputs) {
  Extents extents;
  const std::vector<tw_shape> given = shapes_of(extents, inputs);
  std::vector<tw_shape> found(static_cast<size_t>(plugin.output_count));
  const tw_builder builder{sizeof(tw_builder), &extents, number, combine, known, data_dependent, fail};
  int32_t result = 1;
  try {
    result = plugin.infer(&builder, fields.data(), given.data(), found.data());
  } catch (...) {
    refuse(plugin, "infer threw an exception across the C interface");
  }
  if (result != 0 || !extents.failure.empty())
    refuse(plugin, "infer failed: " + (extents.failure.empty() ? "it gave no reason" : extents.failure));
  Inference inference;
  inference.data_dependent = extents.data_dependent;
  for (size_t i = 0; i < found.size(); ++i) {
    const auto dtype = dtype_of(found[i].dtype);
    if (!dtype || found[i].rank < 0 || found[i].rank > TW_MAX_RANK)
      refuse(plugin, std::string("infer gives no type and rank of output '") + plugin.outputs[i] + "'");
    InferredShape shape{*dtype, {}};
    for (int32_t a = 0; a < found[i].rank; ++a) {
      const Extents::Extent& extent = extents.at(found[i].dims[a]);
      if (extent.number && extent.value < 0)
        refuse(plugin, std::string("infer gives output '") + plugin.outputs[i] + "' a negative extent");
      shape.dims.push_back(extent.code);
    }
    if (!extents.failure.empty()) refuse(plugin, "infer failed: " + extents.failure);
    inference.outputs.push_back(std::move(shape));
  }
  return inference;
}

bool supports(const tw_plugin& plugin, int32_t backend, const FieldValues& fields,
              const std::vector<KnownShape>& inputs, const std::vector<KnownShape>& outputs) {
  Extents extents;
  const std::vector<tw_shape> in = shapes_of(extents, inputs), out = shapes_of(extents, outputs);
  if (!plugin.supports) {
    const auto is_float = [](const tw_shape& s) { return s.dtype == TW_FLOAT32 || s.dtype == 0; };
    return backend == TW_CPU && std::all_of(in.begin(), in.end(), is_float) &&
           std::all_of(out.begin(), out.end(), is_float);
  }
  try {
    return plugin.supports(backend, fields.data(), in.data(), out.data()) != 0;
  } catch (...) {
    refuse(plugin, "supports threw an exception across the C interface");
  }
}

}  // namespace tw::plugins
