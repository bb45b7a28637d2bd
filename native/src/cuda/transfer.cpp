#include "cuda/transfer.h"

#include "cuda/queue.h"
#include "executor/layout.h"

namespace tw::cuda {

TransferKernel::TransferKernel(const StepInfo& step) {
  if (step.inputs.size() != 1 || step.outputs.size() != 1)
    throw Error(tw::Code::kInvalidPlan, "a transfer has one input and one output");
}

void TransferKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
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

}  // namespace tw::cuda
