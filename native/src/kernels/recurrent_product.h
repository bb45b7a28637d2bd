// The matrix products of recurrent layers: rows of x times the transpose of weights [n, k], packed once.
#pragma once
#include <algorithm>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/contraction/tile.h"

namespace tw {

// Only floats have packed panels; doubles are multiplied where they lie.
template <typename T>
class RecurrentProduct;

template <>
class RecurrentProduct<float> {
 public:
  void pack(const float* weights, int64_t n, int64_t k) {
    n_ = n, k_ = k;
    data_.resize(static_cast<size_t>(padded_columns(n) * k));
    for (int64_t j = 0; j < n; j += kPanel) tile_table().pack_panel(weights + j * k, 1, k, k, std::min(kPanel, n - j), &data_[static_cast<size_t>(j * k)]);
  }
  int64_t panels() const { return (n_ + kPanel - 1) / kPanel; }

  // y[r] += x[r] . weights for columns of panels [begin, end); rows of x lie `x_stride` apart, y has a pointer for each.
  // Products that alternate between the two directions find the weights last read still in the cache.
  void add(const float* x, int64_t x_stride, int64_t rows, float* const* y, int64_t begin, int64_t end,
           bool backwards = false) const {
    const TileTable& table = tile_table();
    TileArgs args{};
    args.lda = x_stride, args.k = k_, args.accumulate = true;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = (backwards ? begin + end - 1 - i : i) * kPanel;
      args.columns = static_cast<int>(std::min(kPanel, n_ - j));
      args.ldb = panel_width(args.columns);
      args.b = &data_[static_cast<size_t>(j * k_)];
      args.column = j;
      for (int64_t r = 0; r < rows; r += table.rows) {
        args.rows = static_cast<int>(std::min<int64_t>(table.rows, rows - r));
        args.a = x + r * x_stride;
        args.c = y + r;
        table.tile(args);
      }
    }
  }

 private:
  int64_t n_ = 0, k_ = 0;
  std::vector<float> data_;
};

template <>
class RecurrentProduct<double> {
 public:
  void pack(const double* weights, int64_t n, int64_t k) { weights_ = weights, n_ = n, k_ = k; }
  int64_t panels() const { return (n_ + kPanel - 1) / kPanel; }
  void add(const double* x, int64_t x_stride, int64_t rows, double* const* y, int64_t begin, int64_t end,
           bool = false) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = begin * kPanel; j < std::min(n_, end * kPanel); ++j)
        for (int64_t i = 0; i < k_; ++i) y[r][j] += x[r * x_stride + i] * weights_[j * k_ + i];
  }

 private:
  const double* weights_ = nullptr;
  int64_t n_ = 0, k_ = 0;
};

}  // namespace tw
