// Kernel `fill`: one value to every element of the output.
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/copy.h"

namespace tw {
namespace {

class Fill final : public Kernel {
 public:
  explicit Fill(const StepInfo&) {}

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    if (inputs[0].count() != 1)
      throw Error(Code::kShapeMismatch, "fill takes one value, not " + std::to_string(inputs[0].count()));
    Tensor value = outputs[0];
    value.data = inputs[0].data;
    value.dtype = inputs[0].dtype;
    std::fill(std::begin(value.strides), std::end(value.strides), 0);
    copy_tensor(context.pool, value, outputs[0]);
  }
};

}  // namespace

void register_fill() { register_kernel("fill", adapted<make<Fill>, kStridedMovement, Signature{}>); }

}  // namespace tw
