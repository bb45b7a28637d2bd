#include "cuda/graph_fills.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/module.h"
#include "cuda/queue.h"

namespace tw::cuda {
namespace {

// CUgraphNodeType
constexpr int kFillNode = 2, kAllocationNode = 10, kReleaseNode = 11;
constexpr unsigned kThreads = 256;
// The driver's own way is the faster one from some size on.
constexpr size_t kMostBytes = size_t{64} << 10;

// A plan that is run has no compiler but the driver's, which wants the text to end with a zero.
constexpr std::string_view kCode = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry fill(.param .u64 to, .param .u32 value, .param .u32 words) {
  .reg .pred %outside;
  .reg .b32 %block, %threads, %i, %value, %words;
  .reg .b64 %to, %at;
  mov.u32 %block, %ctaid.x;
  mov.u32 %threads, %ntid.x;
  mov.u32 %i, %tid.x;
  mad.lo.u32 %i, %block, %threads, %i;
  ld.param.u32 %words, [words];
  setp.ge.u32 %outside, %i, %words;
  @%outside ret;
  ld.param.u64 %to, [to];
  ld.param.u32 %value, [value];
  cvta.to.global.u64 %to, %to;
  mad.wide.u32 %at, %i, 4, %to;
  st.global.u32 [%at], %value;
  ret;
}
)";

struct Fill {
  DevicePointer to;
  unsigned value, words;
};

// Of whole words, in one row.
std::optional<Fill> words_of(const FillNodeParameters& p) {
  const size_t bytes = p.width * p.element_bytes;
  if (p.height != 1 || p.to % 4 || bytes % 4 || bytes == 0 || bytes > kMostBytes) return std::nullopt;
  const unsigned value = p.element_bytes == 1   ? (p.value & 0xFF) * 0x01010101u
                         : p.element_bytes == 2 ? (p.value & 0xFFFF) * 0x00010001u
                                                : p.value;
  return Fill{p.to, value, static_cast<unsigned>(bytes / 4)};
}

using Nodes = std::vector<NodeHandle>;

// What one of the driver's lists holds; nothing where the driver does not give it.
template <typename Handle>
std::optional<Nodes> list(Result (*get)(Handle, NodeHandle*, size_t*), Handle of) {
  size_t count = 0;
  if (get(of, nullptr, &count) != kSuccess) return std::nullopt;
  Nodes nodes(count);
  if (count != 0 && get(of, nodes.data(), &count) != kSuccess) return std::nullopt;
  return nodes;
}

// Nothing where the driver does not tell.
std::optional<int> type_of(NodeHandle node) {
  int type = 0;
  return driver().cuGraphNodeGetType(node, &type) == kSuccess ? std::optional(type) : std::nullopt;
}

// The graph stays as it is where the driver refuses.
void replace(CudaDevice& device, GraphHandle graph, NodeHandle node, Fill fill, FunctionHandle function) {
  const Driver& d = driver();
  const auto before = list(d.cuGraphNodeGetDependencies, node), after = list(d.cuGraphNodeGetDependentNodes, node);
  if (!before || !after) return;
  void* arguments[] = {&fill.to, &fill.value, &fill.words};
  KernelNodeParameters kernel{};
  kernel.function = function;
  kernel.grid[0] = (fill.words + kThreads - 1) / kThreads;
  kernel.block[0] = std::min(fill.words, kThreads);
  kernel.grid[1] = kernel.grid[2] = kernel.block[1] = kernel.block[2] = 1;
  kernel.arguments = arguments;
  NodeHandle made = nullptr;
  if (d.cuGraphAddKernelNode_v2(&made, graph, before->data(), before->size(), &kernel) != kSuccess) return;
  const Nodes from(after->size(), made);
  if (!from.empty() && d.cuGraphAddDependencies(graph, from.data(), after->data(), from.size()) != kSuccess)
    return device.check(d.cuGraphDestroyNode(made), "cuGraphDestroyNode");
  // A node that stays fills the same memory with the same value, between the same others.
  d.cuGraphDestroyNode(node);
}

// Loaded for good, since recordings come and go. Null where the driver compiles none.
FunctionHandle fill_kernel(const std::shared_ptr<CudaDevice>& device) {
  static std::mutex mutex;
  // Never destroyed: threads go on while the process ends.
  static auto& kernels = *new std::map<int, std::pair<std::shared_ptr<Module>, FunctionHandle>>;
  const int ordinal = device->properties().ordinal;
  std::lock_guard lock(mutex);
  if (const auto known = kernels.find(ordinal); known != kernels.end()) return known->second.second;
  try {
    // Another queue of the program around may be recorded, by a mode that forbids this to all threads.
    const Unrecorded unrecorded;
    auto code = Module::load(device, std::as_bytes(std::span(kCode.data(), kCode.size() + 1)));
    const FunctionHandle function = code->function("fill", 0);
    kernels[ordinal] = {std::move(code), function};
    return function;
  } catch (const Error& e) {
    if (e.code != Code::kOutOfMemory) kernels[ordinal] = {};
    return nullptr;
  }
}

}  // namespace

void replace_fills(const std::shared_ptr<CudaDevice>& device, GraphHandle graph) {
  const Nodes nodes = list(driver().cuGraphGetNodes, graph).value_or(Nodes{});
  // Those of a graph that allocates cannot be removed.
  const auto allocates = [](NodeHandle node) {
    const auto type = type_of(node);
    return type == kAllocationNode || type == kReleaseNode;
  };
  if (std::any_of(nodes.begin(), nodes.end(), allocates)) return;
  for (const NodeHandle node : nodes) {
    FillNodeParameters parameters{};
    if (type_of(node) != kFillNode) continue;
    if (driver().cuGraphMemsetNodeGetParams(node, &parameters) != kSuccess) continue;
    const auto fill = words_of(parameters);
    if (!fill) continue;
    const FunctionHandle kernel = fill_kernel(device);
    if (!kernel) return;
    replace(*device, graph, node, *fill, kernel);
  }
}

}  // namespace tw::cuda
