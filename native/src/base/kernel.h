// What a kernel is: made once from a step's attributes, run many times, from many threads at once.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/tensor.h"
#include "base/thread_pool.h"

namespace tw {

class DeviceQueue;

// Memory for outputs whose shape only the kernel knows.
class OutputAllocator {
 public:
  virtual ~OutputAllocator() = default;
  // Gives output `index` these dims (row-major) and memory for them; the Tensor in `outputs` is updated.
  virtual void allocate(size_t index, std::span<const int64_t> dims) = 0;
};

struct KernelContext {
  ThreadPool& pool;
  OutputAllocator& outputs_of_unknown_shape;
  std::byte* workspace;  // Kernel::workspace_bytes() bytes, 64-byte aligned, undefined contents
  const std::atomic<bool>& cancelled;
  DeviceQueue* queue = nullptr;  // of steps of a device, whose workspace is in its memory
  size_t room = 0;               // bytes that the workspace really has, of steps of a device
};

// Omitted optional inputs arrive with data == nullptr and rank == -1.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // Scratch for these shapes; asked again whenever shapes change. Outputs of unknown shape have rank -1.
  virtual size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const {
    (void)inputs, (void)outputs, (void)threads;
    return 0;
  }
  // Asked whenever shapes have changed, before run(): throws unless it stays within these tensors. Plans are not trusted:
  // how many tensors there are, their dtypes, ranks and dims are all the plan's word.
  virtual void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const { (void)inputs, (void)outputs; }
  // Only queues work of a device on memory that stays: the same run may be recorded once and played again.
  virtual bool recordable() const { return false; }
  // Values (indices, sizes) must be checked here: throw tw::Error.
  virtual void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const = 0;
};

class Device;

struct StepInfo {
  const Attributes& attributes;
  // dtype always set; data set for constants; rank -1 where unknown, extents -1 where only the run knows them
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  std::shared_ptr<Device> device = nullptr;  // of steps that run on one
};

using KernelFactory = std::unique_ptr<Kernel> (*)(const StepInfo& step);

// Each kernels/*.cpp defines one `void register_xxx()` listed in kernels/register.cpp: no static initialisers.
void register_kernel(std::string_view name, KernelFactory factory);
std::unique_ptr<Kernel> make_kernel(std::string_view name, const StepInfo& step);  // throws kInvalidPlan on an unknown name
std::vector<std::string> kernel_names();

}  // namespace tw
