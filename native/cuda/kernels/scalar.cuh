// What scalar expressions are printed as: one function per operation, over the domains f32, f64, i64 and u64.
// Booleans are i64 0 or 1.

TW_DEVICE f32 scalar_neg(f32 x) { return -x; }
TW_DEVICE f64 scalar_neg(f64 x) { return -x; }
TW_DEVICE i64 scalar_neg(i64 x) { return static_cast<i64>(0 - static_cast<u64>(x)); }
TW_DEVICE u64 scalar_neg(u64 x) { return 0 - x; }
TW_DEVICE f32 scalar_abs(f32 x) { return fabsf(x); }
TW_DEVICE f64 scalar_abs(f64 x) { return fabs(x); }
TW_DEVICE i64 scalar_abs(i64 x) { return x < 0 ? scalar_neg(x) : x; }
TW_DEVICE u64 scalar_abs(u64 x) { return x; }
template <typename T>
TW_DEVICE T scalar_sign(T x) {
  if constexpr (is_float<T>) return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;  // NaN and zeros stay
  else return x > T(0) ? T(1) : x == T(0) ? T(0) : T(-1);
}

#define TW_FLOAT_FUNCTION(name, single, wide)                 \
  TW_DEVICE f32 scalar_##name(f32 x) { return single(x); } \
  TW_DEVICE f64 scalar_##name(f64 x) { return wide(x); }
TW_FLOAT_FUNCTION(floor, floorf, floor)
TW_FLOAT_FUNCTION(ceil, ceilf, ceil)
TW_FLOAT_FUNCTION(round, rintf, rint)
TW_FLOAT_FUNCTION(trunc, truncf, trunc)
TW_FLOAT_FUNCTION(sqrt, sqrtf, sqrt)
TW_FLOAT_FUNCTION(exp, expf, exp)
TW_FLOAT_FUNCTION(log, logf, log)
TW_FLOAT_FUNCTION(sin, sinf, sin)
TW_FLOAT_FUNCTION(cos, cosf, cos)
TW_FLOAT_FUNCTION(tan, tanf, tan)
TW_FLOAT_FUNCTION(asin, asinf, asin)
TW_FLOAT_FUNCTION(acos, acosf, acos)
TW_FLOAT_FUNCTION(atan, atanf, atan)
TW_FLOAT_FUNCTION(sinh, sinhf, sinh)
TW_FLOAT_FUNCTION(cosh, coshf, cosh)
TW_FLOAT_FUNCTION(tanh, tanhf, tanh)
TW_FLOAT_FUNCTION(asinh, asinhf, asinh)
TW_FLOAT_FUNCTION(acosh, acoshf, acosh)
TW_FLOAT_FUNCTION(atanh, atanhf, atanh)
TW_FLOAT_FUNCTION(erf, erff, erf)
#undef TW_FLOAT_FUNCTION

// Rounding leaves integers alone.
template <typename T>
TW_DEVICE T scalar_floor(T x) { return x; }
template <typename T>
TW_DEVICE T scalar_ceil(T x) { return x; }
template <typename T>
TW_DEVICE T scalar_round(T x) { return x; }
template <typename T>
TW_DEVICE T scalar_trunc(T x) { return x; }

TW_DEVICE f32 scalar_sigmoid(f32 x) { return 1.0f / (1.0f + expf(-x)); }
TW_DEVICE f64 scalar_sigmoid(f64 x) { return 1.0 / (1.0 + exp(-x)); }
template <typename T>
TW_DEVICE T scalar_reciprocal(T x) {
  if constexpr (is_float<T>) return T(1) / x;
  else return x == T(0) ? T(0) : T(1) / x;
}
// For results that are rounded to 16 bits: relative errors about 1e-6 (of erf below 0.02: 6e-5), and of the special
// function unit's make. Divisors beyond 2^126, and subnormal ones, are taken as infinite and as zero.
TW_DEVICE f32 coarse_exp(f32 x) { return fast_exp(x); }
TW_DEVICE f32 coarse_sigmoid(f32 x) { return fast_sigmoid(x); }
TW_DEVICE f32 coarse_reciprocal(f32 x) { return fast_reciprocal(x); }
TW_DEVICE f32 coarse_div(f32 x, f32 y) { return x * fast_reciprocal(y); }
TW_DEVICE f32 coarse_sqrt(f32 x) { return fast_sqrt(x); }
// Near zero, where the difference from 1 would lose its digits, the series.
TW_DEVICE f32 coarse_tanh(f32 x) {
  const f32 size = 1.0f - 2.0f * fast_reciprocal(1.0f + fast_exp(2.0f * fabsf(x)));
  return select_below(fabsf(x), 0.02f, x - x * x * x * 0.33333333f, copysignf(size, x));
}
// 1 - erf(x) is 2 to a polynomial, fitted to an error of 7e-7 everywhere.
TW_DEVICE f32 coarse_erf(f32 x) {
  const f32 a = fabsf(x);
  f32 power = -2.94417e-3f;
  power = power * a + 2.959007e-2f;
  power = power * a - 0.14866567f;
  power = power * a - 0.91850936f;
  power = power * a - 1.627889f;
  return select_below(a, 0.01f, 1.1283792f * x, copysignf(1.0f - fast_exp2(power * a), x));
}

template <typename T>
TW_DEVICE i64 scalar_isnan(T x) { return x != x; }
template <typename T>
TW_DEVICE i64 scalar_isposinf(T x) { return is_float<T> && x == x && x - x != x - x && x > T(0); }
template <typename T>
TW_DEVICE i64 scalar_isneginf(T x) { return is_float<T> && x == x && x - x != x - x && x < T(0); }
template <typename T>
TW_DEVICE i64 scalar_not(T x) { return x == T(0); }
template <typename T>
TW_DEVICE T scalar_bitnot(T x) { return ~x; }

// Unsigned arithmetic wraps; that of i64 must not be left to signed overflow.
template <typename T>
TW_DEVICE T scalar_add(T x, T y) {
  if constexpr (is_float<T>) return x + y;
  else return static_cast<T>(static_cast<u64>(x) + static_cast<u64>(y));
}
template <typename T>
TW_DEVICE T scalar_sub(T x, T y) {
  if constexpr (is_float<T>) return x - y;
  else return static_cast<T>(static_cast<u64>(x) - static_cast<u64>(y));
}
template <typename T>
TW_DEVICE T scalar_mul(T x, T y) {
  if constexpr (is_float<T>) return x * y;
  else return static_cast<T>(static_cast<u64>(x) * static_cast<u64>(y));
}
// Truncates towards zero; the quotient by zero is zero, that of the least integer by -1 wraps.
template <typename T>
TW_DEVICE T scalar_div(T x, T y) {
  if constexpr (is_float<T>) return x / y;
  else if constexpr (is_same<T, i64>) return y == 0 ? 0 : y == -1 ? scalar_neg(x) : x / y;
  else return y == 0 ? 0 : x / y;
}
// The remainder with the dividend's sign.
TW_DEVICE f32 scalar_fmod(f32 x, f32 y) { return fmodf(x, y); }
TW_DEVICE f64 scalar_fmod(f64 x, f64 y) { return fmod(x, y); }
TW_DEVICE i64 scalar_fmod(i64 x, i64 y) { return y == 0 || y == -1 ? 0 : x % y; }
TW_DEVICE u64 scalar_fmod(u64 x, u64 y) { return y == 0 ? 0 : x % y; }
// The remainder with the divisor's sign.
template <typename T>
TW_DEVICE T scalar_mod(T x, T y) {
  const T r = scalar_fmod(x, y);
  if constexpr (is_same<T, u64>) return r;
  else return r != T(0) && (r < T(0)) != (y < T(0)) ? r + y : r;
}
TW_DEVICE f64 scalar_pow(f64 x, f64 y) { return pow(x, y); }
TW_DEVICE f32 scalar_pow(f32 x, f32 y) {
  // Squares and cubes are common, and as exact.
  return y == 2.0f ? x * x : y == 3.0f ? x * x * x : powf(x, y);
}
template <typename T>
TW_DEVICE T scalar_pow(T x, T y) {
  if (y < T(0)) return x == T(1) ? T(1) : is_same<T, i64> && x == T(-1) ? (y % T(2) == T(0) ? T(1) : x) : T(0);
  u64 result = 1, base = static_cast<u64>(x);
  for (u64 n = static_cast<u64>(y); n != 0; n >>= 1) {
    if (n & 1) result *= base;
    base *= base;
  }
  return static_cast<T>(result);
}
// NaN wins.
template <typename T>
TW_DEVICE T scalar_min(T x, T y) { return minimum(x, y); }
template <typename T>
TW_DEVICE T scalar_max(T x, T y) { return maximum(x, y); }
template <typename T>
TW_DEVICE i64 scalar_and(T x, T y) { return x != T(0) && y != T(0); }
template <typename T>
TW_DEVICE i64 scalar_or(T x, T y) { return x != T(0) || y != T(0); }
template <typename T>
TW_DEVICE i64 scalar_xor(T x, T y) { return (x != T(0)) != (y != T(0)); }
template <typename T>
TW_DEVICE T scalar_bitand(T x, T y) { return x & y; }
template <typename T>
TW_DEVICE T scalar_bitor(T x, T y) { return x | y; }
template <typename T>
TW_DEVICE T scalar_bitxor(T x, T y) { return x ^ y; }
template <typename T>
TW_DEVICE T scalar_shl(T x, T y) { return y < T(0) || y > T(63) ? T(0) : static_cast<T>(static_cast<u64>(x) << y); }
template <typename T>
TW_DEVICE T scalar_shr(T x, T y) { return y < T(0) || y > T(63) ? T(0) : x >> y; }
template <typename T>
TW_DEVICE i64 scalar_eq(T x, T y) { return x == y; }
template <typename T>
TW_DEVICE i64 scalar_ne(T x, T y) { return x != y; }
template <typename T>
TW_DEVICE i64 scalar_lt(T x, T y) { return x < y; }
template <typename T>
TW_DEVICE i64 scalar_le(T x, T y) { return x <= y; }
template <typename T>
TW_DEVICE i64 scalar_gt(T x, T y) { return x > y; }
template <typename T>
TW_DEVICE i64 scalar_ge(T x, T y) { return x >= y; }
