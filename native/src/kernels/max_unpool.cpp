// maxUnpool(x, indices, outputShape?){kernelShape, strides, pads}: values go back to where maxPoolWithIndices found them.
#include <algorithm>
#include <cstring>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class MaxUnpool final : public Kernel {
 public:
  explicit MaxUnpool(const StepInfo& step)
      : kernel_(step.attributes.integers("kernelShape")), strides_(step.attributes.integers("strides")), pads_(step.attributes.integers("pads")) {
    if (strides_.empty()) strides_.assign(kernel_.size(), 1);
    if (pads_.empty()) pads_.assign(2 * kernel_.size(), 0);
    if (kernel_.empty() || strides_.size() != kernel_.size() || pads_.size() != 2 * kernel_.size())
      throw Error(Code::kInvalidPlan, "maxUnpool: kernelShape, strides and pads must describe the same spatial axes");
    for (const auto* list : {&kernel_, &strides_, &pads_})
      for (int64_t v : *list)
        if (v < 0 || v > INT32_MAX) throw Error(Code::kInvalidPlan, "maxUnpool: kernelShape, strides and pads must lie in [0, 2^31)");
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], static_cast<int>(kernel_.size()) + 2, static_cast<int>(kernel_.size()) + 2);
    expect_same_dims("indices", inputs[1], inputs[0]);
    for (size_t i = 0; i < kernel_.size(); ++i)
      expect((inputs[0].dims[i + 2] - 1) * strides_[i] - pads_[i] - pads_[i + kernel_.size()] + kernel_[i] > 0, "the pooling's geometry gives an empty output");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const size_t n = kernel_.size();
    // Indices count in the tensor that the pooling's geometry gives, whatever shape is asked for.
    std::vector<int64_t> natural(x.dims, x.dims + x.rank);
    for (size_t i = 0; i < n; ++i) natural[i + 2] = (x.dims[i + 2] - 1) * strides_[i] - pads_[i] - pads_[i + n] + kernel_[i];
    std::vector<int64_t> dims = present(inputs, 2) ? read_integers(inputs[2], "maxUnpool outputShape") : natural;
    if (dims.size() != natural.size() || dims[0] != x.dims[0] || dims[1] != x.dims[1])
      throw Error(Code::kShapeMismatch, "maxUnpool: outputShape is " + dims_text(dims) + ", expected x's batch and channels and " +
                                            std::to_string(n) + " sizes");
    resolve_output(context, outputs, 0, dims);
    const Tensor& y = outputs[0];
    std::memset(y.data, 0, packed_bytes(y.dtype, y.count()));
    const int64_t count = x.count(), natural_plane = product(natural.data(), 2, x.rank), plane = product(y.dims, 2, y.rank);
    const std::vector<int64_t> indices = read_integers(inputs[1], "maxUnpool indices");
    visit_size("maxUnpool", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t index = indices[static_cast<size_t>(i)];
        int64_t to = -1;
        if (index >= 0 && index < x.dims[0] * x.dims[1] * natural_plane) {
          int64_t rest = index % natural_plane;
          to = index / natural_plane * plane;
          int64_t step = 1;
          for (size_t k = n; k-- > 0; step *= y.dims[k + 2]) {
            const int64_t at = rest % natural[k + 2];
            rest /= natural[k + 2];
            if (at >= y.dims[k + 2]) to = -y.count() - 1;
            to += at * step;
          }
        }
        if (to < 0)
          throw Error(Code::kInvalidArgument, "maxUnpool: index " + std::to_string(index) + " lies outside the output " +
                                                  dims_text({y.dims, static_cast<size_t>(y.rank)}));
        y.as<T>()[to] = x.as<T>()[i];
      }
    });
  }

 private:
  std::vector<int64_t> kernel_, strides_, pads_;
};

}  // namespace

void register_max_unpool() { register_kernel("maxUnpool", adapted<make<MaxUnpool>, kDenseMovement, Signature{.min_inputs = 2, .max_inputs = 3, .sizes_outputs = true}>); }

}  // namespace tw
