// Sources of A and B over strided tensors.
#pragma once
#include "kernels/contraction/gemm.h"

namespace tw {

// Rows this many bytes apart meet in few sets of the first-level cache, so tiles of them are copied.
constexpr int64_t kAliasBytes = 2048;

// Calls fn(begin, end, offset of begin) for the pieces of [first, first + count) that lie within one innermost line.
template <typename F>
void for_lines(const Space& space, int64_t first, int64_t count, F&& fn) {
  const int64_t line = space.is_line() ? first + count : space.size[space.rank - 1];
  for (int64_t i = first, end; i < first + count; i = end) {
    end = std::min(first + count, line > 0 ? i / line * line + line : first + count);
    fn(i, end, space.offset(i, 0));
  }
}

class StridedRows final : public RowSource {
 public:
  StridedRows(const float* data, const Space& batch, const Space& rows, const Space& k)
      : data_(data), batch_(batch), rows_(rows), k_(k) {}
  const float* rows(int64_t batch, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                    int64_t& ld) const override;

 private:
  const float* data_;
  Space batch_, rows_, k_;
};

// Packs each block when it is asked for.
class StridedPanels final : public PanelSource {
 public:
  StridedPanels(const float* data, const Space& batch, const Space& k, const Space& columns)
      : data_(data), batch_(batch), k_(k), columns_(columns), n_(columns.count()) {}
  bool needs_scratch() const override { return true; }
  Panels block(int64_t batch, int64_t k, int64_t kc, int64_t n, int64_t nc, float* scratch) const override;

 private:
  const float* data_;
  Space batch_, k_, columns_;
  int64_t n_;
};

// One panel from a matrix of any strides: rows [k, k + kc) of columns [n, n + columns).
void pack_strided_panel(const float* data, const Space& k_space, const Space& column_space, int64_t k, int64_t kc,
                        int64_t n, int64_t columns, float* out);

// All panels of all batches, as PackedPanels reads them.
void pack_panels(const float* data, const Space& batch, const Space& k, const Space& columns, float* out,
                 ThreadPool& pool);

}  // namespace tw
