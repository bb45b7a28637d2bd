// One vector of 4-byte words, each two bfloat16 or four 8-bit integers, and the products of such words with a word of
// the other operand. Where the instruction set has no such products, words are widened. Only files that are compiled
// for one instruction set include this.
#pragma once
#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {

#if TW_ISA_LEVEL >= 2
using IntegerVector = __m512i;
#elif TW_ISA_LEVEL == 1
using IntegerVector = __m256i;
#elif defined(TW_SIMD_X86)
using IntegerVector = __m128i;
#else
struct IntegerVector {
  int32_t v[4];
};
#endif

// int32 sums, or words yet to be multiplied.
struct I32 {
  static constexpr int kLanes = F32::kLanes;
  IntegerVector v;
#if TW_ISA_LEVEL >= 2
  static TW_SIMD_INLINE I32 load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static TW_SIMD_INLINE I32 load_part(const void* p, int64_t n) {
    return {_mm512_maskz_loadu_epi32(F32::mask(n), p)};
  }
  static TW_SIMD_INLINE I32 set(int32_t x) { return {_mm512_set1_epi32(x)}; }
  TW_SIMD_INLINE void store(void* p) const { _mm512_storeu_si512(p, v); }
  TW_SIMD_INLINE void store_part(void* p, int64_t n) const { _mm512_mask_storeu_epi32(p, F32::mask(n), v); }
#elif TW_ISA_LEVEL == 1
  static TW_SIMD_INLINE I32 load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
  static TW_SIMD_INLINE I32 load_part(const void* p, int64_t n) {
    return {_mm256_maskload_epi32(static_cast<const int*>(p), F32::mask(n))};
  }
  static TW_SIMD_INLINE I32 set(int32_t x) { return {_mm256_set1_epi32(x)}; }
  TW_SIMD_INLINE void store(void* p) const { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  TW_SIMD_INLINE void store_part(void* p, int64_t n) const {
    _mm256_maskstore_epi32(static_cast<int*>(p), F32::mask(n), v);
  }
#else
#if defined(TW_SIMD_X86)
  static TW_SIMD_INLINE I32 load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
  static TW_SIMD_INLINE I32 set(int32_t x) { return {_mm_set1_epi32(x)}; }
  TW_SIMD_INLINE void store(void* p) const { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
#else
  static TW_SIMD_INLINE I32 load(const void* p) {
    I32 r;
    std::memcpy(&r, p, sizeof(r));
    return r;
  }
  static TW_SIMD_INLINE I32 set(int32_t x) { return {{{x, x, x, x}}}; }
  TW_SIMD_INLINE void store(void* p) const { std::memcpy(p, &v, sizeof(v)); }
#endif
  static TW_SIMD_INLINE I32 load_part(const void* p, int64_t n) {
    int32_t t[4] = {};
    std::memcpy(t, p, static_cast<size_t>(n) * 4);
    return load(t);
  }
  TW_SIMD_INLINE void store_part(void* p, int64_t n) const {
    int32_t t[4];
    store(t);
    std::memcpy(p, t, static_cast<size_t>(n) * 4);
  }
#endif
};

TW_SIMD_INLINE int32_t load_word(const float* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

TW_SIMD_INLINE I32 operator+(I32 a, I32 b) {
#if TW_ISA_LEVEL >= 2
  return {_mm512_add_epi32(a.v, b.v)};
#elif TW_ISA_LEVEL == 1
  return {_mm256_add_epi32(a.v, b.v)};
#elif defined(TW_SIMD_X86)
  return {_mm_add_epi32(a.v, b.v)};
#else
  for (int i = 0; i < 4; ++i)
    a.v.v[i] = static_cast<int32_t>(static_cast<uint32_t>(a.v.v[i]) + static_cast<uint32_t>(b.v.v[i]));
  return a;
#endif
}

// Floats made of the lower and of the upper bfloat16 of each word.
TW_SIMD_INLINE F32 lower_bfloat16(I32 x) {
#if TW_ISA_LEVEL >= 2
  return {_mm512_castsi512_ps(_mm512_slli_epi32(x.v, 16))};
#elif TW_ISA_LEVEL == 1
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x.v, 16))};
#elif defined(TW_SIMD_X86)
  return {_mm_castsi128_ps(_mm_slli_epi32(x.v, 16))};
#else
  F32 r;
  for (int i = 0; i < 4; ++i) r.v[i] = __builtin_bit_cast(float, static_cast<uint32_t>(x.v.v[i]) << 16);
  return r;
#endif
}
TW_SIMD_INLINE F32 upper_bfloat16(I32 x) {
#if TW_ISA_LEVEL >= 2
  return {_mm512_castsi512_ps(_mm512_and_si512(x.v, _mm512_set1_epi32(-0x10000)))};
#elif TW_ISA_LEVEL == 1
  return {_mm256_castsi256_ps(_mm256_and_si256(x.v, _mm256_set1_epi32(-0x10000)))};
#elif defined(TW_SIMD_X86)
  return {_mm_castsi128_ps(_mm_and_si128(x.v, _mm_set1_epi32(-0x10000)))};
#else
  F32 r;
  for (int i = 0; i < 4; ++i) r.v[i] = __builtin_bit_cast(float, static_cast<uint32_t>(x.v.v[i]) & 0xFFFF0000u);
  return r;
#endif
}

// kLanes bfloat16 as floats; the first n of them.
TW_SIMD_INLINE F32 load_bfloat16(const uint16_t* p) {
#if TW_ISA_LEVEL >= 2
  return lower_bfloat16({_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))});
#elif TW_ISA_LEVEL == 1
  return lower_bfloat16({_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))});
#elif defined(TW_SIMD_X86)
  return lower_bfloat16({_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))});
#else
  return lower_bfloat16({{{p[0], p[1], p[2], p[3]}}});
#endif
}
TW_SIMD_INLINE F32 load_bfloat16_part(const uint16_t* p, int64_t n) {
  uint16_t t[F32::kLanes] = {};
  std::memcpy(t, p, static_cast<size_t>(n) * 2);
  return load_bfloat16(t);
}

// Stores kLanes floats rounded to the nearest bfloat16, ties to even; NaN stays NaN.
TW_SIMD_INLINE void store_bfloat16(F32 x, uint16_t* p) {
#if TW_ISA_LEVEL >= 2
  const __m512i u = _mm512_castps_si512(x.v), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  rounded = _mm512_mask_or_epi32(rounded, nan, _mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(rounded));
#elif TW_ISA_LEVEL == 1
  const __m256i u = _mm256_castps_si256(x.v), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(chosen, chosen), _MM_SHUFFLE(3, 1, 2, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
#else
  float t[F32::kLanes];
  x.store(t);
  for (int i = 0; i < F32::kLanes; ++i) {
    const uint32_t u = __builtin_bit_cast(uint32_t, t[i]), nan = (u & 0x7FFFFFFFu) > 0x7F800000u;
    p[i] = static_cast<uint16_t>(nan ? (u >> 16) | 0x40 : (u + 0x7FFF + ((u >> 16) & 1)) >> 16);
  }
#endif
}
TW_SIMD_INLINE void store_bfloat16_part(F32 x, uint16_t* p, int64_t n) {
  uint16_t t[F32::kLanes];
  store_bfloat16(x, t);
  std::memcpy(p, t, static_cast<size_t>(n) * 2);
}

// Pairs of bfloat16. Left and Right are what a word of A, for all columns, and a vector of words of B become once.
struct BFloat16Pairs {
  using Sum = F32;
#if defined(__AVX512BF16__) && TW_ISA_LEVEL >= 2
  static constexpr bool kNative = true;
  using Left = I32;
  using Right = I32;
  static TW_SIMD_INLINE Left left(int32_t word) { return I32::set(word); }
  static TW_SIMD_INLINE Right right(const float* p) { return I32::load(p); }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) {
    return {_mm512_dpbf16_ps(sum.v, __builtin_bit_cast(__m512bh, b.v), __builtin_bit_cast(__m512bh, a.v))};
  }
#else
  static constexpr bool kNative = false;
  struct Left {
    F32 lower, upper;
  };
  using Right = Left;
  static TW_SIMD_INLINE Left left(int32_t word) {
    const I32 all = I32::set(word);
    return {lower_bfloat16(all), upper_bfloat16(all)};
  }
  static TW_SIMD_INLINE Right right(const float* p) {
    const I32 words = I32::load(p);
    return {lower_bfloat16(words), upper_bfloat16(words)};
  }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) { return fma(a.lower, b.lower, fma(a.upper, b.upper, sum)); }
#endif
  static TW_SIMD_INLINE Sum zero() { return F32::set(0); }
};

// Quadruples of unsigned bytes of A and signed ones of B.
struct ByteQuadruples {
  using Sum = I32;
#if defined(__AVX512VNNI__) && TW_ISA_LEVEL >= 2
  static constexpr bool kNative = true;
  using Left = I32;
  using Right = I32;
  static TW_SIMD_INLINE Left left(int32_t word) { return I32::set(word); }
  static TW_SIMD_INLINE Right right(const float* p) { return I32::load(p); }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) { return {_mm512_dpbusd_epi32(sum.v, a.v, b.v)}; }
#elif defined(__AVXVNNI__) && TW_ISA_LEVEL == 1
  static constexpr bool kNative = true;
  using Left = I32;
  using Right = I32;
  static TW_SIMD_INLINE Left left(int32_t word) { return I32::set(word); }
  static TW_SIMD_INLINE Right right(const float* p) { return I32::load(p); }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) { return {_mm256_dpbusd_avx_epi32(sum.v, a.v, b.v)}; }
#elif defined(TW_SIMD_X86)
  // As 16-bit integers, bytes 0 and 2 apart from 1 and 3: the instruction that multiplies bytes saturates.
  static constexpr bool kNative = false;
  struct Left {
    IntegerVector even, odd;
  };
  using Right = Left;
#if TW_ISA_LEVEL >= 2
  static TW_SIMD_INLINE Left left(int32_t word) {
    return {_mm512_set1_epi32(word & 0x00FF00FF), _mm512_set1_epi32((word >> 8) & 0x00FF00FF)};
  }
  static TW_SIMD_INLINE Right right(const float* p) {
    const __m512i b = _mm512_loadu_si512(p);
    return {_mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8), _mm512_srai_epi16(b, 8)};
  }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) {
    const __m512i even = _mm512_madd_epi16(a.even, b.even), odd = _mm512_madd_epi16(a.odd, b.odd);
    return {_mm512_add_epi32(sum.v, _mm512_add_epi32(even, odd))};
  }
#elif TW_ISA_LEVEL == 1
  static TW_SIMD_INLINE Left left(int32_t word) {
    return {_mm256_set1_epi32(word & 0x00FF00FF), _mm256_set1_epi32((word >> 8) & 0x00FF00FF)};
  }
  static TW_SIMD_INLINE Right right(const float* p) {
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8), _mm256_srai_epi16(b, 8)};
  }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) {
    const __m256i even = _mm256_madd_epi16(a.even, b.even), odd = _mm256_madd_epi16(a.odd, b.odd);
    return {_mm256_add_epi32(sum.v, _mm256_add_epi32(even, odd))};
  }
#else
  static TW_SIMD_INLINE Left left(int32_t word) {
    return {_mm_set1_epi32(word & 0x00FF00FF), _mm_set1_epi32((word >> 8) & 0x00FF00FF)};
  }
  static TW_SIMD_INLINE Right right(const float* p) {
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm_srai_epi16(_mm_slli_epi16(b, 8), 8), _mm_srai_epi16(b, 8)};
  }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) {
    const __m128i even = _mm_madd_epi16(a.even, b.even), odd = _mm_madd_epi16(a.odd, b.odd);
    return {_mm_add_epi32(sum.v, _mm_add_epi32(even, odd))};
  }
#endif
#else
  static constexpr bool kNative = false;
  struct Left {
    int32_t word;
  };
  using Right = I32;
  static TW_SIMD_INLINE Left left(int32_t word) { return {word}; }
  static TW_SIMD_INLINE Right right(const float* p) { return I32::load(p); }
  static TW_SIMD_INLINE Sum add(Sum sum, Left a, Right b) {
    for (int i = 0; i < 4; ++i) {
      int32_t dot = 0;
      for (int j = 0; j < 32; j += 8)
        dot += static_cast<int32_t>(static_cast<uint8_t>(a.word >> j)) * static_cast<int8_t>(b.v.v[i] >> j);
      sum.v.v[i] = static_cast<int32_t>(static_cast<uint32_t>(sum.v.v[i]) + static_cast<uint32_t>(dot));
    }
    return sum;
  }
#endif
  static TW_SIMD_INLINE Sum zero() { return I32::set(0); }
};

}  // namespace tw::TW_ISA_NAMESPACE
