#include "kernels/contraction/strided.h"

namespace tw {
const float* StridedRows::rows(int64_t batch, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                               int64_t& ld) const {
  const float* base = data_ + batch_.offset(batch, 0);
  const auto& gather = tile_table().gather_rows;
  if (k_.is_unit_line(0) && rows_.is_line()) {
    const int64_t stride = rows_.inner(0);
    const float* first = base + rows_.offset(m, 0) + k;
    if (rows == 1 || stride * 4 % kAliasBytes != 0) {
      ld = stride;
      return first;
    }
    gather(first, stride, 1, rows, kc, scratch, ld);
    return scratch;
  }
  for_lines(rows_, m, rows, [&](int64_t row, int64_t row_end, int64_t row_offset) {
    for_lines(k_, k, kc, [&](int64_t column, int64_t column_end, int64_t offset) {
      gather(base + row_offset + offset, rows_.inner(0), k_.inner(0), row_end - row, column_end - column,
             scratch + (row - m) * ld + column - k, ld);
    });
  });
  return scratch;
}

void pack_strided_panel(const float* data, const Space& k_space, const Space& column_space, int64_t k, int64_t kc,
                        int64_t n, int64_t columns, float* out) {
  if (column_space.is_line()) {
    const int64_t width = panel_width(columns);
    for_lines(k_space, k, kc, [&](int64_t i, int64_t end, int64_t offset) {
      tile_table().pack_panel(data + offset + column_space.offset(n, 0), k_space.inner(0),
                              column_space.rank ? column_space.inner(0) : 1, end - i, columns, out + (i - k) * width);
    });
    return;
  }
  const int64_t width = panel_width(columns);
  int64_t offsets[kPanel];
  for (int64_t j = 0; j < columns; ++j) offsets[j] = column_space.offset(n + j, 0);
  for (int64_t i = 0; i < kc; ++i) {
    const float* row = data + k_space.offset(k + i, 0);
    for (int64_t j = 0; j < columns; ++j) out[i * width + j] = row[offsets[j]];
    for (int64_t j = columns; j < width; ++j) out[i * width + j] = 0;
  }
}

void pack_panels(const float* data, const Space& batch, const Space& k, const Space& columns, float* out,
                 ThreadPool& pool) {
  const int64_t depth = k.count(), n = columns.count(), panels = (n + kPanel - 1) / kPanel;
  pool.parallel_for(batch.count() * panels, [&](int64_t task, int) {
    const int64_t b = task / panels, column = task % panels * kPanel;
    pack_strided_panel(data + batch.offset(b, 0), k, columns, 0, depth, column, std::min(kPanel, n - column),
                       out + (b * padded_columns(n) + column) * depth);
  });
}

Panels StridedPanels::block(int64_t batch, int64_t k, int64_t kc, int64_t n, int64_t nc, float* scratch) const {
  const float* base = data_ + batch_.offset(batch, 0);
  for (int64_t j = 0; j < nc; j += kPanel) {
    pack_strided_panel(base, k_, columns_, k, kc, n + j, std::min(kPanel, n_ - n - j), scratch + j * kc);
  }
  return {scratch, kPanel * kc, 0};
}

}  // namespace tw
