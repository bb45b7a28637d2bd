// An index space shared by several operands: the rows, columns or batches of a contraction.
#pragma once
#include <algorithm>

#include "base/error.h"
#include "base/tensor.h"

namespace tw {

struct Space {
  static constexpr int kOperands = 12;
  int operands = 0;
  int rank = 0;
  int64_t size[kMaxRank] = {};
  int64_t stride[kOperands][kMaxRank] = {};

  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= size[i];
    return n;
  }
  // Appends an inner dimension; merges it into the one outside where every operand allows.
  void add(int64_t dim, const int64_t* strides) {
    if (dim == 1) return;
    bool merge = rank > 0;
    for (int t = 0; t < operands && merge; ++t) merge = stride[t][rank - 1] == strides[t] * dim;
    if (!merge) ++rank;
    size[rank - 1] = merge ? size[rank - 1] * dim : dim;
    for (int t = 0; t < operands; ++t) stride[t][rank - 1] = strides[t];
  }
  int64_t offset(int64_t linear, int operand) const {
    int64_t o = 0;
    for (int i = rank - 1; i > 0; --i) {
      o += linear % size[i] * stride[operand][i];
      linear /= size[i];
    }
    return rank > 0 ? o + linear * stride[operand][0] : 0;
  }
  // Stride of the innermost dimension; 0 in a space of one element.
  int64_t inner(int operand) const { return rank > 0 ? stride[operand][rank - 1] : 0; }
  bool is_line() const { return rank <= 1; }
  // The line's stride is 1, or there is only one element.
  bool is_unit_line(int operand) const { return rank == 0 || (rank == 1 && stride[operand][0] == 1); }
};

}  // namespace tw
