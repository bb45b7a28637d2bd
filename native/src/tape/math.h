// Elementary functions of one float, branch-free so that loops over them vectorise, without fused multiply-adds so that
// every instruction set gives the same bits. Doubles take the C library. For *.simd.cpp files of the tape.
#pragma once
#include <math.h>

#include "base/convert.h"
#include "base/inline.h"

namespace tw::tape_math {

// x * 2^n in two steps: exact until the last one rounds a subnormal result.
TW_INLINE float scale(float x, int32_t n) {
  const int32_t half = n >> 1;
  return x * float_of(static_cast<uint32_t>(half + 127) << 23) * float_of(static_cast<uint32_t>(n - half + 127) << 23);
}

// Adding this rounds a small float to an integer, left in the lowest bits.
constexpr float kRound = 12582912.0f;

// Cody and Waite's reduction by ln 2 in two parts, then a polynomial on [-ln2/2, ln2/2]: e^x is `mantissa` times 2^n,
// n in the lowest bits of `shifted`. NaN goes through all of it.
struct Exponential {
  float mantissa, shifted;
};
TW_INLINE Exponential reduced_exp(float x) {
  const float shifted = x * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  const float z = r * r;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {(p * z + r) + 1.0f, shifted};
}
TW_INLINE float exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  const Exponential e = reduced_exp(x);
  return scale(e.mantissa, static_cast<int32_t>(bits_of(e.shifted) - bits_of(kRound)));
}
// For |x| < 87, where nothing overflows.
TW_INLINE float exp_near(float x) {
  const Exponential e = reduced_exp(x);
  return e.mantissa * float_of((bits_of(e.shifted) << 23) + (127u << 23));
}
// For x <= 0: scaled up by 2^64 on the way, so that only the last step rounds a subnormal result.
TW_INLINE float exp_below(float x) {
  const Exponential e = reduced_exp(x < -104.0f ? -104.0f : x);
  return e.mantissa * float_of((bits_of(e.shifted) << 23) + ((127u + 64u) << 23)) * 5.42101086242752217e-20f;
}
TW_INLINE double exp(double x) { return ::exp(x); }

// x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m by the series in s = f / (2 + f), f = m - 1.
TW_INLINE float log(float x) {
  const bool subnormal = x < 1.17549435e-38f;
  const float normal = subnormal ? x * 33554432.0f : x;
  const uint32_t shifted = bits_of(normal) + (0x3F800000u - 0x3F3504F3u);
  const int32_t k = static_cast<int32_t>(shifted >> 23) - 127 - (subnormal ? 25 : 0);
  const float f = float_of((shifted & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s, w = z * z;
  const float even = w * (0.40000972152f + w * 0.24279078841f);
  const float odd = z * (0.66666662693f + w * 0.28498786688f);
  const float half_square = 0.5f * f * f;
  const float dk = static_cast<float>(k);
  float y = s * (half_square + (odd + even)) + dk * 9.0580006145e-06f - half_square + f + dk * 6.9313812256e-01f;
  y = x == 0.0f ? -__builtin_inff() : y;
  y = x < 0.0f ? __builtin_nanf("") : y;
  return x == __builtin_inff() || x != x ? x : y;
}
TW_INLINE double log(double x) { return ::log(x); }

TW_INLINE float copy_sign(float magnitude, float sign) {
  return float_of((bits_of(magnitude) & 0x7FFFFFFFu) | (bits_of(sign) & 0x80000000u));
}
TW_INLINE float magnitude(float x) { return float_of(bits_of(x) & 0x7FFFFFFFu); }

TW_INLINE float tanh(float x) {
  const float t = magnitude(x), z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float far = t > 10.0f ? 10.0f : t;  // the result is 1 by then
  const float large = 1.0f - 2.0f / (exp_near(far + far) + 1.0f);
  return copy_sign(t < 0.625f ? small : large, x);
}
TW_INLINE double tanh(double x) { return ::tanh(x); }

// e^-|x| never overflows, and keeps the small results for very negative x.
TW_INLINE float sigmoid(float x) {
  const float e = exp_below(-magnitude(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
TW_INLINE double sigmoid(double x) {
  const double e = ::exp(x < 0 ? x : -x);
  return x != x ? x : (x < 0 ? e : 1.0) / (1.0 + e);
}

// Near zero a polynomial in x^2; further out 1 - e^p(|x|).
TW_INLINE float erf(float x) {
  const float t = magnitude(x) < 4.0f ? magnitude(x) : 4.0f, s = t * t;
  float p = -1.72853470e-5f * t + 3.83197126e-4f;
  const float u = -3.88396438e-3f * t + 2.42546219e-2f;
  p = p * s + u;
  p = p * t + -1.06777877e-1f;
  p = p * t + -6.34846687e-1f;
  p = p * t + -1.28717512e-1f;
  p = p * t - t;
  const float large = copy_sign(1.0f - exp_near(p), x);
  float q = -5.96761703e-4f;
  q = q * s + 4.99119423e-3f;
  q = q * s + -2.67681349e-2f;
  q = q * s + 1.12819925e-1f;
  q = q * s + -3.76125336e-1f;
  q = q * s + 1.28379166e-1f;
  const float small = q * x + x;
  const float y = t > 0.927734375f ? large : small;
  return x != x ? x : y;
}
TW_INLINE double erf(double x) { return ::erf(x); }

// Beyond this, reducing by pi/2 needs more than the two parts below; callers use the C library there.
constexpr float kTrigLimit = 1e8f;

// x minus the nearest multiple of pi/2, and that multiple modulo 4. Computed in doubles, as are the polynomials:
// results are then right but for the last rounding.
struct Reduced {
  double r;
  int32_t quadrant;
};
TW_INLINE Reduced reduce_by_half_pi(float x) {
  const double wide = magnitude(x) < kTrigLimit ? static_cast<double>(x) : 0.0;
  const double shifted = wide * 0.63661977236758134308 + 6755399441055744.0;
  const double n = shifted - 6755399441055744.0;
  return {(wide - n * 1.57079631090164184570) - n * 1.58932547735281966916e-08,
          static_cast<int32_t>(static_cast<uint32_t>(bits_of(shifted)))};
}
TW_INLINE double sin_kernel(double r) {
  const double z = r * r, w = z * z, s = z * r;
  return (r + s * (-0.166666666416265235595 + z * 0.0083333293858894631756)) +
         s * w * (-0.000198393348360966317347 + z * 0.0000027183114939898219064);
}
TW_INLINE double cos_kernel(double r) {
  const double z = r * r, w = z * z;
  return ((1.0 + z * -0.499999997251031003120) + w * 0.0416666233237390631894) +
         (w * z) * (-0.00138867637746099294692 + z * 0.0000243904487962774090654);
}
TW_INLINE float sin_small(float x) {
  const Reduced v = reduce_by_half_pi(x);
  const double y = v.quadrant & 1 ? cos_kernel(v.r) : sin_kernel(v.r);
  return x == 0.0f ? x : static_cast<float>(v.quadrant & 2 ? -y : y);
}
TW_INLINE float cos_small(float x) {
  const Reduced v = reduce_by_half_pi(x);
  const double y = v.quadrant & 1 ? -sin_kernel(v.r) : cos_kernel(v.r);
  return static_cast<float>(v.quadrant & 2 ? -y : y);
}
TW_INLINE float tan_small(float x) {
  const Reduced v = reduce_by_half_pi(x);
  const double z = v.r * v.r, w = z * z, s = z * v.r;
  const double u = 0.333331395030791399758 + z * 0.133392002712976742718;
  const double t = 0.0533812378445670393523 + z * 0.0245283181166547278873;
  const double q = 0.00297435743359967304927 + z * 0.00946564784943673166728;
  const double y = (v.r + s * u) + (s * w) * (t + w * q);
  return x == 0.0f ? x : static_cast<float>(v.quadrant & 1 ? -1.0 / y : y);
}

}  // namespace tw::tape_math
