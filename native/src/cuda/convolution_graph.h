// A convolution with the maps that follow it, as cuDNN's graphs say it, and its execution plans. An engine is one of
// the library's kernels, its knobs what it leaves open: together they are a configuration, which makes the plan.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "cuda/cudnn.h"

namespace tw::cuda::cudnn {

// Dims in the order N, C, pixels; of filters K, C, taps. Strides in elements, as the tensor lies. The address of its
// first element is a multiple of `alignment` bytes.
struct Place {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> dims, strides;
  int64_t alignment = 16;
};

// One map. What it reads: 0 is the convolution's sum, i > 0 what map i - 1 gives, -1 - i side i, and after the sides
// the scalars.
struct Map {
  PointwiseMode mode = PointwiseMode::kAdd;
  int64_t left = 0;
  std::optional<int64_t> right;
};

// `binary` says whether it has two operands. Throws kInvalidPlan on an unknown name.
PointwiseMode mode_of(std::string_view name, bool& binary);

// Tensors of one convolution: image, filters, result, and sides and scalars together.
constexpr size_t kMostTensors = 3 + 64;

// The last map gives y; without any, the convolution does. Sums and maps are float32.
struct Convolution {
  Place x, w, y;
  std::vector<Place> sides;
  std::vector<float> scalars;
  std::vector<int64_t> pads_before, pads_after, strides, dilations;
  std::vector<Map> maps;
  bool tf32 = false;  // float32 operands may be rounded
  // Throws kInvalidPlan unless all of it fits together, and kLimitExceeded where there is too much of it.
  void check() const;
};

struct Configuration {
  int64_t engine = 0;
  std::vector<int64_t> knobs;  // type, value, type, value …
};

// Best first, by the library's own heuristics; no more than `most`. Those are left out whose numbers are not what a
// float32 sum gives: transforms of the image, sums in fewer bits, results that differ from run to run.
std::vector<Configuration> configurations(CudaDevice& device, const Convolution& convolution, size_t most);

class ConvolutionPlan {
 public:
  // Makes the device current. Throws kUnsupported where the engine does not take the convolution.
  static std::shared_ptr<const ConvolutionPlan> make(const std::shared_ptr<CudaDevice>& device,
                                                     const Convolution& convolution,
                                                     const Configuration& configuration);
  // Of any thread. What it has queued must be done.
  ~ConvolutionPlan();
  ConvolutionPlan(const ConvolutionPlan&) = delete;
  ConvolutionPlan& operator=(const ConvolutionPlan&) = delete;

  size_t workspace_bytes() const { return workspace_bytes_; }
  // Of x, w, y and the sides. The device is current.
  void run(std::span<void* const> data, void* workspace, HandlePointer handle, StreamHandle stream) const;

 private:
  ConvolutionPlan(std::shared_ptr<CudaDevice> device, const Convolution& convolution,
                  const Configuration& configuration);

  std::shared_ptr<CudaDevice> device_;
  std::vector<float> scalars_;
  std::vector<int64_t> ids_;
  std::vector<Descriptor> parts_;
  Descriptor plan_;
  size_t workspace_bytes_ = 0;
  // The library does not say of all engines that two threads may run one plan at once.
  mutable std::mutex running_;
};

}  // namespace tw::cuda::cudnn
