// Fast approximations and integer helpers. Accurate functions have their C names (expf, tanhf, erff …).

TW_DEVICE f32 fast_exp2(f32 x) {
#ifdef TW_EMULATOR
  return exp2f(x);
#else
  f32 result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

TW_DEVICE f32 fast_log2(f32 x) {
#ifdef TW_EMULATOR
  return log2f(x);
#else
  f32 result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

// Relative error about 2^-11.
TW_DEVICE f32 fast_tanh(f32 x) {
#ifdef TW_EMULATOR
  return tanhf(x);
#else
  f32 result;
  asm("tanh.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

TW_DEVICE f32 fast_reciprocal(f32 x) {
#ifdef TW_EMULATOR
  return 1.0f / x;
#else
  f32 result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

TW_DEVICE f32 fast_rsqrt(f32 x) {
#ifdef TW_EMULATOR
  return 1.0f / sqrtf(x);
#else
  f32 result;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

TW_DEVICE f32 fast_sqrt(f32 x) {
#ifdef TW_EMULATOR
  return sqrtf(x);
#else
  f32 result;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#endif
}

TW_DEVICE f32 fast_exp(f32 x) { return fast_exp2(x * 1.4426950408889634f); }
TW_DEVICE f32 fast_sigmoid(f32 x) { return fast_reciprocal(1.0f + fast_exp(-x)); }

// x < limit ? below : otherwise, both computed: the compiler would branch around the approximations above.
TW_DEVICE f32 select_below(f32 x, f32 limit, f32 below, f32 otherwise) {
#ifdef TW_EMULATOR
  return x < limit ? below : otherwise;
#else
  f32 result;
  asm("{ .reg .pred p; setp.lt.f32 p, %1, %2; selp.f32 %0, %3, %4, p; }"
      : "=f"(result) : "f"(x), "f"(limit), "f"(below), "f"(otherwise));
  return result;
#endif
}

template <typename T>
TW_DEVICE constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}
template <typename T>
TW_DEVICE constexpr T round_up(T a, T b) {
  return ceil_div(a, b) * b;
}

// The smaller and the larger, NaN if either is NaN.
template <typename T>
TW_DEVICE T minimum(T a, T b) {
  if constexpr (is_float<T>) return a != a || a < b ? a : b;
  else return a < b ? a : b;
}
template <typename T>
TW_DEVICE T maximum(T a, T b) {
  if constexpr (is_float<T>) return a != a || a > b ? a : b;
  else return a > b ? a : b;
}
#if !defined(TW_EMULATOR) && __CUDA_ARCH__ >= 800
TW_DEVICE f32 minimum(f32 a, f32 b) {
  f32 result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}
TW_DEVICE f32 maximum(f32 a, f32 b) {
  f32 result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}
#endif

// Division of numbers below 2^31 by a divisor that is the same for the whole launch: a multiplication and a shift.
struct FastDivisor {
  u32 divisor, multiplier, shift;

  TW_DEVICE explicit FastDivisor(u32 d) : divisor(d), multiplier(0), shift(0) {
    while (shift < 31 && (1u << shift) < d) ++shift;
    multiplier = static_cast<u32>(((1ULL << 32) * ((1ULL << shift) - d)) / d + 1);
  }
  TW_DEVICE u32 divide(u32 n) const { return (__umulhi(n, multiplier) + n) >> shift; }
  TW_DEVICE u32 divide(u32 n, u32& remainder) const {
    const u32 quotient = divide(n);
    remainder = n - quotient * divisor;
    return quotient;
  }
};
