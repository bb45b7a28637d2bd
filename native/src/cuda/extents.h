// Extents that earlier launches have computed: read back by the host, which then makes room for the outputs that have
// them. The step's inputs are the numbers that the host computes for it, and the extents: a vector of int64 on the
// device. Steps of one node come from packages/backend-cuda/src/launch/counted-step.ts, those of many nodes from
// packages/builder/src/plan/merge-reads.ts.
#pragma once
#include <string>
#include <vector>

#include "base/kernel.h"

namespace tw::cuda {

class ExtentsKernel : public Kernel {
 public:
  explicit ExtentsKernel(const StepInfo& step);

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override;
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;

 private:
  // An axis of an output.
  struct Axis {
    bool read;  // from the device; else one of the numbers
    size_t index;
  };
  std::vector<std::vector<Axis>> outputs_;
  size_t numbers_ = 0, extents_ = 0;
  std::vector<std::string> nodes_;  // what each extent is of, for messages; empty: of the step's own node
};

}  // namespace tw::cuda
