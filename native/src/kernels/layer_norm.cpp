// layerNorm(x, scale, bias?, skip?){axis, epsilon} -> y, mean?, invStdDev?, sum?
// rmsNorm(x, scale, skip?){axis, epsilon} -> y, sum?
// With `skip`, a tensor of x's shape, x + skip is normalised, and is the output `sum`.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"
#include "kernels/norm_loops.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 8192;

template <typename T>
struct PlainLoops {
  static void add(const T* a, const T* b, T* y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
  }
  static void moments(const T* x, int64_t n, T* mean, T* variance) {
    T sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    *mean = sum / static_cast<T>(n);
    for (int64_t i = 0; i < n; ++i) squares += (x[i] - *mean) * (x[i] - *mean);
    *variance = squares / static_cast<T>(n);
  }
  static T mean_square(const T* x, int64_t n) {
    T squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
    return squares / static_cast<T>(n);
  }
  static void scale_shift(const T* x, T mean, T factor, const T* scale, const T* bias, T* y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * factor * scale[i] + (bias ? bias[i] : T(0));
  }
};

class RowNorm final : public Kernel {
 public:
  RowNorm(const StepInfo& step, bool rms)
      : rms_(rms), axis_(step.attributes.integer("axis", -1)), epsilon_(step.attributes.number("epsilon", 1e-5)) {
    visit_float(rms ? "rmsNorm" : "layerNorm", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int axis = normalize_axis(axis_, x.rank, "normalisation axis");
    const size_t skip = rms_ ? 2 : 3, sum = rms_ ? 1 : 3;
    expect_broadcast("scale", inputs[1], extents(x));
    if (!rms_ && present(inputs, 2)) expect_broadcast("bias", inputs[2], extents(x));
    if (present(inputs, skip)) expect_same_dims("skip", inputs[skip], x);
    if (sum < outputs.size()) expect_same_dims("sum", outputs[sum], x);
    expect(present(inputs, skip) || sum >= outputs.size() || outputs[sum].rank < 0, "there is a sum, but nothing to add");
    std::vector<int64_t> statistics(x.dims, x.dims + x.rank);
    std::fill(statistics.begin() + axis, statistics.end(), 1);
    for (size_t i = 1; i < 3 && i < outputs.size() && !rms_; ++i) expect_dims("mean and invStdDev", outputs[i], statistics);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    if (inputs[0].dtype == DType::kFloat32) run_as<float>(context, inputs, outputs, TW_SELECT_ISA(norm_loops)());
    else run_as<double>(context, inputs, outputs, PlainLoops<double>{});
  }

 private:
  // An optional tensor's rows.
  template <typename T>
  struct Optional {
    Optional(std::span<const Tensor> list, size_t index, int axis, bool given)
        : given(given), rows(given ? list[index] : Tensor{}, given ? axis : 0, given ? list[index].rank : 0) {}
    bool given;
    Rows<T> rows;
  };

  // Scale and bias broadcast to the row: one row for all, unless they have axes in front of it.
  template <typename T>
  struct Parameter {
    Parameter(std::span<const Tensor> inputs, size_t index, int axis, bool given)
        : given(given),
          view(given ? broadcast_view(inputs[index], inputs[0].dims, inputs[0].rank) : Tensor{}),
          rows(view, given ? axis : 0, view.rank) {
      if (!given) return;
      for (int i = 0; i < axis; ++i) single &= view.strides[i] == 0 || view.dims[i] == 1;
      if (single && !rows.dense() && rows.length() > 0) {
        copy.resize(static_cast<size_t>(rows.length()));
        shared = rows.read(0, copy.data());
      } else if (single) {
        shared = view.as<const T>();
      }
    }
    const T* at(int64_t row, T* scratch) const { return !given ? nullptr : single ? shared : rows.read(row, scratch); }
    bool given, single = true;
    Tensor view;
    Rows<T> rows;
    std::vector<T> copy;
    const T* shared = nullptr;
  };

  template <typename T, typename L>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs, const L& loops) const {
    const Tensor& x = inputs[0];
    const int axis = normalize_axis(axis_, x.rank, "normalisation axis");
    const size_t skip_input = rms_ ? 2 : 3, sum_output = rms_ ? 1 : 3;
    const Rows<T> in(x, axis, x.rank), out(outputs[0], axis, x.rank);
    const Optional<T> skip(inputs, skip_input, axis, present(inputs, skip_input));
    const Optional<T> sum(outputs, sum_output, axis, wanted(outputs, sum_output));
    const Parameter<T> scale(inputs, 1, axis, true), bias(inputs, 2, axis, !rms_ && present(inputs, 2));
    const Optional<T> mean_out(outputs, 1, axis, !rms_ && wanted(outputs, 1));
    const Optional<T> inverse_out(outputs, 2, axis, !rms_ && wanted(outputs, 2));
    const int64_t n = in.length();
    if (n == 0 || in.count() == 0) return;

    context.pool.parallel_ranges(in.count(), std::max<int64_t>(1, kTaskElements / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> memory;
      T *a = nullptr, *b = nullptr, *c = nullptr, *d = nullptr, *e = nullptr, *f = nullptr;
      const bool plain = in.dense() && out.dense() && !skip.given && scale.single && (!bias.given || bias.single);
      if (!plain) {
        memory.resize(static_cast<size_t>(6 * n));
        a = memory.data(), b = a + n, c = b + n, d = c + n, e = d + n, f = e + n;
      }
      for (int64_t row = begin; row < end; ++row) {
        const T* p = in.read(row, a);
        if (skip.given) {
          T* total = sum.given ? sum.rows.place(row, c) : c;
          loops.add(p, skip.rows.read(row, b), total, n);
          if (sum.given) sum.rows.written(row, total);
          p = total;
        }
        T mean = 0, variance;
        if (rms_) variance = loops.mean_square(p, n);
        else loops.moments(p, n, &mean, &variance);
        const T inverse = T(1) / std::sqrt(variance + static_cast<T>(epsilon_));
        T* to = out.place(row, d);
        loops.scale_shift(p, mean, inverse, scale.at(row, e), bias.at(row, f), to, n);
        out.written(row, to);
        if (mean_out.given) *mean_out.rows.at(row) = mean;
        if (inverse_out.given) *inverse_out.rows.at(row) = inverse;
      }
    });
  }

  bool rms_;
  int64_t axis_;
  double epsilon_;
};

template <bool rms>
std::unique_ptr<Kernel> make_row_norm(const StepInfo& step) {
  return std::make_unique<RowNorm>(step, rms);
}

}  // namespace

void register_layer_norm() {
  register_kernel("layerNorm", adapted<make_row_norm<false>, kStridedNumbers,
                                       Signature{.min_inputs = 2, .max_inputs = 4, .max_outputs = 4, .same_inputs = 0b1110, .same_outputs = 0b1111, .same_shape = true}>);
  register_kernel("rmsNorm", adapted<make_row_norm<true>, kStridedNumbers,
                                     Signature{.min_inputs = 2, .max_inputs = 3, .max_outputs = 2, .same_inputs = 0b110, .same_outputs = 0b11, .same_shape = true}>);
}

}  // namespace tw
