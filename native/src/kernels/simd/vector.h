// One vector of floats at the instruction set this translation unit is compiled for. Only *.simd.cpp files include this.
#pragma once
#include <cstdint>
#include <cstring>

#if TW_ISA_LEVEL >= 1 || defined(__SSE4_2__) || defined(_M_X64)
#include <immintrin.h>
#define TW_SIMD_X86 1
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // the compiler's own AVX-512 header, inlined
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define TW_SIMD_INLINE __forceinline
#else
#define TW_SIMD_INLINE inline __attribute__((always_inline))
#endif

namespace tw::TW_ISA_NAMESPACE {

#if TW_ISA_LEVEL >= 2

struct F32 {
  static constexpr int kLanes = 16;
  __m512 v;
  static TW_SIMD_INLINE __mmask16 mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static TW_SIMD_INLINE F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  // The first n lanes (0 <= n < kLanes); the others are `fill`.
  static TW_SIMD_INLINE F32 load_part(const float* p, int64_t n, float fill) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask(n), p)};
  }
  // Every second element: p[0], p[2], …; reads 2 * kLanes of them.
  static TW_SIMD_INLINE F32 load_even(const float* p) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return {_mm512_permutex2var_ps(_mm512_loadu_ps(p), even, _mm512_loadu_ps(p + 16))};
  }
  static TW_SIMD_INLINE F32 gather(const float* p, const int32_t* indices) {
    return {_mm512_i32gather_ps(_mm512_loadu_si512(indices), p, 4)};
  }
  static TW_SIMD_INLINE F32 set(float x) { return {_mm512_set1_ps(x)}; }
  TW_SIMD_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  TW_SIMD_INLINE void store_part(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, mask(n), v); }
  TW_SIMD_INLINE float sum() const { return _mm512_reduce_add_ps(v); }
};
TW_SIMD_INLINE F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// The second operand where either is NaN, as the instruction does.
TW_SIMD_INLINE F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
// NaN where either is NaN.
TW_SIMD_INLINE F32 max_nan(F32 a, F32 b) {
  return {_mm512_mask_mov_ps(_mm512_max_ps(a.v, b.v), _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), a.v)};
}
TW_SIMD_INLINE F32 min_nan(F32 a, F32 b) {
  return {_mm512_mask_mov_ps(_mm512_min_ps(a.v, b.v), _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), a.v)};
}
TW_SIMD_INLINE F32 round(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
// a * 2^n for whole n.
TW_SIMD_INLINE F32 scale_by_power(F32 a, F32 n) { return {_mm512_scalef_ps(a.v, n.v)}; }
TW_SIMD_INLINE F32 sqrt(F32 a) { return {_mm512_sqrt_ps(a.v)}; }
TW_SIMD_INLINE F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }

#elif TW_ISA_LEVEL == 1

struct F32 {
  static constexpr int kLanes = 8;
  __m256 v;
  static TW_SIMD_INLINE __m256i mask(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static TW_SIMD_INLINE F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static TW_SIMD_INLINE F32 load_part(const float* p, int64_t n, float fill) {
    const __m256i m = mask(n);
    return {_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m))};
  }
  static TW_SIMD_INLINE F32 load_even(const float* p) {
    const __m256 mixed = _mm256_shuffle_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8), _MM_SHUFFLE(2, 0, 2, 0));
    return {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), _MM_SHUFFLE(3, 1, 2, 0)))};
  }
  static TW_SIMD_INLINE F32 gather(const float* p, const int32_t* indices) {
    return {_mm256_i32gather_ps(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(indices)), 4)};
  }
  static TW_SIMD_INLINE F32 set(float x) { return {_mm256_set1_ps(x)}; }
  TW_SIMD_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  TW_SIMD_INLINE void store_part(float* p, int64_t n) const { _mm256_maskstore_ps(p, mask(n), v); }
  TW_SIMD_INLINE float sum() const {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
};
TW_SIMD_INLINE F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator/(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
TW_SIMD_INLINE F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 max_nan(F32 a, F32 b) {
  return {_mm256_blendv_ps(_mm256_max_ps(a.v, b.v), a.v, _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q))};
}
TW_SIMD_INLINE F32 min_nan(F32 a, F32 b) {
  return {_mm256_blendv_ps(_mm256_min_ps(a.v, b.v), a.v, _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q))};
}
TW_SIMD_INLINE F32 round(F32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
TW_SIMD_INLINE __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
// In two factors, so that results below the normal range come out gradually.
TW_SIMD_INLINE F32 scale_by_power(F32 a, F32 n) {
  const __m256i whole = _mm256_cvtps_epi32(n.v), half = _mm256_srai_epi32(whole, 1);
  return {_mm256_mul_ps(_mm256_mul_ps(a.v, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)))};
}
TW_SIMD_INLINE F32 sqrt(F32 a) { return {_mm256_sqrt_ps(a.v)}; }
TW_SIMD_INLINE F32 abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }

#elif defined(TW_SIMD_X86)

struct F32 {
  static constexpr int kLanes = 4;
  __m128 v;
  static TW_SIMD_INLINE F32 load(const float* p) { return {_mm_loadu_ps(p)}; }
  static TW_SIMD_INLINE F32 load_part(const float* p, int64_t n, float fill) {
    alignas(16) float t[4] = {fill, fill, fill, fill};
    for (int64_t i = 0; i < n; ++i) t[i] = p[i];
    return {_mm_load_ps(t)};
  }
  static TW_SIMD_INLINE F32 load_even(const float* p) {
    return {_mm_shuffle_ps(_mm_loadu_ps(p), _mm_loadu_ps(p + 4), _MM_SHUFFLE(2, 0, 2, 0))};
  }
  static TW_SIMD_INLINE F32 gather(const float* p, const int32_t* indices) {
    return {_mm_setr_ps(p[indices[0]], p[indices[1]], p[indices[2]], p[indices[3]])};
  }
  static TW_SIMD_INLINE F32 set(float x) { return {_mm_set1_ps(x)}; }
  TW_SIMD_INLINE void store(float* p) const { _mm_storeu_ps(p, v); }
  TW_SIMD_INLINE void store_part(float* p, int64_t n) const {
    alignas(16) float t[4];
    _mm_store_ps(t, v);
    for (int64_t i = 0; i < n; ++i) p[i] = t[i];
  }
  TW_SIMD_INLINE float sum() const {
    const __m128 s = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
};
TW_SIMD_INLINE F32 operator+(F32 a, F32 b) { return {_mm_add_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator-(F32 a, F32 b) { return {_mm_sub_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator*(F32 a, F32 b) { return {_mm_mul_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 operator/(F32 a, F32 b) { return {_mm_div_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm_add_ps(_mm_mul_ps(a.v, b.v), c.v)}; }
TW_SIMD_INLINE F32 max(F32 a, F32 b) { return {_mm_max_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 min(F32 a, F32 b) { return {_mm_min_ps(a.v, b.v)}; }
TW_SIMD_INLINE F32 max_nan(F32 a, F32 b) {
  return {_mm_blendv_ps(_mm_max_ps(a.v, b.v), a.v, _mm_cmpunord_ps(a.v, a.v))};
}
TW_SIMD_INLINE F32 min_nan(F32 a, F32 b) {
  return {_mm_blendv_ps(_mm_min_ps(a.v, b.v), a.v, _mm_cmpunord_ps(a.v, a.v))};
}
TW_SIMD_INLINE F32 round(F32 a) { return {_mm_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
TW_SIMD_INLINE __m128 power_of_two(__m128i n) {
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(n, _mm_set1_epi32(127)), 23));
}
TW_SIMD_INLINE F32 scale_by_power(F32 a, F32 n) {
  const __m128i whole = _mm_cvtps_epi32(n.v), half = _mm_srai_epi32(whole, 1);
  return {_mm_mul_ps(_mm_mul_ps(a.v, power_of_two(half)), power_of_two(_mm_sub_epi32(whole, half)))};
}
TW_SIMD_INLINE F32 sqrt(F32 a) { return {_mm_sqrt_ps(a.v)}; }
TW_SIMD_INLINE F32 abs(F32 a) { return {_mm_andnot_ps(_mm_set1_ps(-0.0f), a.v)}; }

#else

// Other processors: four lanes that every compiler keeps in a vector register.
struct F32 {
  static constexpr int kLanes = 4;
  float v[4];
  static TW_SIMD_INLINE F32 load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static TW_SIMD_INLINE F32 load_part(const float* p, int64_t n, float fill) {
    F32 r = set(fill);
    for (int64_t i = 0; i < n; ++i) r.v[i] = p[i];
    return r;
  }
  static TW_SIMD_INLINE F32 load_even(const float* p) { return {{p[0], p[2], p[4], p[6]}}; }
  static TW_SIMD_INLINE F32 gather(const float* p, const int32_t* indices) {
    return {{p[indices[0]], p[indices[1]], p[indices[2]], p[indices[3]]}};
  }
  static TW_SIMD_INLINE F32 set(float x) { return {{x, x, x, x}}; }
  TW_SIMD_INLINE void store(float* p) const { for (int i = 0; i < 4; ++i) p[i] = v[i]; }
  TW_SIMD_INLINE void store_part(float* p, int64_t n) const { for (int64_t i = 0; i < n; ++i) p[i] = v[i]; }
  TW_SIMD_INLINE float sum() const { return (v[0] + v[2]) + (v[1] + v[3]); }
};
#define TW_SIMD_LANES(expression) \
  F32 r;                          \
  for (int i = 0; i < 4; ++i) r.v[i] = expression; \
  return r
TW_SIMD_INLINE F32 operator+(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] + b.v[i]); }
TW_SIMD_INLINE F32 operator-(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] - b.v[i]); }
TW_SIMD_INLINE F32 operator*(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] * b.v[i]); }
TW_SIMD_INLINE F32 operator/(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] / b.v[i]); }
TW_SIMD_INLINE F32 fma(F32 a, F32 b, F32 c) { TW_SIMD_LANES(a.v[i] * b.v[i] + c.v[i]); }
TW_SIMD_INLINE F32 max(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
TW_SIMD_INLINE F32 min(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
TW_SIMD_INLINE F32 max_nan(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] != a.v[i] || a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
TW_SIMD_INLINE F32 min_nan(F32 a, F32 b) { TW_SIMD_LANES(a.v[i] != a.v[i] || a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
TW_SIMD_INLINE F32 round(F32 a) { TW_SIMD_LANES(__builtin_rintf(a.v[i])); }
TW_SIMD_INLINE float power_of_two(int n) {
  const int32_t bits = (n + 127) << 23;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
TW_SIMD_INLINE F32 scale_by_power(F32 a, F32 n) {
  TW_SIMD_LANES(a.v[i] * power_of_two(static_cast<int>(n.v[i]) >> 1) *
                power_of_two(static_cast<int>(n.v[i]) - (static_cast<int>(n.v[i]) >> 1)));
}
TW_SIMD_INLINE F32 sqrt(F32 a) { TW_SIMD_LANES(__builtin_sqrtf(a.v[i])); }
TW_SIMD_INLINE F32 abs(F32 a) { TW_SIMD_LANES(__builtin_fabsf(a.v[i])); }
#undef TW_SIMD_LANES
#endif

// Calls step(offset, lanes, whole) over [0, n): whole vectors, then one part.
template <typename F> TW_SIMD_INLINE void for_vectors(int64_t n, F&& step) {
  int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) step(i, int64_t{F32::kLanes}, true);
  if (i < n) step(i, n - i, false);
}

}  // namespace tw::TW_ISA_NAMESPACE
