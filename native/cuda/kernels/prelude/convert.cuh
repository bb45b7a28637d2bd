// Conversions between element types. To floats: one rounding, to nearest, ties to even, from 64-bit sources too.
// From floats to integers: truncation as in C++; what 64 bits cannot hold saturates there, NaN becomes 0, and narrower
// integers wrap. To b8: `!= 0`.

TW_DEVICE f16::operator f32() const {
#ifdef TW_EMULATOR
  return tw_emulator_f16_to_f32(bits);
#else
  f32 result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
  return result;
#endif
}

TW_DEVICE bf16::operator f32() const { return bit_cast<f32>(static_cast<u32>(bits) << 16); }

TW_DEVICE f16 f16_from(f32 x) {
#ifdef TW_EMULATOR
  return {tw_emulator_f32_to_f16(x)};
#else
  f16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
#endif
}

TW_DEVICE bf16 bf16_from(f32 x) {
#ifdef TW_EMULATOR
  return {tw_emulator_f32_to_bf16(x)};
#else
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
#endif
}

// To float; the last bit of an inexact result is set, so that rounding it once more, to 16 bits, is exact.
TW_DEVICE f32 to_odd_float(f64 x) {
  const f32 truncated = __double2float_rz(x);
  return static_cast<f64>(truncated) == x ? truncated : bit_cast<f32>(bit_cast<u32>(truncated) | 1u);
}

template <typename T>
TW_DEVICE f32 integer_to_odd_float(T x) {
  if constexpr (sizeof(T) < 4) {
    return static_cast<f32>(x);
  } else if constexpr (sizeof(T) == 4) {
    return to_odd_float(static_cast<f64>(x));
  } else {
    // Only the leading 32 bits and whether anything follows them matter for a result of 11 bits.
    const bool large = x > (T{1} << 40) || (is_signed<T> && x < -(T{1} << 40));
    const T sticky = (x & ~T{0xFFFF}) | ((x & T{0xFFFF}) != 0 ? T{0x10000} : T{0});
    return to_odd_float(static_cast<f64>(large ? sticky : x));
  }
}

template <typename From>
TW_DEVICE i64 float_to_i64(From x) {
#ifdef TW_EMULATOR
  if (x >= From(9223372036854775808.0)) return 0x7FFFFFFFFFFFFFFFLL;
  if (x < From(-9223372036854775808.0)) return -0x7FFFFFFFFFFFFFFFLL - 1;
#endif
  return x != x ? 0 : static_cast<i64>(x);  // the device saturates by itself
}

template <typename From>
TW_DEVICE u64 float_to_u64(From x) {
  if (!(x >= From(0))) return static_cast<u64>(float_to_i64(x));
#ifdef TW_EMULATOR
  if (x >= From(18446744073709551616.0)) return 0xFFFFFFFFFFFFFFFFULL;
#endif
  return static_cast<u64>(x);
}

template <typename To, typename From>
TW_DEVICE To convert(From x) {
  if constexpr (is_same<To, From>) {
    return x;
  } else if constexpr (is_same<From, b8> || is_same<From, bool>) {
    return convert<To>(static_cast<i32>(static_cast<bool>(x)));
  } else if constexpr (is_same<From, f16> || is_same<From, bf16> || is_float8<From>) {
    return convert<To>(static_cast<f32>(x));
  } else if constexpr (is_float8<To>) {
    return To::template from<false>(static_cast<f64>(x));
  } else if constexpr (is_same<To, b8>) {
    return b8{static_cast<u8>(x != From(0))};
  } else if constexpr (is_same<To, bool>) {
    return x != From(0);
  } else if constexpr (is_same<To, f16> || is_same<To, bf16>) {
    f32 narrow;
    if constexpr (is_same<From, f32>) narrow = x;
    else if constexpr (is_same<From, f64>) narrow = to_odd_float(x);
    else narrow = integer_to_odd_float(x);
    if constexpr (is_same<To, f16>) return f16_from(narrow);
    else return bf16_from(narrow);
  } else if constexpr (is_integer<To> && is_float<From>) {
    if constexpr (is_same<To, u64>) return float_to_u64(x);
    else return static_cast<To>(float_to_i64(x));
  } else {
    return static_cast<To>(x);
  }
}

// Element by element.
template <typename To, typename From, int N>
TW_DEVICE Vec<To, N> convert_vec(const Vec<From, N>& x) {
  Vec<To, N> result;
#pragma unroll
  for (int i = 0; i < N; ++i) result.v[i] = convert<To>(x.v[i]);
  return result;
}

// The nearest integer, ties to even, clamped to the type's range; NaN becomes 0. What quantization needs.
template <typename To>
TW_DEVICE To round_saturate(f32 x) {
  static_assert(is_integer<To> && sizeof(To) <= 4, "an integer of at most 32 bits");
#ifdef TW_EMULATOR
  constexpr f64 low = is_signed<To> ? -static_cast<f64>(1ULL << (8 * sizeof(To) - 1)) : 0.0;
  constexpr f64 high = low + static_cast<f64>((1ULL << (8 * sizeof(To))) - 1);
  const f64 rounded = rint(x);
  return x != x ? To(0) : static_cast<To>(rounded < low ? low : rounded > high ? high : rounded);
#else
  i32 result;
  if constexpr (is_same<To, i8>) asm("cvt.rni.sat.s8.f32 %0, %1;" : "=r"(result) : "f"(x));
  else if constexpr (is_same<To, u8>) asm("cvt.rni.sat.u8.f32 %0, %1;" : "=r"(result) : "f"(x));
  else if constexpr (is_same<To, i16>) asm("cvt.rni.sat.s16.f32 %0, %1;" : "=r"(result) : "f"(x));
  else if constexpr (is_same<To, u16>) asm("cvt.rni.sat.u16.f32 %0, %1;" : "=r"(result) : "f"(x));
  else if constexpr (is_same<To, i32>) asm("cvt.rni.s32.f32 %0, %1;" : "=r"(result) : "f"(x));
  else asm("cvt.rni.u32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return static_cast<To>(result);
#endif
}

// Two floats as one register of two 16-bit floats; `low` is the first in memory.
template <typename T>
TW_DEVICE u32 pack2(f32 low, f32 high) {
  static_assert(is_same<T, f16> || is_same<T, bf16>, "a 16-bit float");
#ifdef TW_EMULATOR
  return convert<T>(low).bits | static_cast<u32>(convert<T>(high).bits) << 16;
#else
  u32 result;
  if constexpr (is_same<T, f16>) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#endif
}

// The halves of such a register.
template <typename T>
TW_DEVICE f32 unpack_low(u32 pair) {
  return T{static_cast<u16>(pair)};
}
template <typename T>
TW_DEVICE f32 unpack_high(u32 pair) {
  return T{static_cast<u16>(pair >> 16)};
}

// The products of two such registers' halves, each rounded once.
template <typename T>
TW_DEVICE u32 multiply_pair(u32 a, u32 b) {
#ifdef TW_EMULATOR
  return pack2<T>(unpack_low<T>(a) * unpack_low<T>(b), unpack_high<T>(a) * unpack_high<T>(b));
#else
  u32 result;
  if constexpr (is_same<T, f16>) asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  else asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(0x80008000u));  // plus -0
  return result;
#endif
}

// A float rounded to tf32 (10 bits of mantissa, ties away from zero), as an mma operand.
TW_DEVICE u32 to_tf32(f32 x) {
#ifdef TW_EMULATOR
  return tw_emulator_f32_to_tf32(x);
#else
  u32 result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return result;
#endif
}
