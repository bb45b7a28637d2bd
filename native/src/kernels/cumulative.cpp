// cumSum and cumProd {axis, exclusive, reverse} along one axis of any layout.
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 16384;

class Cumulative final : public Kernel {
 public:
  Cumulative(const StepInfo& step, bool product)
      : product_(product),
        axis_(step.attributes.integer("axis", 0)),
        exclusive_(step.attributes.flag("exclusive")),
        reverse_(step.attributes.flag("reverse")) {
    visit_number("cumSum", step.inputs[0].dtype, [](auto) {});
  }

  // The axis is an attribute, or the second input as in ONNX.
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const int64_t axis = present(inputs, 1) ? read_integer(inputs[1], "cumSum axis") : axis_;
    visit_number("cumSum", inputs[0].dtype, [&](auto tag) {
      run_as<typename decltype(tag)::type>(context, inputs[0], outputs[0], normalize_axis(axis, inputs[0].rank, "cumSum axis"));
    });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& y, int axis) const {
    const Rows<const T> in(x, axis, axis + 1);
    const Rows<T> out(y, axis, axis + 1);
    const int64_t n = in.length();
    if (n == 0 || in.count() == 0) return;
    const int64_t from = reverse_ ? n - 1 : 0, step = reverse_ ? -1 : 1, a = x.strides[axis], b = y.strides[axis];
    context.pool.parallel_ranges(in.count(), std::max<int64_t>(1, kTaskElements / n), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const T* p = in.at(row);
        T* q = out.at(row);
        T total = product_ ? 1 : 0;
        for (int64_t i = 0, k = from; i < n; ++i, k += step) {
          const T v = p[k * a];
          if (exclusive_) q[k * b] = total;
          total = static_cast<T>(product_ ? total * v : total + v);
          if (!exclusive_) q[k * b] = total;
        }
      }
    });
  }

  bool product_;
  int64_t axis_;
  bool exclusive_, reverse_;
};

template <bool product>
std::unique_ptr<Kernel> make_cumulative(const StepInfo& step) {
  return std::make_unique<Cumulative>(step, product);
}

}  // namespace

void register_cumulative() {
  register_kernel("cumSum", adapted<make_cumulative<false>, kStridedNumbers, Signature{.max_inputs = 2, .same_shape = true}>);
  register_kernel("cumProd", adapted<make_cumulative<true>, kStridedNumbers, Signature{.max_inputs = 2, .same_shape = true}>);
}

}  // namespace tw
