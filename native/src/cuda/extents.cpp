#include "cuda/extents.h"

#include <charconv>

#include "base/host_list.h"
#include "cuda/queue.h"

namespace tw::cuda {
namespace {

constexpr size_t kNumbers = 0, kExtents = 1;
constexpr int64_t kMostExtents = 1024;

[[noreturn]] void invalid(const std::string& what) { throw Error(tw::Code::kInvalidPlan, what); }

// Of those on the device, the length.
size_t extents_of(std::span<const Tensor> inputs) {
  const Tensor& t = inputs[kExtents];
  if (!is_int64_list(t)) invalid("the extents are a list of int64");
  return static_cast<size_t>(t.dims[0]);
}

std::span<const int64_t> numbers_of(std::span<const Tensor> inputs) {
  return host_list(inputs[kNumbers], "the numbers of counted extents");
}

}  // namespace

ExtentsKernel::ExtentsKernel(const StepInfo& step) {
  if (step.inputs.size() != 2) invalid("expected numbers and extents");
  const Tensor& numbers = step.inputs[kNumbers];
  if (!is_int64_list(numbers)) invalid("the numbers are a list of int64");
  numbers_ = static_cast<size_t>(numbers.dims[0]);
  extents_ = extents_of(step.inputs);
  if (extents_ > kMostExtents) invalid("more than " + std::to_string(kMostExtents) + " extents");
  nodes_ = step.attributes.strings("nodes");
  if (!nodes_.empty() && nodes_.size() != extents_) invalid("attributes.nodes: expected one entry for each extent");
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
  if (numbers_of(inputs).size() != numbers_ || extents_of(inputs) != extents_ || !inputs[kExtents].contiguous())
    invalid("the numbers or extents have changed");
}

void ExtentsKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor>) const {
  std::vector<int64_t> extents(extents_);
  auto& queue = static_cast<Queue&>(*context.queue);
  queue.download(extents.data(), inputs[kExtents].data, extents_ * sizeof(int64_t));
  queue.synchronize();
  for (size_t e = 0; e < extents_; ++e) {
    if (extents[e] >= 0) continue;
    const std::string whose = nodes_.empty() ? "its" : '\'' + nodes_[e] + "': its";
    throw Error(tw::Code::kInvalidArgument, whose + " inputs' values do not fit each other");
  }
  const auto numbers = numbers_of(inputs);
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
