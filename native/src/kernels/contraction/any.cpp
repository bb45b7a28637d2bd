#include "kernels/contraction/any.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/shape.h"

namespace tw {
namespace {

constexpr int64_t kRows = 8, kColumns = 32;

// Integer sums are kept unsigned: they wrap.
template <typename F>
void visit_sum(DType sum, F&& fn) {
  switch (sum) {
    case DType::kFloat32:
      return fn(TypeTag<float>{});
    case DType::kFloat64:
      return fn(TypeTag<double>{});
    case DType::kInt32:
    case DType::kUInt32:
      return fn(TypeTag<uint32_t>{});
    default:
      return fn(TypeTag<uint64_t>{});
  }
}

template <typename Sum>
void multiply(const Sum* a, const Sum* b, const Sum* start, int64_t rows, int64_t columns, int64_t k, Sum* c) {
  for (int64_t r = 0; r < rows; ++r) {
    Sum sums[kColumns];
    std::memcpy(sums, start, sizeof(sums));
    const Sum* row = a + r * k;
    if (columns == kColumns) {
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = 0; j < kColumns; ++j) sums[j] += row[i] * b[i * kColumns + j];
      }
    } else {
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = 0; j < columns; ++j) sums[j] += row[i] * b[i * columns + j];
      }
    }
    std::memcpy(c + r * kColumns, sums, sizeof(sums));
  }
}

}  // namespace

DType sum_dtype(DType a, DType b, DType out) {
  if (a == DType::kFloat64 || b == DType::kFloat64) return DType::kFloat64;
  if (info(a).domain == Domain::kF32) return DType::kFloat32;
  if (info(a).bits <= 32 && info(b).bits <= 32 && info(out).bits <= 32 && info(out).domain == Domain::kI64)
    return DType::kInt32;
  return info(out).domain == Domain::kU64 ? DType::kUInt64 : DType::kInt64;
}

const char* sum_domain(DType sum) {
  switch (info(sum).domain) {
    case Domain::kF32:
      return "f32";
    case Domain::kF64:
      return "f64";
    case Domain::kI64:
      return "i64";
    case Domain::kU64:
      return "u64";
  }
  return "f32";
}

void widen(const void* src, DType from, DType sum, const int64_t* rows, int64_t row_count, const int64_t* columns,
           int64_t column_count, void* dst, int64_t ld) {
  visit_sum(sum, [&](auto sum_tag) {
    using Sum = typename decltype(sum_tag)::type;
    visit_number("dot_any", from, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* p = static_cast<const T*>(src);
      for (int64_t i = 0; i < row_count; ++i) {
        Sum* out = static_cast<Sum*>(dst) + i * ld;
        for (int64_t j = 0; j < column_count; ++j)
          out[j] = rows[i] == kNowhere ? Sum{0} : static_cast<Sum>(p[rows[i] + columns[j]]);
      }
    });
  });
}

size_t any_lane_bytes(const GemmShape& s) { return static_cast<size_t>((kRows + kColumns) * (s.k + kColumns)) * 8; }

void run_any(ThreadPool& pool, std::byte* workspace, const GemmShape& s, DType sum, const AnySources& sources,
             const Sink& sink) {
  if (s.batch == 0 || s.m == 0 || s.n == 0) return;
  const int64_t n_parts = (s.n + kColumns - 1) / kColumns, tiles = (s.m + kRows - 1) / kRows;
  const int64_t m_parts = std::clamp<int64_t>(4 * pool.threads() / (s.batch * n_parts), 1, tiles);
  pool.parallel_for(s.batch * n_parts * m_parts, [&](int64_t task, int lane) {
    visit_sum(sum, [&](auto tag) {
      using Sum = typename decltype(tag)::type;
      const int64_t part = task % m_parts, n = task / m_parts % n_parts * kColumns, batch = task / m_parts / n_parts;
      const int64_t columns = std::min(kColumns, s.n - n);
      Sum* a = reinterpret_cast<Sum*>(workspace + static_cast<size_t>(lane) * any_lane_bytes(s));
      Sum* b = a + kRows * s.k;
      Sum* c = b + kColumns * s.k;
      Sum start[kColumns] = {};
      if (sources.bias) sources.bias(batch, n, columns, start);
      sources.b(batch, n, columns, b);
      for (int64_t tile = tiles * part / m_parts; tile < tiles * (part + 1) / m_parts; ++tile) {
        const int64_t m = tile * kRows, rows = std::min(kRows, s.m - m);
        sources.a(batch, m, rows, a);
        multiply(a, b, start, rows, columns, s.k, c);
        run_tape(sink, batch, m, static_cast<int>(rows), n, n + columns, {c, sum, 1}, kColumns);
      }
    });
  });
}

}  // namespace tw
