#include "cuda/convolution.h"

#include <algorithm>

#include "base/host_list.h"
#include "cuda/queue.h"

namespace tw::cuda {
namespace {

using cudnn::Contexts, cudnn::Place;

constexpr size_t kPads = 0, kImage = 1, kFilters = 2, kFirstSide = 3;
// Of other configurations, where that of the plan does not take the extents.
constexpr size_t kMostTried = 16;
constexpr size_t kMostPlans = 32;

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

std::span<const int64_t> pads_of(std::span<const Tensor> inputs) {
  return host_list(inputs[kPads], "the pads of a convolution of cuDNN");
}

// Calls `take` with all that only the run knows of a convolution, until it has had enough; false then.
template <typename Take>
bool each_extent(std::span<const Tensor> inputs, const Tensor& result, const Take& take) {
  const auto pads = pads_of(inputs);
  const auto of = [&](const Tensor& t) {
    bool more = take(t.rank);
    for (int axis = 0; more && axis < t.rank; ++axis) more = take(t.dims[axis]) && take(t.strides[axis]);
    return more;
  };
  return take(static_cast<int64_t>(pads.size())) && std::all_of(pads.begin(), pads.end(), take) && of(result) &&
         std::all_of(inputs.begin() + kImage, inputs.end(), of);
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
    : device_(std::static_pointer_cast<CudaDevice>(step.device)), contexts_(Contexts::of(*device_)) {
  const auto& [attributes, inputs, outputs, device] = step;
  if (inputs.size() < kFirstSide || outputs.size() != 1) invalid("it has pads, an image, filters, and one result");
  if (inputs.size() > cudnn::kMostTensors) invalid("more operands than it takes");
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
  const auto pads = pads_of(inputs);
  if (pads.size() % 2 != 0 || pads.size() > 2 * kMaxRank) invalid("pads before and after each axis");
  const auto after = pads.begin() + static_cast<std::ptrdiff_t>(pads.size() / 2);
  c.pads_before.assign(pads.begin(), after);
  c.pads_after.assign(after, pads.end());
  return c;
}

ConvolutionKernel::PlanPointer ConvolutionKernel::make(const cudnn::Convolution& convolution) const {
  // It may be asked for while a run is recorded.
  const Unrecorded unrecorded;
  const auto attempt = [&](const cudnn::Configuration& with) -> PlanPointer {
    try {
      return cudnn::ConvolutionPlan::make(device_, convolution, with);
    } catch (const Error& e) {
      if (e.code == tw::Code::kUnsupported) return nullptr;
      throw;
    }
  };
  auto made = configuration_ ? attempt(*configuration_) : nullptr;
  if (!made) {
    for (const auto& other : cudnn::configurations(*device_, convolution, kMostTried))
      if ((made = attempt(other))) break;
  }
  if (!made)
    throw Error(tw::Code::kUnsupported,
                "cuDNN " + cudnn::library().version + " has no engine for the convolution at these extents");
  return made;
}

ConvolutionKernel::KnownPointer ConvolutionKernel::find(std::span<const Tensor> inputs,
                                                        std::span<const Tensor> outputs) const {
  const auto known = std::find_if(known_.rbegin(), known_.rend(), [&](const KnownPointer& k) {
    auto next = k->extents.begin();
    const bool all =
        each_extent(inputs, outputs[0], [&](int64_t extent) { return next != k->extents.end() && *next++ == extent; });
    return all && next == k->extents.end();
  });
  if (known == known_.rend()) return nullptr;
  std::rotate(std::prev(known.base()), known.base(), known_.end());
  return known_.back();
}

ConvolutionKernel::PlanPointer ConvolutionKernel::plan(std::span<const Tensor> inputs,
                                                       std::span<const Tensor> outputs) const {
  std::promise<PlanPointer> promise;
  KnownPointer own, dropped;  // which goes once nobody waits for the lock
  {
    std::unique_lock lock(mutex_);
    if (const KnownPointer known = find(inputs, outputs)) {
      lock.unlock();
      return known->plan.get();
    }
    auto added = std::make_shared<Known>();
    each_extent(inputs, outputs[0], [&](int64_t extent) { return added->extents.push_back(extent), true; });
    added->plan = promise.get_future().share();
    own = std::move(added);
    if (known_.size() == kMostPlans) {
      dropped = std::move(known_.front());
      known_.erase(known_.begin());
    }
    known_.push_back(own);
  }
  try {
    promise.set_value(make(convolution(inputs, outputs)));
  } catch (...) {
    // Who waits for it fails alike; who comes later tries again.
    {
      std::lock_guard lock(mutex_);
      std::erase(known_, own);
    }
    promise.set_exception(std::current_exception());
  }
  return own->plan.get();
}

size_t ConvolutionKernel::workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int) const {
  if (outputs[0].count() == 0) return 0;
  device_->make_current();
  return plan(inputs, outputs)->workspace_bytes();
}

void ConvolutionKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
  if (outputs[0].count() == 0) return;
  void* data[cudnn::kMostTensors] = {inputs[kImage].data, inputs[kFilters].data, outputs[0].data};
  for (size_t i = kFirstSide; i < inputs.size(); ++i) data[i] = inputs[i].data;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (reinterpret_cast<uintptr_t>(data[i]) % static_cast<uintptr_t>(alignments_[i]) != 0)
      invalid("attributes.alignments: an operand lies otherwise");
  auto& queue = static_cast<Queue&>(*context.queue);
  const PlanPointer known = plan(inputs, outputs);
  queue.keep(known);
  auto& lease = queue.attachment(&contexts_);
  if (!lease) {
    const Unrecorded unrecorded;
    lease = std::make_shared<Contexts::Lease>(contexts_);
  }
  std::byte* workspace = context.workspace;
  if (known->workspace_bytes() > context.room) {
    // Since the room was asked for, so many other extents came that the plan was dropped, and the one in its place wants
    // more.
    const Unrecorded unrecorded;
    auto room = std::make_shared<DeviceBlock>(device_);
    room->reserve(known->workspace_bytes());
    workspace = room->data();
    queue.keep(std::move(room));
  }
  known->run({data, inputs.size()}, workspace, std::static_pointer_cast<Contexts::Lease>(lease)->handle(),
             queue.lend());
}

}  // namespace tw::cuda
