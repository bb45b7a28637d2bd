#include "cuda/extents.h"

#include <charconv>

#include "cuda/queue.h"

namespace tw::cuda {
namespace {

constexpr size_t kNumbers = 0, kExtents = 1;
constexpr int64_t kMostExtents = 1024;

[[noreturn]] void invalid(const std::string& what) { throw Error(tw::Code::kInvalidPlan, what); }

// The length of a vector of int64.
size_t length(const Tensor& t, const char* what) {
  if (t.dtype != DType::kInt64 || t.rank != 1 || t.dims[0] < 0) invalid(std::string(what) + " are a list of int64");
  return static_cast<size_t>(t.dims[0]);
}

}  // namespace

ExtentsKernel::ExtentsKernel(const StepInfo& step) {
  if (step.inputs.size() != 2) invalid("expected numbers and extents");
  numbers_ = length(step.inputs[kNumbers], "the numbers");
  extents_ = length(step.inputs[kExtents], "the extents");
  if (extents_ > kMostExtents) invalid("more than " + std::to_string(kMostExtents) + " extents");
  const auto shapes = step.attributes.strings("dims");
  if (shapes.size() != step.outputs.size()) invalid("attributes.dims: expected one entry for each output");
  for (const std::string& shape : shapes) {
    std::vector<Axis> axes;
    const char* at = shape.data();
    const char* const end = at + shape.size();
    while (at != end) {
      Axis axis{*at == 'e', 0};
      const auto [next, error] = std::from_chars(at + 1, end, axis.index);
      if ((*at != 'e' && *at != 'd') || error != std::errc() || axis.index >= (axis.read ? extents_ : numbers_))
        invalid("attributes.dims: '" + shape + "' names nothing");
      axes.push_back(axis);
      at = next == end ? next : next + 1;
    }
    if (axes.size() > kMaxRank) invalid("attributes.dims: a rank above " + std::to_string(kMaxRank));
    outputs_.push_back(std::move(axes));
  }
}

void ExtentsKernel::check(std::span<const Tensor> inputs, std::span<const Tensor>) const {
  if (length(inputs[kNumbers], "the numbers") != numbers_ || length(inputs[kExtents], "the extents") != extents_ ||
      !inputs[kExtents].contiguous())
    invalid("the numbers or extents have changed");
}

void ExtentsKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor>) const {
  std::vector<int64_t> extents(extents_);
  auto& queue = static_cast<Queue&>(*context.queue);
  queue.download(extents.data(), inputs[kExtents].data, extents_ * sizeof(int64_t));
  queue.synchronize();
  for (const int64_t extent : extents)
    if (extent < 0) throw Error(tw::Code::kInvalidArgument, "its inputs' values do not fit each other");
  const auto* numbers = inputs[kNumbers].as<const int64_t>();
  for (size_t k = 0; k < outputs_.size(); ++k) {
    int64_t dims[kMaxRank];
    for (size_t a = 0; a < outputs_[k].size(); ++a) {
      const auto& [read, index] = outputs_[k][a];
      dims[a] = read ? extents[index] : numbers[index];
    }
    context.outputs_of_unknown_shape.allocate(k, {dims, outputs_[k].size()});
  }
}

}  // namespace tw::cuda
