#include "cuda/launch.h"

#include <charconv>
#include <cstring>

#include "base/host_list.h"
#include "cuda/queue.h"

namespace tw::cuda {
namespace {

constexpr size_t kCode = 0, kNumbers = 1;
constexpr int64_t kLargestGrid[3] = {INT32_MAX, 65535, 65535};
constexpr size_t kLargestParameters = 4096;

[[noreturn]] void invalid(const std::string& what) { throw Error(tw::Code::kInvalidPlan, what); }

std::span<const int64_t> numbers_of(std::span<const Tensor> inputs) {
  return host_list(inputs[kNumbers], "the numbers of a launch");
}

}  // namespace

LaunchKernel::LaunchKernel(const StepInfo& step) : device_(std::static_pointer_cast<CudaDevice>(step.device)) {
  const auto& inputs = step.inputs;
  if (inputs.size() < 2 || inputs[kCode].dtype != DType::kUInt8 || inputs[kCode].rank != 1 || !inputs[kCode].data)
    invalid("the first input of a launch is its machine code");
  if (!is_int64_list(inputs[kNumbers])) invalid("the second input of a launch is a list of int64");
  numbers_ = static_cast<size_t>(inputs[kNumbers].dims[0]);
  module_ = Module::load(device_, {inputs[kCode].as<const std::byte>(), static_cast<size_t>(inputs[kCode].dims[0])});
  read_launches(step.attributes);
  read_members(step.attributes.strings("members"), inputs.size(), step.outputs.size());
  workspace_ = step.attributes.integer("workspace", -1);
  if (workspace_ >= static_cast<int64_t>(numbers_)) invalid("attributes.workspace: not one of the numbers");
}

void LaunchKernel::read_launches(const Attributes& attributes) {
  const auto functions = attributes.strings("functions");
  const auto blocks = attributes.integers("blocks"), shared = attributes.integers("shared"),
             clusters = attributes.integers("clusters");
  const size_t n = functions.size();
  if (blocks.size() != 3 * n || shared.size() != n || clusters.size() != 3 * n || numbers_ < 3 * n)
    invalid("attributes.functions: blocks, shared, clusters and grids must match them");
  const auto small = [](int64_t value, const char* name) {
    if (value < 0 || value > INT32_MAX) invalid(std::string("attributes.") + name + ": out of range");
    return static_cast<unsigned>(value);
  };
  for (size_t i = 0; i < n; ++i) {
    Launch launch{};
    launch.name = functions[i];
    launch.shared_bytes = small(shared[i], "shared");
    launch.function = module_->function(functions[i], launch.shared_bytes);
    for (size_t k = 0; k < 3; ++k) {
      launch.block[k] = small(blocks[3 * i + k], "blocks");
      launch.cluster[k] = small(clusters[3 * i + k], "clusters");
    }
    launches_.push_back(std::move(launch));
  }
}

size_t LaunchKernel::number(const std::string& token, size_t at) const {
  size_t value = 0;
  const auto [end, error] = std::from_chars(token.data() + at, token.data() + token.size(), value);
  if (error != std::errc() || end != token.data() + token.size()) invalid("attributes.members: '" + token + "'");
  return value;
}

void LaunchKernel::read_members(const std::vector<std::string>& members, size_t inputs, size_t outputs) {
  size_t bytes = 0;
  for (const std::string& token : members) {
    Member member{};
    size_t limit = numbers_;
    switch (token.empty() ? '\0' : token[0]) {
      case 'i': member = {MemberKind::kInput, number(token, 1)}; limit = inputs; break;
      case 'o': member = {MemberKind::kOutput, number(token, 1)}; limit = outputs; break;
      case 'd': member = {MemberKind::kNumber, number(token, 1)}; break;
      case 'w': member = {MemberKind::kWorkspace, number(token, 1)}; break;
      case 'm': {
        maps_.push_back(TensorMapSpec::parse(token, numbers_));
        if (maps_.back().operand >= (maps_.back().output ? outputs : inputs)) limit = 0;
        member = {MemberKind::kMap, maps_.size() - 1};
        if (limit) limit = maps_.size();
        break;
      }
      default: limit = 0;
    }
    if (member.index >= limit) invalid("attributes.members: '" + token + "' names nothing");
    if (member.kind == MemberKind::kMap && bytes % sizeof(TensorMap)) invalid("attributes.members: maps come first");
    bytes += member.kind == MemberKind::kMap ? sizeof(TensorMap) : 8;
    members_.push_back(member);
  }
  if (bytes > kLargestParameters) invalid("attributes.members: more than 4096 bytes of arguments");
}

void LaunchKernel::check(std::span<const Tensor> inputs, std::span<const Tensor>) const {
  if (inputs.size() < 2 || numbers_of(inputs).size() != numbers_) invalid("the numbers of a launch have changed");
  const auto numbers = numbers_of(inputs);
  for (size_t i = 0; i < launches_.size(); ++i)
    for (size_t k = 0; k < 3; ++k)
      if (const int64_t grid = numbers[3 * i + k]; grid < 0 || grid > kLargestGrid[k])
        throw Error(tw::Code::kLimitExceeded, launches_[i].name + ": a grid of " + std::to_string(grid) + " blocks");
}

size_t LaunchKernel::workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor>, int) const {
  if (workspace_ < 0) return 0;
  const int64_t bytes = numbers_of(inputs)[static_cast<size_t>(workspace_)];
  if (bytes < 0) throw Error(tw::Code::kLimitExceeded, "a negative size of scratch memory");
  return static_cast<size_t>(bytes);
}

void LaunchKernel::run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
  const auto numbers = numbers_of(inputs);
  alignas(TensorMap) std::byte arguments[kLargestParameters];
  size_t at = 0;
  const auto put = [&](const auto& value) {
    std::memcpy(arguments + at, &value, sizeof value);
    at += sizeof value;
  };
  for (const Member& member : members_) {
    switch (member.kind) {
      case MemberKind::kInput: put(inputs[member.index].data); break;
      case MemberKind::kOutput: put(outputs[member.index].data); break;
      case MemberKind::kNumber: put(numbers[member.index]); break;
      case MemberKind::kWorkspace: put(context.workspace + numbers[member.index]); break;
      case MemberKind::kMap: {
        const TensorMapSpec& spec = maps_[member.index];
        put(spec.encode(spec.output ? outputs[spec.operand].data : inputs[spec.operand].data, numbers));
        break;
      }
    }
  }
  // Kernels that a broken plan gives too little to find null there, not what lay on the stack.
  std::memset(arguments + at, 0, sizeof arguments - at);
  auto& queue = static_cast<Queue&>(*context.queue);
  for (size_t i = 0; i < launches_.size(); ++i) {
    const Launch& launch = launches_[i];
    LaunchConfig config{};
    bool empty = false;
    for (size_t k = 0; k < 3; ++k) {
      config.grid[k] = static_cast<unsigned>(numbers[3 * i + k]);
      config.block[k] = launch.block[k];
      empty = empty || config.grid[k] == 0;
    }
    if (empty) continue;
    config.shared_bytes = launch.shared_bytes;
    LaunchAttribute cluster{};
    if (launch.cluster[0]) {
      cluster.id = kClusterDimension;
      cluster.cluster = {launch.cluster[0], launch.cluster[1], launch.cluster[2]};
      config.attributes = &cluster;
      config.attribute_count = 1;
    }
    try {
      queue.launch(launch.function, config, arguments);
    } catch (const Error& e) {
      throw Error(e.code, launch.name + ": " + e.what());
    }
  }
}

}  // namespace tw::cuda
