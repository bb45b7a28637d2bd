// A step of the plan as kernel launches. The step's inputs are the machine code, the numbers that the host computes for
// it (grids, extents, sizes), and then its operands. packages/backend-cuda/src/launch/launch-step.ts writes them.
#pragma once
#include <memory>
#include <vector>

#include "base/kernel.h"
#include "cuda/module.h"
#include "cuda/tensor_map.h"

namespace tw::cuda {

class LaunchKernel : public Kernel {
 public:
  explicit LaunchKernel(const StepInfo& step);

  bool recordable() const override { return true; }
  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override;
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override;
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;

 private:
  struct Launch {
    FunctionHandle function;
    std::string name;
    unsigned block[3], cluster[3], shared_bytes;
  };
  enum class MemberKind : uint8_t { kInput, kOutput, kNumber, kWorkspace, kMap };
  struct Member {
    MemberKind kind;
    size_t index;
  };

  void read_launches(const Attributes& attributes);
  void read_members(const std::vector<std::string>& members, size_t inputs, size_t outputs);
  size_t number(const std::string& token, size_t at) const;

  std::shared_ptr<CudaDevice> device_;
  std::shared_ptr<Module> module_;
  std::vector<Launch> launches_;
  std::vector<Member> members_;
  std::vector<TensorMapSpec> maps_;
  size_t numbers_ = 0;
  int64_t workspace_ = -1;  // index of its size among the numbers
};

}  // namespace tw::cuda
