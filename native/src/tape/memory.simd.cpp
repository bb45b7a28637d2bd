// Block loops between memory and registers: loads, stores, narrowing in place, and conversions between domains.
#include "tape/block_ops.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tw::TW_ISA_NAMESPACE {
namespace {

// What is stored for a dtype, and how it becomes a value of its domain. Narrow integers decode to 32 bits, which is
// what vectorises.
template <DType D>
struct Element;

#define TW_INTEGER(Name, Type, Decoded)                                        \
  template <>                                                                  \
  struct Element<DType::Name> {                                                \
    using Storage = Type;                                                      \
    using Value = int64_t;                                                     \
    TW_INLINE Decoded decode(Type x) { return x; }                             \
    template <int Kind>                                                        \
    TW_INLINE Type encode(int64_t x) {                                         \
      constexpr IntegerRange r = integer_range(DType::Name);                   \
      if constexpr (Kind & 1) x = x < r.low ? r.low : x > r.high ? r.high : x; \
      return static_cast<Type>(x);                                             \
    }                                                                          \
  };
TW_INTEGER(kInt8, int8_t, int32_t)
TW_INTEGER(kUInt8, uint8_t, int32_t)
TW_INTEGER(kInt16, int16_t, int32_t)
TW_INTEGER(kUInt16, uint16_t, int32_t)
TW_INTEGER(kInt32, int32_t, int32_t)
TW_INTEGER(kUInt32, uint32_t, uint32_t)
TW_INTEGER(kInt64, int64_t, int64_t)

template <>
struct Element<DType::kUInt64> {
  using Storage = uint64_t;
  using Value = uint64_t;
  TW_INLINE uint64_t decode(uint64_t x) { return x; }
  template <int Kind>
  TW_INLINE uint64_t encode(uint64_t x) {
    return x;
  }
};
template <>
struct Element<DType::kBool> {
  using Storage = uint8_t;
  using Value = int64_t;
  TW_INLINE int32_t decode(uint8_t x) { return x != 0; }
  template <int Kind>
  TW_INLINE uint8_t encode(int64_t x) {
    return x != 0;
  }
};
template <>
struct Element<DType::kFloat32> {
  using Storage = float;
  using Value = float;
  TW_INLINE float decode(float x) { return x; }
  template <int Kind>
  TW_INLINE float encode(float x) {
    return x;
  }
};
template <>
struct Element<DType::kFloat64> {
  using Storage = double;
  using Value = double;
  TW_INLINE double decode(double x) { return x; }
  template <int Kind>
  TW_INLINE double encode(double x) {
    return x;
  }
};
template <>
struct Element<DType::kBFloat16> {
  using Storage = uint16_t;
  using Value = float;
  TW_INLINE float decode(uint16_t x) { return decode_bfloat16(x); }
  template <int Kind>
  TW_INLINE uint16_t encode(float x) {
    return static_cast<uint16_t>(encode_bfloat16(x));
  }
};
#define TW_SMALL_FLOAT(Name, Type, Format)                                   \
  template <>                                                                \
  struct Element<DType::Name> {                                              \
    using Storage = Type;                                                    \
    using Value = float;                                                     \
    TW_INLINE float decode(Type x) { return decode_small_float<Format>(x); } \
    template <int Kind>                                                      \
    TW_INLINE Type encode(float x) {                                         \
      return static_cast<Type>(encode_small_float<Format>(x, Kind & 1));     \
    }                                                                        \
  };
TW_SMALL_FLOAT(kFloat16, uint16_t, kFloat16Format)
TW_SMALL_FLOAT(kFloat8E4M3FN, uint8_t, kE4M3FNFormat)
TW_SMALL_FLOAT(kFloat8E4M3FNUZ, uint8_t, kE4M3FNUZFormat)
TW_SMALL_FLOAT(kFloat8E5M2, uint8_t, kE5M2Format)
TW_SMALL_FLOAT(kFloat8E5M2FNUZ, uint8_t, kE5M2FNUZFormat)
template <>
struct Element<DType::kFloat8E8M0> {
  using Storage = uint8_t;
  using Value = float;
  TW_INLINE float decode(uint8_t x) { return decode_e8m0(x); }
  template <int Kind>
  TW_INLINE uint8_t encode(float x) {
    return static_cast<uint8_t>(encode_e8m0(x, Kind & 1, static_cast<RoundMode>(Kind / 2)));
  }
};

// Sub-byte elements: codes in bytes, packed by their own loops.
#define TW_PACKED_INTEGER(Name, Bits, Signed)                                                           \
  template <>                                                                                           \
  struct Element<DType::Name> {                                                                         \
    using Storage = uint8_t;                                                                            \
    using Value = int64_t;                                                                              \
    static constexpr int kBits = Bits;                                                                  \
    TW_INLINE int32_t decode(uint8_t x) {                                                               \
      return Signed ? static_cast<int32_t>(static_cast<uint32_t>(x) << (32 - Bits)) >> (32 - Bits) : x; \
    }                                                                                                   \
    template <int Kind>                                                                                 \
    TW_INLINE uint8_t encode(int64_t x) {                                                               \
      constexpr IntegerRange r = integer_range(DType::Name);                                            \
      if constexpr (Kind & 1) x = x < r.low ? r.low : x > r.high ? r.high : x;                          \
      return static_cast<uint8_t>(x & ((1 << Bits) - 1));                                               \
    }                                                                                                   \
  };
TW_PACKED_INTEGER(kInt2, 2, true)
TW_PACKED_INTEGER(kUInt2, 2, false)
TW_PACKED_INTEGER(kInt4, 4, true)
TW_PACKED_INTEGER(kUInt4, 4, false)
template <>
struct Element<DType::kFloat4E2M1> {
  using Storage = uint8_t;
  using Value = float;
  static constexpr int kBits = 4;
  TW_INLINE float decode(uint8_t x) { return decode_small_float<kE2M1Format>(x); }
  template <int Kind>
  TW_INLINE uint8_t encode(float x) {
    return static_cast<uint8_t>(encode_small_float<kE2M1Format>(x, true));
  }
};

// Value-preserving where the target can hold the value; to integers modulo 2^64. Truth values are 32 bits wide.
struct Mask {};
template <typename To>
struct Cast {
  using Type = To;
  template <typename From>
  TW_INLINE To of(From x) {
    return static_cast<To>(x);
  }
};
template <>
struct Cast<Mask> {
  using Type = uint32_t;
  template <typename From>
  TW_INLINE uint32_t of(From x) {
    return x != From(0);
  }
};

template <DType D, typename To, bool Strided>
void load(int64_t n, void* dst, const void* a, const void*, const void*, int64_t stride) {
  auto* d = static_cast<typename Cast<To>::Type*>(dst);
  const auto* x = static_cast<const typename Element<D>::Storage*>(a);
  const int64_t step = Strided ? stride : 1;
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = Cast<To>::of(Element<D>::decode(x[i * step]));
}
template <DType D, typename To>
void load_packed(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  auto* d = static_cast<typename Cast<To>::Type*>(dst);
  const auto* x = static_cast<const uint8_t*>(a);
  for (int64_t i = 0; i < n; ++i)
    d[i] = Cast<To>::of(Element<D>::decode(static_cast<uint8_t>(get_packed<Element<D>::kBits>(x, i))));
}

template <DType D, int Kind, bool Strided>
void store(int64_t n, void* dst, const void* a, const void*, const void*, int64_t stride) {
  auto* d = static_cast<typename Element<D>::Storage*>(dst);
  const auto* x = static_cast<const typename Element<D>::Value*>(a);
  const int64_t step = Strided ? stride : 1;
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i * step] = Element<D>::template encode<Kind>(x[i]);
}
// Unused bits of the last byte become zero.
template <int Bits, typename Code>
TW_INLINE void pack(int64_t n, uint8_t* d, Code code) {
  constexpr int kPerByte = 8 / Bits;
  for (int64_t i = 0; i < n; i += kPerByte) {
    uint32_t byte = 0;
    for (int k = 0; k < kPerByte && i + k < n; ++k) byte |= static_cast<uint32_t>(code(i + k)) << (k * Bits);
    d[i / kPerByte] = static_cast<uint8_t>(byte);
  }
}
template <DType D, int Kind>
void store_packed(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  const auto* x = static_cast<const typename Element<D>::Value*>(a);
  pack<Element<D>::kBits>(n, static_cast<uint8_t*>(dst),
                          [&](int64_t i) { return Element<D>::template encode<Kind>(x[i]); });
}

template <bool Strided>
void store_mask(int64_t n, void* dst, const void* a, const void*, const void*, int64_t stride) {
  auto* d = static_cast<uint8_t*>(dst);
  const auto* x = static_cast<const uint32_t*>(a);
  const int64_t step = Strided ? stride : 1;
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i * step] = static_cast<uint8_t>(x[i]);
}

template <DType D, int Kind>
void narrow(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  using Value = typename Element<D>::Value;
  auto* d = static_cast<Value*>(dst);
  const auto* x = static_cast<const Value*>(a);
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = Element<D>::decode(Element<D>::template encode<Kind>(x[i]));
}

// Truncation and clamping commute, the bounds being whole.
template <DType D>
TW_INLINE int32_t quantized(float x) {
  constexpr IntegerRange r = integer_range(D);
  constexpr float kLow = static_cast<float>(r.low), kHigh = static_cast<float>(r.high);
  x = x != x ? 0.0f : x;
  x = x < kLow ? kLow : x;
  x = x > kHigh ? kHigh : x;
  return static_cast<int32_t>(x);
}
template <DType D, bool Strided>
void quantize(int64_t n, void* dst, const void* a, const void*, const void*, int64_t stride) {
  using Storage = typename Element<D>::Storage;
  auto* d = static_cast<Storage*>(dst);
  const auto* x = static_cast<const float*>(a);
  const int64_t step = Strided ? stride : 1;
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i * step] = static_cast<Storage>(quantized<D>(x[i]));
}
template <DType D>
void quantize_packed(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  constexpr int kBits = Element<D>::kBits;
  const auto* x = static_cast<const float*>(a);
  pack<kBits>(n, static_cast<uint8_t*>(dst), [&](int64_t i) { return quantized<D>(x[i]) & ((1 << kBits) - 1); });
}

#if defined(__F16C__)
// The processor converts halves itself, to the same bits.
void load_float16(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  float* d = static_cast<float*>(dst);
  const uint16_t* x = static_cast<const uint16_t*>(a);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
  for (; i < n; ++i) d[i] = decode_small_float<kFloat16Format>(x[i]);
}
void store_float16(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  uint16_t* d = static_cast<uint16_t*>(dst);
  const float* x = static_cast<const float*>(a);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(d + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) d[i] = static_cast<uint16_t>(encode_small_float<kFloat16Format>(x[i], false));
}
void narrow_float16(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT)));
  for (; i < n; ++i) d[i] = decode_small_float<kFloat16Format>(encode_small_float<kFloat16Format>(x[i], false));
}
#endif

// Between domains. Saturating differs from plain only where a sign is lost.
template <typename To, typename From, bool Saturate>
TW_INLINE typename Cast<To>::Type converted(From x) {
  constexpr bool kFromFloat = static_cast<From>(0.5) != From(0);
  if constexpr (__is_same(To, int64_t) && kFromFloat)
    return to_int64(x);
  else if constexpr (__is_same(To, uint64_t) && kFromFloat)
    return to_uint64(static_cast<double>(x), Saturate);
  else if constexpr (__is_same(To, uint64_t) && __is_same(From, int64_t) && Saturate)
    return x < 0 ? 0 : static_cast<uint64_t>(x);
  else if constexpr (__is_same(To, int64_t) && __is_same(From, uint64_t) && Saturate)
    return x > INT64_MAX ? INT64_MAX : static_cast<int64_t>(x);
  else
    return Cast<To>::of(x);
}
template <typename To, typename From, bool Saturate>
void convert(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  auto* d = static_cast<typename Cast<To>::Type*>(dst);
  const auto* x = static_cast<const From*>(a);
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = converted<To, From, Saturate>(x[i]);
}

constexpr int at(ValueType t) { return static_cast<int>(t); }
constexpr int at(DType t) { return static_cast<int>(t); }
constexpr ValueType type_of(float) { return ValueType::kF32; }
constexpr ValueType type_of(double) { return ValueType::kF64; }
constexpr ValueType type_of(int64_t) { return ValueType::kI64; }
constexpr ValueType type_of(uint64_t) { return ValueType::kU64; }
constexpr ValueType type_of(Mask) { return ValueType::kMask; }

template <DType D, typename To>
void add_load(BlockOps& ops) {
  BlockFn* modes = ops.load[at(D)][at(type_of(To{}))];
  if constexpr (requires { Element<D>::kBits; }) {
    modes[0] = load_packed<D, To>;
  } else {
    modes[0] = load<D, To, false>, modes[1] = load<D, To, true>;
  }
}
template <DType D, int Kind>
void add_kind(BlockOps& ops) {
  if constexpr (requires { Element<D>::kBits; }) {
    ops.store[at(D)][Kind][0] = store_packed<D, Kind>;
  } else {
    ops.store[at(D)][Kind][0] = store<D, Kind, false>, ops.store[at(D)][Kind][1] = store<D, Kind, true>;
  }
  ops.narrow[at(D)][Kind] = narrow<D, Kind>;
}
template <DType D>
void add_dtype(BlockOps& ops) {
  add_load<D, typename Element<D>::Value>(ops);
  // Only one dtype has rounding modes, and wide ones nothing to saturate: the others' entries repeat.
  add_kind<D, 0>(ops);
  if constexpr (D == DType::kFloat8E8M0) {
    add_kind<D, 1>(ops), add_kind<D, 2>(ops), add_kind<D, 3>(ops), add_kind<D, 4>(ops), add_kind<D, 5>(ops);
  } else {
    constexpr bool kSaturates = D != DType::kFloat16 && D != DType::kBFloat16;
    if constexpr (kSaturates) add_kind<D, 1>(ops);
    for (int kind = 1; kind < kNarrowKinds; ++kind) {
      const int same = kSaturates ? kind % 2 : 0;
      ops.store[at(D)][kind][0] = ops.store[at(D)][same][0], ops.store[at(D)][kind][1] = ops.store[at(D)][same][1];
      ops.narrow[at(D)][kind] = ops.narrow[at(D)][same];
    }
  }
}
template <DType D>
void add_integer(BlockOps& ops) {
  add_dtype<D>(ops);
  add_load<D, float>(ops);
  add_load<D, Mask>(ops);
}
template <DType D>
void add_quantize(BlockOps& ops) {
  if constexpr (requires { Element<D>::kBits; }) {
    ops.quantize[at(D)][0] = quantize_packed<D>;
  } else {
    ops.quantize[at(D)][0] = quantize<D, false>, ops.quantize[at(D)][1] = quantize<D, true>;
  }
}
template <typename To, typename From>
void add_convert(BlockOps& ops) {
  BlockFn* kinds = ops.convert[at(type_of(To{}))][at(type_of(From{}))];
  kinds[0] = convert<To, From, false>, kinds[1] = convert<To, From, true>;
}
template <typename From>
void add_converts(BlockOps& ops) {
  add_convert<float, From>(ops), add_convert<double, From>(ops), add_convert<int64_t, From>(ops);
  add_convert<uint64_t, From>(ops), add_convert<Mask, From>(ops);
}

}  // namespace

void add_memory(BlockOps& ops) {
  add_dtype<DType::kFloat32>(ops);
  add_dtype<DType::kFloat64>(ops);
  add_dtype<DType::kFloat16>(ops);
  add_dtype<DType::kBFloat16>(ops);
  add_dtype<DType::kFloat8E4M3FN>(ops);
  add_dtype<DType::kFloat8E4M3FNUZ>(ops);
  add_dtype<DType::kFloat8E5M2>(ops);
  add_dtype<DType::kFloat8E5M2FNUZ>(ops);
  add_dtype<DType::kFloat8E8M0>(ops);
  add_dtype<DType::kFloat4E2M1>(ops);
  add_integer<DType::kInt2>(ops);
  add_integer<DType::kUInt2>(ops);
  add_integer<DType::kInt4>(ops);
  add_integer<DType::kUInt4>(ops);
  add_integer<DType::kInt8>(ops);
  add_integer<DType::kUInt8>(ops);
  add_integer<DType::kInt16>(ops);
  add_integer<DType::kUInt16>(ops);
  add_integer<DType::kInt32>(ops);
  add_integer<DType::kUInt32>(ops);
  add_integer<DType::kInt64>(ops);
  add_integer<DType::kUInt64>(ops);
  add_integer<DType::kBool>(ops);
  ops.store_mask[0] = store_mask<false>, ops.store_mask[1] = store_mask<true>;
#if defined(__F16C__)
  ops.load[at(DType::kFloat16)][at(ValueType::kF32)][0] = load_float16;
  for (int kind = 0; kind < kNarrowKinds; ++kind) {
    ops.store[at(DType::kFloat16)][kind][0] = store_float16;
    ops.narrow[at(DType::kFloat16)][kind] = narrow_float16;
  }
#endif
  add_quantize<DType::kInt2>(ops);
  add_quantize<DType::kUInt2>(ops);
  add_quantize<DType::kInt4>(ops);
  add_quantize<DType::kUInt4>(ops);
  add_quantize<DType::kInt8>(ops);
  add_quantize<DType::kUInt8>(ops);
  add_quantize<DType::kInt16>(ops);
  add_quantize<DType::kUInt16>(ops);

  add_converts<float>(ops);
  add_converts<double>(ops);
  add_converts<int64_t>(ops);
  add_converts<uint64_t>(ops);
  // From truth values, which are already 0 or 1.
  ops.convert[at(ValueType::kF32)][at(ValueType::kMask)][0] = convert<float, uint32_t, false>;
  ops.convert[at(ValueType::kF64)][at(ValueType::kMask)][0] = convert<double, uint32_t, false>;
  ops.convert[at(ValueType::kI64)][at(ValueType::kMask)][0] = convert<int64_t, uint32_t, false>;
  ops.convert[at(ValueType::kU64)][at(ValueType::kMask)][0] = convert<uint64_t, uint32_t, false>;
  ops.convert[at(ValueType::kMask)][at(ValueType::kMask)][0] = convert<uint32_t, uint32_t, false>;
  for (int to = 0; to < kValueTypes; ++to)
    ops.convert[to][at(ValueType::kMask)][1] = ops.convert[to][at(ValueType::kMask)][0];
}

}  // namespace tw::TW_ISA_NAMESPACE
