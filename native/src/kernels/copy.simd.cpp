// Transposing a matrix in blocks held in registers.
#include "kernels/copy.h"

#include "base/inline.h"

#if TW_X86
#include <immintrin.h>
#endif

namespace tw::TW_ISA_NAMESPACE {
namespace {

struct Sixteen {
  uint64_t low, high;
};

// How a block of kSize x kSize elements is transposed; the plain one relies on the compiler.
template <typename T>
struct Block {
  static constexpr int kSize = 8;
  TW_INLINE void run(const T* s, int64_t ss, T* d, int64_t ds) {
    for (int j = 0; j < kSize; ++j)
      for (int i = 0; i < kSize; ++i) d[j * ds + i] = s[i * ss + j];
  }
};

#if TW_X86
TW_INLINE __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
TW_INLINE void store128(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

template <>
struct Block<uint8_t> {
  static constexpr int kSize = 8;
  TW_INLINE __m128i row(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  TW_INLINE void run(const uint8_t* s, int64_t ss, uint8_t* d, int64_t ds) {
    const __m128i a = _mm_unpacklo_epi8(row(s), row(s + ss)), b = _mm_unpacklo_epi8(row(s + 2 * ss), row(s + 3 * ss));
    const __m128i c = _mm_unpacklo_epi8(row(s + 4 * ss), row(s + 5 * ss)),
                  e = _mm_unpacklo_epi8(row(s + 6 * ss), row(s + 7 * ss));
    const __m128i ab0 = _mm_unpacklo_epi16(a, b), ab1 = _mm_unpackhi_epi16(a, b);
    const __m128i ce0 = _mm_unpacklo_epi16(c, e), ce1 = _mm_unpackhi_epi16(c, e);
    const __m128i out[4] = {_mm_unpacklo_epi32(ab0, ce0), _mm_unpackhi_epi32(ab0, ce0), _mm_unpacklo_epi32(ab1, ce1),
                            _mm_unpackhi_epi32(ab1, ce1)};
    for (int k = 0; k < 4; ++k) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(d + 2 * k * ds), out[k]);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(d + (2 * k + 1) * ds), _mm_unpackhi_epi64(out[k], out[k]));
    }
  }
};

template <>
struct Block<uint16_t> {
  static constexpr int kSize = 8;
  TW_INLINE void run(const uint16_t* s, int64_t ss, uint16_t* d, int64_t ds) {
    __m128i a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = load128(s + i * ss);
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
      b[2 * i + 1] = _mm_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
    }
    for (int h = 0; h < 2; ++h)      // rows 0-3, 4-7
      for (int k = 0; k < 2; ++k) {  // columns 0-3, 4-7
        a[4 * h + 2 * k] = _mm_unpacklo_epi32(b[4 * h + k], b[4 * h + 2 + k]);
        a[4 * h + 2 * k + 1] = _mm_unpackhi_epi32(b[4 * h + k], b[4 * h + 2 + k]);
      }
    for (int k = 0; k < 4; ++k) {
      store128(d + 2 * k * ds, _mm_unpacklo_epi64(a[k], a[4 + k]));
      store128(d + (2 * k + 1) * ds, _mm_unpackhi_epi64(a[k], a[4 + k]));
    }
  }
};

#if TW_ISA_LEVEL >= 1
template <>
struct Block<uint32_t> {
  static constexpr int kSize = 8;
  TW_INLINE void run(const uint32_t* s, int64_t ss, uint32_t* d, int64_t ds) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(s + i * ss));
    for (int i = 0; i < 4; ++i) {
      b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
      b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    for (int h = 0; h < 2; ++h)
      for (int k = 0; k < 2; ++k) {
        a[4 * h + 2 * k] = _mm256_shuffle_ps(b[4 * h + k], b[4 * h + 2 + k], 0x44);
        a[4 * h + 2 * k + 1] = _mm256_shuffle_ps(b[4 * h + k], b[4 * h + 2 + k], 0xEE);
      }
    for (int k = 0; k < 4; ++k) {
      _mm256_storeu_ps(reinterpret_cast<float*>(d + k * ds), _mm256_permute2f128_ps(a[k], a[4 + k], 0x20));
      _mm256_storeu_ps(reinterpret_cast<float*>(d + (4 + k) * ds), _mm256_permute2f128_ps(a[k], a[4 + k], 0x31));
    }
  }
};
#else
template <>
struct Block<uint32_t> {
  static constexpr int kSize = 4;
  TW_INLINE void run(const uint32_t* s, int64_t ss, uint32_t* d, int64_t ds) {
    const __m128i a = load128(s), b = load128(s + ss), c = load128(s + 2 * ss), e = load128(s + 3 * ss);
    const __m128i ab0 = _mm_unpacklo_epi32(a, b), ab1 = _mm_unpackhi_epi32(a, b);
    const __m128i ce0 = _mm_unpacklo_epi32(c, e), ce1 = _mm_unpackhi_epi32(c, e);
    store128(d, _mm_unpacklo_epi64(ab0, ce0));
    store128(d + ds, _mm_unpackhi_epi64(ab0, ce0));
    store128(d + 2 * ds, _mm_unpacklo_epi64(ab1, ce1));
    store128(d + 3 * ds, _mm_unpackhi_epi64(ab1, ce1));
  }
};
#endif
#endif

template <typename T>
void transpose(const void* src, int64_t ss, void* dst, int64_t ds, int64_t rows, int64_t columns) {
  constexpr int64_t kSize = Block<T>::kSize;
  const T* s = static_cast<const T*>(src);
  T* d = static_cast<T*>(dst);
  const int64_t full_rows = rows / kSize * kSize, full_columns = columns / kSize * kSize;
  // A band of source columns at a time: the destination rows it fills stay in the cache.
  for (int64_t j = 0; j < full_columns; j += kSize)
    for (int64_t i = 0; i < full_rows; i += kSize) Block<T>::run(s + i * ss + j, ss, d + j * ds + i, ds);
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = j < full_columns ? full_rows : 0; i < rows; ++i) d[j * ds + i] = s[i * ss + j];
}

}  // namespace

const TransposeOps& transpose_ops() {
  static constexpr TransposeOps ops = {
      {transpose<uint8_t>, transpose<uint16_t>, transpose<uint32_t>, transpose<uint64_t>, transpose<Sixteen>}};
  return ops;
}

}  // namespace tw::TW_ISA_NAMESPACE
