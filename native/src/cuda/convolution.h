// One convolution of cuDNN, with the maps that follow it. The step's inputs are the pads, which the host computes for
// it (before every axis of the image, then after), image, filters, and what the maps read besides.
// packages/backend-cuda/src/tactics/cudnn.ts writes them.
#pragma once
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/kernel.h"
#include "cuda/convolution_graph.h"

namespace tw::cuda {

class ConvolutionKernel : public Kernel {
 public:
  explicit ConvolutionKernel(const StepInfo& step);

  bool recordable() const override { return true; }
  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override;
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override;
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;

 private:
  cudnn::Convolution convolution(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const;
  // For these extents: by the configuration of the plan, or by the library's first that takes them.
  std::shared_ptr<const cudnn::ConvolutionPlan> plan(const cudnn::Convolution& convolution) const;

  std::shared_ptr<CudaDevice> device_;
  cudnn::Convolution template_;      // without what only the run knows
  std::vector<int64_t> alignments_;  // of image, filters, result and sides
  bool taps_first_;                  // the filters' axes are K, taps, C
  int bias_;                         // which input is a list of channels; -1: none
  std::optional<cudnn::Configuration> configuration_;

  mutable std::mutex mutex_;
  // All that were asked for: recordings play their kernels for as long as there are contexts.
  mutable std::vector<std::pair<cudnn::Convolution, std::shared_ptr<const cudnn::ConvolutionPlan>>> plans_;
};

}  // namespace tw::cuda
