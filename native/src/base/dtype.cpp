#include "base/dtype.h"

#include <array>
#include <string>

#include "base/error.h"

namespace tw {
namespace {
constexpr std::array<DTypeInfo, static_cast<size_t>(DType::kCount)> kInfo = {{
    {"float32", 32, Domain::kF32},     {"float16", 16, Domain::kF32},       {"bfloat16", 16, Domain::kF32},
    {"float64", 64, Domain::kF64},     {"float8e4m3fn", 8, Domain::kF32},   {"float8e4m3fnuz", 8, Domain::kF32},
    {"float8e5m2", 8, Domain::kF32},   {"float8e5m2fnuz", 8, Domain::kF32}, {"float8e8m0", 8, Domain::kF32},
    {"float4e2m1", 4, Domain::kF32},   {"int2", 2, Domain::kI64},           {"uint2", 2, Domain::kI64},
    {"int4", 4, Domain::kI64},         {"uint4", 4, Domain::kI64},          {"int8", 8, Domain::kI64},
    {"uint8", 8, Domain::kI64},        {"int16", 16, Domain::kI64},         {"uint16", 16, Domain::kI64},
    {"int32", 32, Domain::kI64},       {"uint32", 32, Domain::kI64},        {"int64", 64, Domain::kI64},
    {"uint64", 64, Domain::kU64},      {"bool", 8, Domain::kI64},           {"complex64", 64, Domain::kF32},
    {"complex128", 128, Domain::kF64}, {"string", 64, Domain::kI64},
}};
}  // namespace

const DTypeInfo& info(DType t) { return kInfo[static_cast<size_t>(t)]; }

DType dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < kInfo.size(); ++i)
    if (kInfo[i].name == name) return static_cast<DType>(i);
  throw Error(Code::kInvalidArgument, "unknown dtype '" + std::string(name) + "'");
}
}  // namespace tw
