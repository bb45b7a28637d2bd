// lrn{size, alpha, beta, bias}: y = x / (bias + alpha / size * sum of squares of the `size` channels around)^beta.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class Lrn final : public Kernel {
 public:
  explicit Lrn(const StepInfo& step)
      : size_(step.attributes.integer("size", 1)),
        alpha_(step.attributes.number("alpha", 1e-4)),
        beta_(step.attributes.number("beta", 0.75)),
        bias_(step.attributes.number("bias", 1)) {
    visit_float("lrn", step.inputs[0].dtype, [](auto) {});
    if (size_ < 1) throw Error(Code::kInvalidArgument, "lrn: size is " + std::to_string(size_) + ", expected at least 1");
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], 2, kMaxRank);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("lrn", inputs[0].dtype,
                [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs[0], outputs[0]); });
  }

 private:
  template <typename T>
  T power(T base) const {
    // The exponent of nearly every model: two square roots instead of a power.
    if (beta_ == 0.75) return T(1) / (std::sqrt(base) * std::sqrt(std::sqrt(base)));
    return std::pow(base, static_cast<T>(-beta_));
  }

  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& y) const {
    const int64_t c = x.dims[1], plane = product(x.dims, 2, x.rank), before = (size_ - 1) / 2, after = size_ - 1 - before;
    if (x.count() == 0) return;
    const T scale = static_cast<T>(alpha_ / static_cast<double>(size_)), bias = static_cast<T>(bias_);
    // Pieces of a plane, so that the channels around stay in cache.
    constexpr int64_t kPiece = 256;
    const int64_t pieces = (plane + kPiece - 1) / kPiece;
    context.pool.parallel_ranges(x.dims[0] * pieces, 1, [&](int64_t begin, int64_t end, int) {
      T sum[kPiece];
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task % pieces * kPiece, n = std::min(kPiece, plane - first);
        const T* in = x.as<T>() + task / pieces * c * plane + first;
        T* out = y.as<T>() + task / pieces * c * plane + first;
        for (int64_t k = 0; k < c; ++k) {
          std::fill_n(sum, n, T(0));
          for (int64_t j = std::max<int64_t>(0, k - before); j <= std::min(c - 1, k + after); ++j)
            for (int64_t i = 0; i < n; ++i) sum[i] += in[j * plane + i] * in[j * plane + i];
          for (int64_t i = 0; i < n; ++i) out[k * plane + i] = in[k * plane + i] * power(bias + scale * sum[i]);
        }
      }
    });
  }

  int64_t size_;
  double alpha_, beta_, bias_;
};

}  // namespace

void register_lrn() { register_kernel("lrn", adapted<make<Lrn>, kDenseNumbers, Signature{.same_shape = true}>); }

}  // namespace tw
