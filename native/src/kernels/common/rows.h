// A tensor seen as rows: some of its axes enumerate the rows, the others the elements of one.
#pragma once
#include <span>

#include "base/tensor.h"
#include "kernels/common/shape.h"

namespace tw {

// The tensor with the dims of a broadcast result; missing and single axes get stride 0.
inline Tensor broadcast_view(const Tensor& t, const int64_t* dims, int rank) {
  Tensor view = t;
  view.rank = rank;
  for (int i = 0; i < rank; ++i) {
    view.dims[i] = dims[i];
    view.strides[i] = broadcast_stride(t, rank, i);
  }
  return view;
}

template <typename T>
class Rows {
 public:
  // Element axes are `first` … `last`-1, in order; all other axes, in order, enumerate the rows.
  Rows(const Tensor& t, int first, int last) : data_(t.as<T>()) {
    for (int i = 0; i < t.rank; ++i) {
      Axes& axes = i >= first && i < last ? elements_ : rows_;
      axes.add(t.dims[i], t.strides[i]);
    }
  }
  int64_t count() const { return rows_.count; }
  int64_t length() const { return elements_.count; }
  // The elements of a row are `stride()` apart; only where even().
  bool even() const { return elements_.rank <= 1; }
  int64_t stride() const { return elements_.rank ? elements_.strides[0] : 1; }
  bool dense() const { return elements_.rank == 0 || (elements_.rank == 1 && elements_.strides[0] == 1); }

  T* at(int64_t row) const { return data_ + rows_.offset(row); }
  // The row's elements side by side: in place where they lie so, else copied to `scratch`.
  const T* read(int64_t row, T* scratch) const {
    if (dense()) return at(row);
    const T* p = at(row);
    each([&](int64_t i, int64_t offset) { scratch[i] = p[offset]; });
    return scratch;
  }
  // Where to put the row's elements; then call written().
  T* place(int64_t row, T* scratch) const { return dense() ? at(row) : scratch; }
  void written(int64_t row, const T* scratch) const {
    if (dense()) return;
    T* p = at(row);
    each([&](int64_t i, int64_t offset) { p[offset] = scratch[i]; });
  }

 private:
  struct Axes {
    int rank = 0;
    int64_t count = 1, dims[kMaxRank], strides[kMaxRank];
    void add(int64_t dim, int64_t stride) {
      count *= dim;
      if (dim == 1) return;
      if (rank && strides[rank - 1] == stride * dim) {  // steps evenly from the axis before
        dims[rank - 1] *= dim;
        strides[rank - 1] = stride;
        return;
      }
      dims[rank] = dim;
      strides[rank++] = stride;
    }
    int64_t offset(int64_t linear) const {
      if (rank == 1) return linear * strides[0];
      int64_t offset = 0;
      for (int i = rank - 1; i >= 0; --i) {
        offset += linear % dims[i] * strides[i];
        linear /= dims[i];
      }
      return offset;
    }
  };
  template <typename F>
  void each(F&& fn) const {
    if (elements_.count == 0) return;
    if (elements_.rank == 1) {
      for (int64_t i = 0; i < elements_.count; ++i) fn(i, i * elements_.strides[0]);
      return;
    }
    Walk<1> walk;
    for (int i = 0; i < elements_.rank; ++i) walk.add(elements_.dims[i], {elements_.strides[i]});
    walk.seek(0);
    for (int64_t i = 0; i < elements_.count; ++i, walk.next()) fn(i, walk.offset[0]);
  }

  T* data_;
  Axes rows_, elements_;
};

}  // namespace tw
