// Floats of 8 bits, as their bits. Reading one as a float is implicit and exact.

// What the largest exponent means: infinities and NaN; NaN where all bits are one; nothing special, and -0 is NaN.
enum class Specials { ieee, fn, fnuz };

template <int Mantissa, int Bias, Specials Kind>
struct Float8 {
  static constexpr u32 infinity = 128 - (1 << Mantissa);
  static constexpr u32 largest = Kind == Specials::ieee ? infinity - 1 : Kind == Specials::fn ? 126 : 127;
  static constexpr u32 nan = Kind == Specials::ieee ? 128 - (1 << (Mantissa - 1)) : Kind == Specials::fn ? 127 : 128;

  u8 bits;

  TW_DEVICE operator f32() const {
    const u32 magnitude = bits & 127u, exponent = magnitude >> Mantissa, fraction = magnitude & ((1u << Mantissa) - 1);
    const f32 not_a_number = bit_cast<f32>(0x7FC00000u);
    if (Kind == Specials::fnuz ? bits == nan : Kind == Specials::fn ? magnitude == nan : magnitude > infinity)
      return not_a_number;
    f32 value;
    if (Kind == Specials::ieee && magnitude == infinity) value = bit_cast<f32>(0x7F800000u);
    else if (exponent == 0) value = fraction * bit_cast<f32>(static_cast<u32>(128 - Bias - Mantissa) << 23);
    else value = bit_cast<f32>((exponent + 127 - Bias) << 23 | fraction << (23 - Mantissa));
    return bits & 128u ? -value : value;
  }

  // Rounded to nearest, ties to even; what is too large becomes the largest number, or infinity or NaN.
  template <bool Saturate>
  TW_DEVICE static Float8 from(f64 x) {
    if (x != x) return {static_cast<u8>(nan)};
    const u64 pattern = bit_cast<u64>(x);
    const u32 sign = static_cast<u32>(pattern >> 56) & 128u;
    const f64 magnitude = fabs(x);
    const int leading = static_cast<int>(pattern >> 52 & 2047) - 1023;
    u32 result = largest + 1;
    if (leading < 1024) {
      const int exponent = leading < 1 - Bias ? 1 - Bias : leading;
      const f64 unit = bit_cast<f64>(static_cast<u64>(Mantissa - exponent + 1023) << 52);
      // A carry out of the fraction moves into the exponent by itself.
      result = static_cast<u32>((exponent - 1 + Bias) << Mantissa) + static_cast<u32>(rint(magnitude * unit));
    }
    if (result > largest) {
      if (Saturate) result = largest;
      else if (Kind == Specials::ieee) result = infinity;
      else return {static_cast<u8>(Kind == Specials::fnuz ? nan : sign + nan)};
    }
    return {static_cast<u8>(result == 0 && Kind == Specials::fnuz ? 0 : sign + result)};
  }
};

using f8e4m3fn = Float8<3, 7, Specials::fn>;
using f8e4m3fnuz = Float8<3, 8, Specials::fnuz>;
using f8e5m2 = Float8<2, 15, Specials::ieee>;
using f8e5m2fnuz = Float8<2, 16, Specials::fnuz>;

enum class ScaleRound { up, down, nearest };

// A power of two from 2^-127 to 2^127; the pattern of all ones is NaN.
struct f8e8m0 {
  u8 bits;

  TW_DEVICE operator f32() const {
    if (bits == 255) return bit_cast<f32>(0x7FC00000u);
    return bits == 0 ? bit_cast<f32>(0x00400000u) : bit_cast<f32>(static_cast<u32>(bits) << 23);
  }

  // The sign is dropped.
  template <bool Saturate, ScaleRound Round = ScaleRound::up>
  TW_DEVICE static f8e8m0 from(f64 x) {
    if (x != x) return {255};
    const u64 pattern = bit_cast<u64>(fabs(x));
    const int exponent = static_cast<int>(pattern >> 52) - 1023;
    if (exponent < -127) return {static_cast<u8>(Saturate ? 0 : 255)};
    const u64 fraction = pattern & 0xFFFFFFFFFFFFFull;
    const bool up = Round == ScaleRound::up ? fraction != 0 : Round == ScaleRound::nearest && fraction >> 51 != 0;
    const int result = exponent + 127 + up;
    return {static_cast<u8>(result <= 254 ? result : Saturate ? 254 : 255)};
  }
};

template <typename T>
constexpr bool is_float8 = is_same<T, f8e4m3fn> || is_same<T, f8e4m3fnuz> || is_same<T, f8e5m2> ||
                           is_same<T, f8e5m2fnuz> || is_same<T, f8e8m0>;
