// Conversions between the number formats, one element at a time, exactly as ONNX's Cast defines them. All are
// branch-free so that loops over them vectorise. Rounding is to nearest, ties to even, and happens once, from doubles
// and 64-bit integers too.
#pragma once
#include <cstdint>

#include "base/dtype.h"
#include "base/inline.h"

namespace tw {

TW_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
TW_INLINE uint64_t bits_of(double x) { return __builtin_bit_cast(uint64_t, x); }
TW_INLINE float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }
TW_INLINE double double_of(uint64_t bits) { return __builtin_bit_cast(double, bits); }

// A float of at most 16 bits with a sign on top. Codes are magnitudes, without the sign.
struct SmallFloat {
  int exponent_bits, mantissa_bits, bias;
  uint32_t max_code;       // the largest finite magnitude
  uint32_t overflow_code;  // beyond it, unless saturating: infinity or NaN
  uint32_t nan_code;
  bool unsigned_zero;  // FNUZ: no negative zero, the pattern 10…0 is the only NaN
};
constexpr SmallFloat kFloat16Format{5, 10, 15, 0x7BFF, 0x7C00, 0x7E00, false};
constexpr SmallFloat kE4M3FNFormat{4, 3, 7, 0x7E, 0x7F, 0x7F, false};
constexpr SmallFloat kE4M3FNUZFormat{4, 3, 8, 0x7F, 0x80, 0x80, true};
constexpr SmallFloat kE5M2Format{5, 2, 15, 0x7B, 0x7C, 0x7E, false};
constexpr SmallFloat kE5M2FNUZFormat{5, 2, 16, 0x7F, 0x80, 0x80, true};
// Has neither infinity nor NaN: always saturates, and NaN becomes negative zero.
constexpr SmallFloat kE2M1Format{2, 1, 1, 0x7, 0x7, 0x8, false};

template <const SmallFloat& F>
TW_INLINE uint32_t encode_small_float(float value, bool saturate) {
  constexpr int kShift = 23 - F.mantissa_bits;
  constexpr uint32_t kSignBit = 1u << (F.exponent_bits + F.mantissa_bits);
  constexpr uint32_t kMinNormal = static_cast<uint32_t>(128 - F.bias) << 23;
  // Added to a magnitude below the smallest normal number, it leaves the rounded subnormal code in its lowest bits.
  constexpr uint32_t kMagic = static_cast<uint32_t>(127 - F.bias + kShift + 1) << 23;

  const uint32_t sign = bits_of(value) >> 31, magnitude = bits_of(value) & 0x7FFFFFFFu;
  const uint32_t subnormal = bits_of(float_of(magnitude) + float_of(kMagic)) - kMagic;
  const uint32_t odd = (magnitude >> kShift) & 1;
  const uint32_t normal =
      (magnitude - (static_cast<uint32_t>(127 - F.bias) << 23) + ((1u << (kShift - 1)) - 1) + odd) >> kShift;
  uint32_t code = magnitude < kMinNormal ? subnormal : normal;
  code = code > F.max_code ? (saturate ? F.max_code : F.overflow_code) : code;
  uint32_t nan = F.nan_code;
  // As the processors' own half-precision instructions do, keep what fits of the payload.
  if constexpr (F.mantissa_bits == 10) nan |= (magnitude >> kShift) & 0x3FF;
  code = magnitude > 0x7F800000u ? nan : code;
  if constexpr (F.unsigned_zero) return code == 0 || code == 0x80 ? code : code | (sign ? kSignBit : 0);
  return code | (sign ? kSignBit : 0);
}

template <const SmallFloat& F>
TW_INLINE float decode_small_float(uint32_t bits) {
  constexpr int kShift = 23 - F.mantissa_bits;
  constexpr uint32_t kSignBit = 1u << (F.exponent_bits + F.mantissa_bits);
  constexpr uint32_t kRebias = static_cast<uint32_t>(127 - F.bias) << 23;
  constexpr uint32_t kMinNormal = kRebias + (1u << 23);
  const uint32_t code = bits & (kSignBit - 1);
  const uint32_t normal = (code << kShift) + kRebias;
  const uint32_t subnormal = bits_of(float_of(normal + (1u << 23)) - float_of(kMinNormal));
  uint32_t out = code >> F.mantissa_bits ? normal : subnormal;
  if constexpr (F.mantissa_bits == 10 || F.max_code == kE5M2Format.max_code) {
    out = code >= F.overflow_code ? (code << kShift) | 0x7F800000u : out;
    if constexpr (F.mantissa_bits == 10) out |= code > F.overflow_code ? 0x00400000u : 0;  // quiet
  } else if constexpr (F.max_code == kE4M3FNFormat.max_code) {
    out = code == F.nan_code ? 0x7FC00000u : out;
  }
  const uint32_t sign = bits & kSignBit ? 0x80000000u : 0;
  if constexpr (F.unsigned_zero) return float_of(bits == 0x80 ? 0x7FC00000u : out | sign);
  return float_of(out | sign);
}

TW_INLINE uint32_t encode_bfloat16(float value) {
  const uint32_t u = bits_of(value);
  const uint32_t rounded = (u + 0x7FFF + ((u >> 16) & 1)) >> 16;
  return (u & 0x7FFFFFFFu) > 0x7F800000u ? (u >> 16) | 0x40 : rounded;
}
TW_INLINE float decode_bfloat16(uint32_t bits) { return float_of(bits << 16); }

// Powers of two from 2^-127 (code 0) to 2^127 (code 254); 255 is NaN. ONNX leaves negative numbers open: NaN here.
enum class RoundMode : uint8_t { kUp, kDown, kNearest };

TW_INLINE uint32_t encode_e8m0(float value, bool saturate, RoundMode mode) {
  const uint32_t u = bits_of(value), magnitude = u & 0x7FFFFFFFu;
  // Normal numbers: exponent and fraction. Below 2^-126 the subnormal bit 22 is 2^-127, which is code 0.
  const uint32_t exponent = magnitude >> 23, fraction = magnitude & 0x7FFFFF;
  const uint32_t half = 0x400000;
  const uint32_t below = exponent == 0 && fraction < half;  // under 2^-127
  const uint32_t up_normal = mode == RoundMode::kUp        ? fraction != 0
                             : mode == RoundMode::kNearest ? fraction >= half
                                                           : 0;
  const uint32_t up_subnormal = mode == RoundMode::kUp        ? fraction > half
                                : mode == RoundMode::kNearest ? fraction >= half + half / 2
                                                              : 0;
  uint32_t code = exponent == 0 ? up_subnormal : exponent + up_normal;
  const uint32_t reaches_min = mode == RoundMode::kUp        ? magnitude != 0
                               : mode == RoundMode::kNearest ? fraction >= half / 2 + half / 4
                                                             : 0;
  const uint32_t underflow = below && !reaches_min;
  code = code > 254 ? (saturate ? 254 : 255) : code;
  code = underflow && !saturate ? 255 : code;
  code = magnitude > 0x7F800000u || (u >> 31 && magnitude != 0) ? 255 : code;
  return code;
}
TW_INLINE float decode_e8m0(uint32_t code) {
  return float_of(code == 255 ? 0x7FC00000u : code == 0 ? 0x00400000u : code << 23);
}

// To float, with an inexact result's last bit set: rounding that once more, to fewer bits, is then exact.
TW_INLINE float to_odd_float(double value) {
  const float nearest = static_cast<float>(value);
  const uint32_t bits = bits_of(nearest);
  const double back = nearest;
  const bool too_large = (value < 0 ? -back : back) > (value < 0 ? -value : value);
  const uint32_t odd = (too_large ? bits - 1 : bits) | 1;
  return back == value || value != value ? nearest : float_of(odd);
}
TW_INLINE float to_odd_float(int64_t value) {
  const bool large = value > (int64_t{1} << 40) || value < -(int64_t{1} << 40);
  const int64_t sticky = (value & ~int64_t{0xFFFF}) | ((value & 0xFFFF) != 0 ? 0x10000 : 0);
  return to_odd_float(static_cast<double>(large ? sticky : value));
}
TW_INLINE float to_odd_float(uint64_t value) {
  const bool large = value > (uint64_t{1} << 40);
  const uint64_t sticky = (value & ~uint64_t{0xFFFF}) | ((value & 0xFFFF) != 0 ? 0x10000 : 0);
  return to_odd_float(static_cast<double>(large ? sticky : value));
}
TW_INLINE float to_odd_float(float value) { return value; }

// Truncation towards zero; what does not fit becomes the nearest value that does, NaN becomes 0. Without `saturate`
// unsigned targets take negative numbers modulo 2^64, as casts through int64 do.
TW_INLINE int64_t to_int64(double value) {
  const bool high = value >= 9223372036854775808.0, low = value < -9223372036854775808.0, nan = value != value;
  const int64_t fits = static_cast<int64_t>(high || low || nan ? 0.0 : value);
  return high ? INT64_MAX : low ? INT64_MIN : fits;
}
TW_INLINE int64_t to_int64(float value) {
  const bool high = value >= 9223372036854775808.0f, low = value < -9223372036854775808.0f, nan = value != value;
  const int64_t fits = static_cast<int64_t>(high || low || nan ? 0.0f : value);
  return high ? INT64_MAX : low ? INT64_MIN : fits;
}
TW_INLINE uint64_t to_uint64(double value, bool saturate) {
  if (value != value) return 0;
  if (value < 0) return saturate ? 0 : static_cast<uint64_t>(to_int64(value));
  return value >= 18446744073709551616.0 ? UINT64_MAX : static_cast<uint64_t>(value);
}

// The range of an integer type within int64 (uint64 has its own domain).
struct IntegerRange {
  int64_t low, high;
};
TW_INLINE constexpr IntegerRange integer_range(DType t) {
  switch (t) {
    case DType::kInt2:
      return {-2, 1};
    case DType::kUInt2:
      return {0, 3};
    case DType::kInt4:
      return {-8, 7};
    case DType::kUInt4:
      return {0, 15};
    case DType::kInt8:
      return {-128, 127};
    case DType::kUInt8:
      return {0, 255};
    case DType::kInt16:
      return {-32768, 32767};
    case DType::kUInt16:
      return {0, 65535};
    case DType::kInt32:
      return {INT32_MIN, INT32_MAX};
    case DType::kUInt32:
      return {0, UINT32_MAX};
    default:
      return {INT64_MIN, INT64_MAX};
  }
}

// Element `i` of a packed array of 2- or 4-bit codes, and the way back.
template <int Bits>
TW_INLINE uint32_t get_packed(const uint8_t* data, int64_t i) {
  constexpr int kPerByte = 8 / Bits;
  return (data[i / kPerByte] >> (i % kPerByte * Bits)) & ((1u << Bits) - 1);
}
template <int Bits>
TW_INLINE void set_packed(uint8_t* data, int64_t i, uint32_t code) {
  constexpr int kPerByte = 8 / Bits;
  constexpr uint32_t kMask = (1u << Bits) - 1;
  const int at = static_cast<int>(i % kPerByte) * Bits;
  uint8_t& byte = data[i / kPerByte];
  byte = static_cast<uint8_t>((byte & ~(kMask << at)) | ((code & kMask) << at));
}

}  // namespace tw
