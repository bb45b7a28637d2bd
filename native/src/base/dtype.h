// Element types: names, storage widths, and the numeric domain a scalar program computes them in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tw {

// The order is part of the plan's native interface: append only.
enum class DType : uint8_t {
  kFloat32, kFloat16, kBFloat16, kFloat64,
  kFloat8E4M3FN, kFloat8E4M3FNUZ, kFloat8E5M2, kFloat8E5M2FNUZ, kFloat8E8M0, kFloat4E2M1,
  kInt2, kUInt2, kInt4, kUInt4, kInt8, kUInt8, kInt16, kUInt16, kInt32, kUInt32, kInt64, kUInt64,
  kBool, kComplex64, kComplex128, kString,
  kCount
};

// Scalar programs compute in one of four domains; loads widen into it, stores narrow out of it.
enum class Domain : uint8_t { kF32, kF64, kI64, kU64 };

struct DTypeInfo {
  std::string_view name;  // as in @tensorwright/core
  int bits;               // storage bits of one element; sub-byte types are packed, lowest bits first
  Domain domain;
};

const DTypeInfo& info(DType t);
// Throws Error(kInvalidArgument) on an unknown name.
DType dtype_from_name(std::string_view name);

// Bytes of `count` densely packed elements.
inline size_t packed_bytes(DType t, int64_t count) {
  return (static_cast<size_t>(count) * static_cast<size_t>(info(t).bits) + 7) / 8;
}
inline bool is_sub_byte(DType t) { return info(t).bits < 8; }

template <typename T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr DType value = DType::kFloat32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::kFloat64; };
template <> struct DTypeOf<int8_t> { static constexpr DType value = DType::kInt8; };
template <> struct DTypeOf<uint8_t> { static constexpr DType value = DType::kUInt8; };
template <> struct DTypeOf<int16_t> { static constexpr DType value = DType::kInt16; };
template <> struct DTypeOf<uint16_t> { static constexpr DType value = DType::kUInt16; };
template <> struct DTypeOf<int32_t> { static constexpr DType value = DType::kInt32; };
template <> struct DTypeOf<uint32_t> { static constexpr DType value = DType::kUInt32; };
template <> struct DTypeOf<int64_t> { static constexpr DType value = DType::kInt64; };
template <> struct DTypeOf<uint64_t> { static constexpr DType value = DType::kUInt64; };

}  // namespace tw
