// Values carried from one memory to the other, dense on both sides.
#pragma once
#include "base/kernel.h"

namespace tw::cuda {

class TransferKernel : public Kernel {
 public:
  explicit TransferKernel(const StepInfo& step);
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;
};

}  // namespace tw::cuda
