// argMax and argMin {axis, keepdims, selectLastIndex}: where along an axis the extreme element is. NaN wins, as in numpy.
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 16384;

class ArgExtreme final : public Kernel {
 public:
  ArgExtreme(const StepInfo& step, bool largest)
      : largest_(largest),
        axis_(step.attributes.integer("axis", 0)),
        keepdims_(step.attributes.flag("keepdims", true)),
        last_(step.attributes.flag("selectLastIndex")) {
    visit_number("argMax", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int axis = normalize_axis(axis_, x.rank, "argMax axis");
    std::vector<int64_t> dims(x.dims, x.dims + x.rank);
    if (keepdims_) dims[static_cast<size_t>(axis)] = 1;
    else dims.erase(dims.begin() + axis);
    expect_dims("the output", outputs[0], dims);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_number("argMax", inputs[0].dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (largest_) run_as<T, true>(context, inputs[0], outputs[0]);
      else run_as<T, false>(context, inputs[0], outputs[0]);
    });
  }

 private:
  template <typename T, bool largest>
  static bool better(T a, T b) {  // a before b
    if constexpr (std::is_floating_point_v<T>)
      if (b != b) return false;
    return a != a || (largest ? a > b : a < b);
  }

  template <typename T, bool largest>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& y) const {
    const int axis = normalize_axis(axis_, x.rank, "argMax axis");
    if (y.count() == 0) return;
    const int64_t n = x.dims[axis], stride = x.strides[axis];
    if (n == 0) throw Error(Code::kInvalidArgument, "argMax: the axis is empty, expected at least one element");
    const Rows<const T> in(x, axis, axis + 1);
    Tensor y_view = y;  // with a single axis where x has the searched one
    if (!keepdims_) {
      y_view.rank = x.rank;
      for (int i = x.rank - 1; i > axis; --i) y_view.dims[i] = y.dims[i - 1], y_view.strides[i] = y.strides[i - 1];
      y_view.dims[axis] = 1;
      y_view.strides[axis] = 0;
    }
    const Rows<int64_t> out(y_view, axis, axis + 1);
    context.pool.parallel_ranges(in.count(), std::max<int64_t>(1, kTaskElements / n), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const T* p = in.at(row);
        T best = p[0];
        int64_t at = 0;
        for (int64_t i = 1; i < n; ++i) {
          const T v = p[i * stride];
          const bool take = last_ ? !better<T, largest>(best, v) : better<T, largest>(v, best);
          if (take) best = v, at = i;
        }
        *out.at(row) = at;
      }
    });
  }

  bool largest_;
  int64_t axis_;
  bool keepdims_, last_;
};

template <bool largest>
std::unique_ptr<Kernel> make_arg_extreme(const StepInfo& step) {
  return std::make_unique<ArgExtreme>(step, largest);
}

}  // namespace

void register_arg_extreme() {
  register_kernel("argMax", adapted<make_arg_extreme<true>, kStridedNumbers, Signature{.same_outputs = 0, .int64_outputs = 1}>);
  register_kernel("argMin", adapted<make_arg_extreme<false>, kStridedNumbers, Signature{.same_outputs = 0, .int64_outputs = 1}>);
}

}  // namespace tw
