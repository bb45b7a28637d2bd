// One convolution of cuDNN, with the maps that follow it. The step's inputs are the pads, which the host computes for
// it (before every axis of the image, then after), image, filters, and what the maps read besides.
// packages/backend-cuda/src/tactics/cudnn.ts writes them.
#pragma once
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/kernel.h"
#include "cuda/convolution_graph.h"

namespace tw::cuda {

class ConvolutionKernel : public Kernel {
 public:
  explicit ConvolutionKernel(const StepInfo& step);

  bool recordable() const override { return true; }
  // Of the convolution's plan, which is made where there is none, and checked by that.
  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override;
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;

 private:
  using PlanPointer = std::shared_ptr<const cudnn::ConvolutionPlan>;
  struct Known {
    std::vector<int64_t> extents;  // all that tells them from others
    std::shared_future<PlanPointer> plan;
  };
  using KnownPointer = std::shared_ptr<const Known>;

  cudnn::Convolution convolution(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  // The plan for these extents that there is, or is being made; null for none. `mutex_` is locked.
  KnownPointer find(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  // For these extents: by the configuration of the plan, or by the library's first that takes them. Who asks for one
  // that another thread is making waits for that one alone.
  PlanPointer plan(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  PlanPointer make(const cudnn::Convolution& convolution) const;

  std::shared_ptr<CudaDevice> device_;
  cudnn::Contexts& contexts_;
  cudnn::Convolution template_;      // without what only the run knows
  std::vector<int64_t> alignments_;  // of image, filters, result and sides
  bool taps_first_;                  // the filters' axes are K, taps, C
  int bias_;                         // which input is a list of channels; -1: none
  std::optional<cudnn::Configuration> configuration_;

  mutable std::mutex mutex_;
  mutable std::vector<KnownPointer> known_;  // the last used last; recordings keep those whose kernels they play
};

}  // namespace tw::cuda
