#include "cuda/convolution.h"

#include <algorithm>
#include <cstring>

#include "cuda/queue.h"

namespace tw::cuda {
namespace {

using cudnn::Place;

constexpr size_t kPads = 0, kImage = 1, kFilters = 2, kFirstSide = 3;
// Of other configurations, where that of the plan does not take the extents.
constexpr size_t kMostTried = 16;

[[noreturn]] void invalid(const std::string& what) {
  throw Error(tw::Code::kInvalidPlan, "a convolution of cuDNN: " + what);
}

Place place_of(const Tensor& t, int64_t alignment) {
  if (t.rank < 1) invalid("a tensor that is missing");
  return {t.dtype, {t.dims, t.dims + t.rank}, {t.strides, t.strides + t.rank}, alignment};
}

// From K, taps, C to K, C, taps.
void turn(Place& filters) {
  for (auto* list : {&filters.dims, &filters.strides})
    if (list->size() > 2) std::rotate(list->begin() + 1, list->end() - 1, list->end());
}

// A list of channels over the result's axes.
void spread(Place& bias, size_t rank) {
  if (bias.dims.size() != 1) invalid("a bias that is no list");
  bias.dims.insert(bias.dims.begin(), 1);
  bias.strides.insert(bias.strides.begin(), 1);
  bias.dims.resize(rank, 1);
  bias.strides.resize(rank, 1);
}

}  // namespace

ConvolutionKernel::ConvolutionKernel(const StepInfo& step)
    : device_(std::static_pointer_cast<CudaDevice>(step.device)) {
  const auto& [attributes, inputs, outputs, device] = step;
  if (inputs.size() < kFirstSide || outputs.size() != 1) invalid("it has pads, an image, filters, and one result");
  const Tensor& pads = inputs[kPads];
  if (pads.dtype != DType::kInt64 || pads.rank != 1) invalid("pads that are no list");
  template_.strides = attributes.integers("strides");
  template_.dilations = attributes.integers("dilations");
  template_.tf32 = attributes.flag("tf32");
  for (const double scalar : attributes.numbers("scalars")) template_.scalars.push_back(static_cast<float>(scalar));
  const auto maps = attributes.strings("maps");
  const auto lefts = attributes.integers("lefts"), rights = attributes.integers("rights");
  if (lefts.size() != maps.size() || rights.size() != maps.size()) invalid("maps without operands");
  for (size_t i = 0; i < maps.size(); ++i) {
    bool binary = false;
    cudnn::Map map{cudnn::mode_of(maps[i], binary), lefts[i], {}};
    if (binary) map.right = rights[i];
    template_.maps.push_back(map);
  }
  alignments_ = attributes.integers("alignments");
  if (alignments_.size() != inputs.size()) invalid("alignments of other operands");
  taps_first_ = attributes.flag("tapsFirst");
  bias_ = static_cast<int>(attributes.integer("bias", -1));
  if (bias_ != -1 && (bias_ < static_cast<int>(kFirstSide) || static_cast<size_t>(bias_) >= inputs.size()))
    invalid("a bias that is no operand");
  // Another version of the library has other engines: its first choice is the best guess then.
  if (attributes.string("version") == cudnn::library().version)
    configuration_ = cudnn::Configuration{attributes.integer("engine", 0), attributes.integers("knobs")};
  device_->make_current();
  cudnn::context(*device_);
}

cudnn::Convolution ConvolutionKernel::convolution(std::span<const Tensor> inputs,
                                                  std::span<const Tensor> outputs) const {
  cudnn::Convolution c = template_;
  c.x = place_of(inputs[kImage], alignments_[0]);
  c.w = place_of(inputs[kFilters], alignments_[1]);
  c.y = place_of(outputs[0], alignments_[2]);
  if (taps_first_) turn(c.w);
  for (size_t i = kFirstSide; i < inputs.size(); ++i) {
    c.sides.push_back(place_of(inputs[i], alignments_[i]));
    if (static_cast<int>(i) == bias_) spread(c.sides.back(), c.y.dims.size());
  }
  const int64_t count = inputs[kPads].dims[0];
  if (inputs[kPads].rank != 1 || count % 2 != 0 || count > 2 * kMaxRank) invalid("pads before and after each axis");
  int64_t pads[2 * kMaxRank];
  std::memcpy(pads, inputs[kPads].data, static_cast<size_t>(count) * sizeof(int64_t));
  c.pads_before.assign(pads, pads + count / 2);
  c.pads_after.assign(pads + count / 2, pads + count);
  return c;
}

void ConvolutionKernel::check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const {
  if (outputs[0].count() == 0) return;
  convolution(inputs, outputs).check();
}

std::shared_ptr<const cudnn::ConvolutionPlan> ConvolutionKernel::plan(const cudnn::Convolution& convolution) const {
  std::lock_guard lock(mutex_);
  for (const auto& known : plans_)
    if (known.first == convolution) return known.second;
  const auto make = [&](const cudnn::Configuration& with) -> std::shared_ptr<const cudnn::ConvolutionPlan> {
    try {
      return std::make_shared<cudnn::ConvolutionPlan>(*device_, convolution, with);
    } catch (const Error& e) {
      if (e.code != tw::Code::kUnsupported) throw;
      return nullptr;
    }
  };
  auto made = configuration_ ? make(*configuration_) : nullptr;
  if (!made) {
    for (const auto& other : cudnn::configurations(*device_, convolution, kMostTried))
      if ((made = make(other))) break;
  }
  if (!made)
    throw Error(tw::Code::kUnsupported,
                "cuDNN " + cudnn::library().version + " has no engine for the convolution at these extents");
  plans_.emplace_back(convolution, made);
  return made;
}

size_t ConvolutionKernel::workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int) const {
  if (outputs[0].count() == 0) return 0;
  device_->make_current();
  return plan(convolution(inputs, outputs))->workspace_bytes();
}

void ConvolutionKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
  if (outputs[0].count() == 0) return;
  std::vector<void*> data = {inputs[kImage].data, inputs[kFilters].data, outputs[0].data};
  for (size_t i = kFirstSide; i < inputs.size(); ++i) data.push_back(inputs[i].data);
  for (size_t i = 0; i < data.size(); ++i)
    if (reinterpret_cast<uintptr_t>(data[i]) % static_cast<uintptr_t>(alignments_[i]) != 0)
      invalid("attributes.alignments: an operand lies otherwise");
  plan(convolution(inputs, outputs))->run(data, context.workspace, static_cast<Queue&>(*context.queue).lend());
}

}  // namespace tw::cuda
