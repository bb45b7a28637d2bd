// det and inverse of the square matrices in the last two dimensions, computed in double.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

// Brings row-major `a` (n x columns) to reduced form by Gauss-Jordan with partial pivoting; the left square's determinant.
double eliminate(double* a, int64_t n, int64_t columns) {
  double determinant = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * columns + k]) > std::abs(a[pivot * columns + k])) pivot = i;
    const double value = a[pivot * columns + k];
    if (value == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(a + k * columns, a + (k + 1) * columns, a + pivot * columns);
      determinant = -determinant;
    }
    determinant *= value;
    for (int64_t j = k; j < columns; ++j) a[k * columns + j] /= value;
    for (int64_t i = 0; i < n; ++i) {
      const double factor = a[i * columns + k];
      if (i == k || factor == 0) continue;
      for (int64_t j = k; j < columns; ++j) a[i * columns + j] -= factor * a[k * columns + j];
    }
  }
  return determinant;
}

class Matrix final : public Kernel {
 public:
  Matrix(const StepInfo& step, bool invert) : invert_(invert) { visit_float(invert ? "inverse" : "det", step.inputs[0].dtype, [](auto) {}); }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    expect_rank("x", x, 2, kMaxRank);
    expect(x.dims[x.rank - 1] == x.dims[x.rank - 2], "x does not hold square matrices");
    expect_dims("the output", outputs[0], {x.dims, static_cast<size_t>(invert_ ? x.rank : x.rank - 2)});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int64_t n = x.dims[x.rank - 1], count = product(x.dims, 0, x.rank - 2), columns = invert_ ? 2 * n : n;
    visit_float("matrix", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      context.pool.parallel_ranges(count, std::max<int64_t>(1, 4096 / (n * n * n + 1)), [&](int64_t begin, int64_t end, int) {
        std::vector<double> a(static_cast<size_t>(n * columns));
        for (int64_t m = begin; m < end; ++m) {
          std::fill(a.begin(), a.end(), 0.0);
          for (int64_t i = 0; i < n; ++i) {
            for (int64_t j = 0; j < n; ++j) a[static_cast<size_t>(i * columns + j)] = static_cast<double>(x.as<T>()[(m * n + i) * n + j]);
            if (invert_) a[static_cast<size_t>(i * columns + n + i)] = 1;
          }
          const double determinant = eliminate(a.data(), n, columns);
          if (!invert_) {
            outputs[0].as<T>()[m] = static_cast<T>(determinant);
            continue;
          }
          if (determinant == 0) throw Error(Code::kInvalidArgument, "inverse: matrix " + std::to_string(m) + " is singular");
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) outputs[0].as<T>()[(m * n + i) * n + j] = static_cast<T>(a[static_cast<size_t>(i * columns + n + j)]);
        }
      });
    });
  }

 private:
  bool invert_;
};

template <bool invert>
std::unique_ptr<Kernel> make_matrix(const StepInfo& step) {
  return std::make_unique<Matrix>(step, invert);
}

}  // namespace

void register_matrix() {
  register_kernel("det", adapted<make_matrix<false>, kDenseNumbers, Signature{}>);
  register_kernel("inverse", adapted<make_matrix<true>, kDenseNumbers, Signature{}>);
}

}  // namespace tw
