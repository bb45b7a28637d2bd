// Products of elements of any dtype: both operands are widened into the type of the sums, block by block. Not fast, but
// threaded, and free of conversions of whole tensors.
#pragma once
#include <functional>

#include "kernels/contraction/gemm.h"

namespace tw {

// Sums of these inputs: float32 and float64 in themselves, integers of at most 32 bits in 32 bits when the output is of
// that size, other integers in 64 bits. All integer sums wrap.
DType sum_dtype(DType a, DType b, DType out);
// The domain of a tape that stores such sums as they are.
const char* sum_domain(DType sum);

// Writes elements, widened to the sum's type, at dst[i * ld + j].
struct AnySources {
  // Rows [m, m + rows), all k of them: dst[row * k + i].
  std::function<void(int64_t batch, int64_t m, int64_t rows, void* dst)> a;
  // All k, columns [n, n + columns): dst[i * columns + column].
  std::function<void(int64_t batch, int64_t n, int64_t columns, void* dst)> b;
  // One value a column that the sums begin with; empty for zeros.
  std::function<void(int64_t batch, int64_t n, int64_t columns, void* dst)> bias;
};

size_t any_lane_bytes(const GemmShape& shape);
void run_any(ThreadPool& pool, std::byte* workspace, const GemmShape& shape, DType sum, const AnySources& sources,
             const Sink& sink);

// dst[i * ld + j] = src[rows[i] + columns[j]], or 0 where rows[i] is kNowhere.
constexpr int64_t kNowhere = INT64_MIN;
void widen(const void* src, DType from, DType sum, const int64_t* rows, int64_t row_count, const int64_t* columns,
           int64_t column_count, void* dst, int64_t ld);

}  // namespace tw
