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

namespace tw::cuda {
namespace {

// CUgraphNodeType
constexpr int kFillNode = 2;
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
  device.check(d.cuGraphAddKernelNode_v2(&made, graph, before->data(), before->size(), &kernel), "cuGraphAddKernelNode");
  const Nodes from(after->size(), made);
  if (!from.empty())
    device.check(d.cuGraphAddDependencies(graph, from.data(), after->data(), from.size()), "cuGraphAddDependencies");
  device.check(d.cuGraphDestroyNode(node), "cuGraphDestroyNode");
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
  const Driver& d = driver();
  for (const NodeHandle node : list(d.cuGraphGetNodes, graph).value_or(Nodes{})) {
    int type = 0;
    FillNodeParameters parameters{};
    if (d.cuGraphNodeGetType(node, &type) != kSuccess || type != kFillNode) continue;
    if (d.cuGraphMemsetNodeGetParams(node, &parameters) != kSuccess) continue;
    const auto fill = words_of(parameters);
    if (!fill) continue;
    const FunctionHandle kernel = fill_kernel(device);
    if (!kernel) return;
    replace(*device, graph, node, *fill, kernel);
  }
}

}  // namespace tw::cuda
