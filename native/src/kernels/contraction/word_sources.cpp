#include "kernels/contraction/word_sources.h"

#include <cstring>

#include "kernels/contraction/strided.h"
#include "kernels/contraction/word_loops.h"

namespace tw {
namespace {

std::vector<int64_t> offsets(const Space& space, int64_t begin, int64_t end) {
  std::vector<int64_t> list;
  list.reserve(static_cast<size_t>(end - begin));
  for (int64_t i = begin; i < end; ++i) list.push_back(space.offset(i, 0));
  return list;
}

// Calls fn with a null pointer to the unsigned integer of this many bits.
template <typename F>
void visit_width(DType dtype, F&& fn) {
  if (info(dtype).bits == 16)
    fn(static_cast<const uint16_t*>(nullptr));
  else
    fn(static_cast<const uint8_t*>(nullptr));
}

// Makes rows of scratch end in zeros and, of int8, unsigned.
void complete_rows(DType dtype, float* scratch, int64_t ld, int rows, int64_t elements, int64_t kc) {
  const int64_t bytes = info(dtype).bits / 8;
  for (int r = 0; r < rows; ++r) {
    uint8_t* row = reinterpret_cast<uint8_t*>(scratch + r * ld);
    if (dtype == DType::kInt8) word_loops().flip(row, elements);
    std::memset(row + elements * bytes, 0, static_cast<size_t>(4 * kc - elements * bytes));
  }
}

// Elements [k, k + kc), which begin a word, of columns [n, n + columns).
void pack_panel(const WordMatrix& m, const std::vector<int64_t>& k_offsets, int64_t batch, int64_t k, int64_t kc,
                int64_t n, int64_t columns, float* out) {
  const std::byte* base = m.at(m.batch.offset(batch, 0));
  const uint8_t flip = m.dtype == DType::kUInt8 ? 0x80 : 0;
  const int64_t bytes = info(m.dtype).bits / 8;
  if (k_offsets.empty() && m.lines.is_line()) {
    const int64_t k_stride = m.k.inner(0), n_stride = m.lines.inner(0);
    const std::byte* src = base + (m.k.offset(k, 0) + m.lines.offset(n, 0)) * bytes;
    if (k_stride == 1 && n_stride * bytes % 4 == 0 && kc * bytes % 4 == 0 && !flip) {
      // Words lie whole.
      tile_table().pack_panel(reinterpret_cast<const float*>(src), 1, n_stride * bytes / 4, kc * bytes / 4, columns,
                              out);
    } else if (bytes == 2) {
      word_loops().pack_pairs(reinterpret_cast<const uint16_t*>(src), k_stride, n_stride, kc, columns,
                              reinterpret_cast<uint16_t*>(out));
    } else {
      word_loops().pack_bytes(reinterpret_cast<const uint8_t*>(src), k_stride, n_stride, kc, columns, flip,
                              reinterpret_cast<uint8_t*>(out));
    }
    return;
  }
  const int64_t width = panel_width(columns), per = word_elements(m.words());
  const std::vector<int64_t> lines = offsets(m.lines, n, n + columns);
  visit_width(m.dtype, [&](auto tag) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(tag)>>;
    const T* src = reinterpret_cast<const T*>(base);
    T* dst = reinterpret_cast<T*>(out);
    std::memset(out, 0, static_cast<size_t>((kc + per - 1) / per * width) * 4);
    for (int64_t i = 0; i < kc; ++i) {
      const int64_t from = k_offsets.empty() ? m.k.offset(k + i, 0) : k_offsets[static_cast<size_t>(k + i)];
      T* to = dst + i / per * width * per + i % per;
      for (int64_t j = 0; j < columns; ++j)
        to[j * per] = static_cast<T>(src[from + lines[static_cast<size_t>(j)]] ^ flip);
    }
  });
}

}  // namespace

Words words_of(DType dtype) {
  if (dtype == DType::kBFloat16) return Words::kBFloat16;
  require(dtype == DType::kInt8 || dtype == DType::kUInt8, Code::kInvalidPlan,
          "products of narrow elements are of bfloat16, int8 and uint8");
  return Words::kInt8;
}

const float* WordRows::rows(int64_t batch, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                            int64_t& ld) const {
  const int64_t per = word_elements(matrix_.words()), bytes = info(matrix_.dtype).bits / 8;
  const int64_t first = k * per, elements = std::min(kc * per, depth_ - first);
  const int64_t base = matrix_.batch.offset(batch, 0);
  const Space &row_space = matrix_.lines, &k_space = matrix_.k;
  if (k_space.is_unit_line(0) && row_space.is_line() && elements == kc * per && matrix_.dtype != DType::kInt8) {
    const int64_t stride = row_space.inner(0) * bytes;
    if (rows == 1 || (stride % 4 == 0 && stride % kAliasBytes != 0)) {
      ld = stride / 4;
      return reinterpret_cast<const float*>(matrix_.at(base + row_space.offset(m, 0) + first));
    }
  }
  const auto copy = [&](auto tag) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(tag)>>;
    T* dst = reinterpret_cast<T*>(scratch);
    const int64_t dst_row = ld * per;
    for_lines(row_space, m, rows, [&](int64_t row, int64_t row_end, int64_t row_offset) {
      for_lines(k_space, first, elements, [&](int64_t i, int64_t end, int64_t k_offset) {
        const T* src = reinterpret_cast<const T*>(matrix_.at(base + row_offset + k_offset));
        const int64_t row_stride = row_space.inner(0), k_stride = k_space.inner(0), count = end - i;
        T* to = dst + (row - m) * dst_row + i - first;
        for (int64_t r = 0; r < row_end - row; ++r, src += row_stride, to += dst_row) {
          if (k_stride == 1) {
            std::memcpy(to, src, static_cast<size_t>(count) * sizeof(T));
          } else {
            for (int64_t j = 0; j < count; ++j) to[j] = src[j * k_stride];
          }
        }
      });
    });
  };
  visit_width(matrix_.dtype, copy);
  complete_rows(matrix_.dtype, scratch, ld, rows, elements, kc);
  return scratch;
}

const float* ConvWordRows::rows(int64_t group, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                                int64_t& ld) const {
  const int64_t per = word_elements(words_of(x_.dtype));
  const int64_t first = k * per, elements = std::min(kc * per, depth_ - first);
  const int64_t offset = group * geometry_.channels * geometry_.x_channel;
  const ConvRowsTable& table = conv_rows_table();
  if (per == 2) {
    table.gather_pairs(runs_.gather(), x_.as<uint16_t>() + offset, m, rows, first, elements,
                       reinterpret_cast<uint16_t*>(scratch), ld * per);
  } else {
    table.gather_bytes(runs_.gather(), x_.as<uint8_t>() + offset, m, rows, first, elements,
                       reinterpret_cast<uint8_t*>(scratch), ld * per);
  }
  complete_rows(x_.dtype, scratch, ld, rows, elements, kc);
  return scratch;
}

WordPanels::WordPanels(const WordMatrix& matrix) : matrix_(matrix), n_(matrix.lines.count()) {
  if (!matrix.k.is_line()) k_offsets_ = offsets(matrix.k, 0, matrix.k.count());
}

Panels WordPanels::block(int64_t batch, int64_t k, int64_t kc, int64_t n, int64_t nc, float* scratch) const {
  const int64_t per = word_elements(matrix_.words()), elements = std::min(kc * per, matrix_.k.count() - k * per);
  for (int64_t j = 0; j < nc; j += kPanel) {
    pack_panel(matrix_, k_offsets_, batch, k * per, elements, n + j, std::min(kPanel, n_ - n - j), scratch + j * kc);
  }
  return {scratch, kPanel * kc, 0};
}

void PackedWords::check(const Tensor& packed) const {
  require(packed.dtype == DType::kUInt8 && packed.rank >= 0 && packed.contiguous() && packed.count() == bytes(),
          Code::kInvalidPlan, "packed weights have the wrong size");
}

void pack_words(const WordMatrix& m, std::byte* out, ThreadPool& pool) {
  const PackedWords shape{m.words(), m.batch.count(), m.k.count(), m.lines.count()};
  const std::vector<int64_t> k_offsets = m.k.is_line() ? std::vector<int64_t>{} : offsets(m.k, 0, shape.k);
  const int64_t panels = (shape.columns + kPanel - 1) / kPanel, words = word_count(shape.words, shape.k);
  float* const first = reinterpret_cast<float*>(out);
  int32_t* const sums = reinterpret_cast<int32_t*>(first + shape.batch * shape.panel_words());
  pool.parallel_for(shape.batch * panels, [&](int64_t task, int) {
    const int64_t batch = task / panels, n = task % panels * kPanel, columns = std::min(kPanel, shape.columns - n);
    float* panel = first + batch * shape.panel_words() + n * words;
    pack_panel(m, k_offsets, batch, 0, shape.k, n, columns, panel);
    if (shape.words != Words::kInt8) return;
    int32_t* own = sums + batch * padded_columns(shape.columns) + n;
    std::memset(own, 0, static_cast<size_t>(panel_width(columns)) * 4);
    word_loops().add_column_sums(panel, panel_width(columns), words, own);
  });
}

}  // namespace tw
