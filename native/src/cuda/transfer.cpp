// Values carried from one memory to the other, dense on both sides.
#include "base/kernel.h"
#include "cuda/convolution.h"
#include "cuda/extents.h"
#include "cuda/launch.h"
#include "cuda/matrix_product.h"
#include "cuda/queue.h"
#include "executor/layout.h"

namespace tw::cuda {
namespace {

class TransferKernel : public Kernel {
 public:
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& from = inputs[0];
    if (outputs[0].rank < 0)
      context.outputs_of_unknown_shape.allocate(0, {from.dims, static_cast<size_t>(from.rank)});
    const size_t bytes = dense_bytes(from);
    if (outputs[0].dtype != from.dtype || dense_bytes(outputs[0]) != bytes)
      throw Error(tw::Code::kInvalidPlan, "a transfer changes neither type nor size");
    auto& queue = static_cast<Queue&>(*context.queue);
    if (from.on_device && outputs[0].on_device) queue.copy(outputs[0].data, from.data, bytes);
    else if (outputs[0].on_device) queue.upload(outputs[0].data, from.data, bytes);
    else queue.download(outputs[0].data, from.data, bytes);
  }
};

std::unique_ptr<Kernel> make_transfer(const StepInfo& step) {
  if (step.inputs.size() != 1 || step.outputs.size() != 1)
    throw Error(tw::Code::kInvalidPlan, "a transfer has one input and one output");
  return std::make_unique<TransferKernel>();
}

std::unique_ptr<Kernel> make_launch(const StepInfo& step) { return std::make_unique<LaunchKernel>(step); }

std::unique_ptr<Kernel> make_extents(const StepInfo& step) { return std::make_unique<ExtentsKernel>(step); }

std::unique_ptr<Kernel> make_matrix_product(const StepInfo& step) { return std::make_unique<MatrixProduct>(step); }

std::unique_ptr<Kernel> make_convolution(const StepInfo& step) { return std::make_unique<ConvolutionKernel>(step); }

}  // namespace

void register_kernels() {
  register_kernel("cuda.transfer", make_transfer);
  register_kernel("cuda.launch", make_launch);
  register_kernel("cuda.extents", make_extents);
  register_kernel("cuda.cublaslt", make_matrix_product);
  register_kernel("cuda.cudnn", make_convolution);
}

}  // namespace tw::cuda

namespace tw {
void register_cuda() { cuda::register_kernels(); }
}  // namespace tw
