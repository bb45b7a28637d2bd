#include "kernels/contraction/word_loops.h"

#include "kernels/contraction/tile.h"
#include "kernels/simd/words.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

void flip(uint8_t* bytes, int64_t n) {
  for (int64_t i = 0; i < n; ++i) bytes[i] ^= 0x80;
}

void add_row_sums(const float* a, int64_t lda, int rows, int64_t k, int32_t* sums) {
  for (int r = 0; r < rows; ++r) {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(a + r * lda);
    uint32_t sum = 0;
    for (int64_t i = 0; i < 4 * k; ++i) sum += bytes[i];
    sums[r] = static_cast<int32_t>(static_cast<uint32_t>(sums[r]) + sum);
  }
}

void add_column_sums(const float* b, int64_t width, int64_t k, int32_t* sums) {
  const ByteQuadruples::Left ones = ByteQuadruples::left(0x01010101);
  for (int64_t j = 0; j < width; j += I32::kLanes) {
    I32 sum = I32::load(sums + j);
    for (int64_t i = 0; i < k; ++i) sum = ByteQuadruples::add(sum, ones, ByteQuadruples::right(b + i * width + j));
    sum.store(sums + j);
  }
}

void finish_sums(float* sums, int64_t n, int32_t row, const int32_t* column, bool to_float) {
  for (int64_t j = 0; j < n; ++j) {
    int32_t x;
    std::memcpy(&x, sums + j, 4);
    x = static_cast<int32_t>(static_cast<uint32_t>(x) + static_cast<uint32_t>(row) + static_cast<uint32_t>(column[j]));
    const float f = static_cast<float>(x);
    int32_t bits;
    std::memcpy(&bits, &f, 4);
    bits = to_float ? bits : x;
    std::memcpy(sums + j, &bits, 4);
  }
}

void narrow(const float* from, int64_t n, uint16_t* to) {
  constexpr int W = F32::kLanes;
  int64_t i = 0;
  for (; i + W <= n; i += W) store_bfloat16(F32::load(from + i), to + i);
  if (i < n) store_bfloat16_part(F32::load_part(from + i, n - i, 0), to + i, n - i);
}

void widen(const uint16_t* from, int64_t n, float* to) {
  constexpr int W = F32::kLanes;
  int64_t i = 0;
  for (; i + W <= n; i += W) load_bfloat16(from + i).store(to + i);
  if (i < n) load_bfloat16_part(from + i, n - i).store_part(to + i, n - i);
}

template <int PER, typename T>
void pack_panel(const T* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, T flip, T* dst) {
  const int64_t width = columns <= 16 ? 16 : 32;
  for (int64_t first = 0; first < k; first += PER, dst += width * PER, src += PER * k_stride) {
    const int64_t elements = k - first < PER ? k - first : PER;
    if (elements < PER || columns < width) std::memset(dst, 0, static_cast<size_t>(width * PER) * sizeof(T));
    if (elements == PER && n_stride == 1) {
      for (int64_t j = 0; j < columns; ++j) {
        for (int p = 0; p < PER; ++p) dst[j * PER + p] = static_cast<T>(src[p * k_stride + j] ^ flip);
      }
    } else {
      for (int64_t j = 0; j < columns; ++j) {
        for (int64_t p = 0; p < elements; ++p)
          dst[j * PER + p] = static_cast<T>(src[p * k_stride + j * n_stride] ^ flip);
      }
    }
  }
}

void pack_pairs(const uint16_t* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, uint16_t* dst) {
  pack_panel<2, uint16_t>(src, k_stride, n_stride, k, columns, 0, dst);
}

void pack_bytes(const uint8_t* src, int64_t k_stride, int64_t n_stride, int64_t k, int64_t columns, uint8_t flip,
                uint8_t* dst) {
  pack_panel<4, uint8_t>(src, k_stride, n_stride, k, columns, flip, dst);
}

}  // namespace

const WordLoops& word_loops() {
  static constexpr WordLoops table = {flip,   add_row_sums, add_column_sums, finish_sums,
                                      narrow, widen, pack_pairs,   pack_bytes};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
