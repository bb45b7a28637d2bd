#include "graph.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

using namespace tw_emulator;

namespace {

// CUgraphNodeType; nobody asks whether another node is a kernel or a copy.
constexpr int kKernelNode = 0, kFillNode = 2;

struct ExecutableGraph {
  std::vector<Operation> operations;
};

struct KernelNodeParameters {
  Function* function;
  uint3 grid, block;
  unsigned shared_bytes;
  void** parameters;
  void** extra;
};

// In the order they were added in, as far as the edges allow it: one that was added late and is not waited for comes late,
// so that a missing edge shows.
std::vector<Operation> in_order(const Graph& graph) {
  std::vector<Operation> operations;
  std::set<const GraphNode*> done;
  const std::function<void(const GraphNode&)> visit = [&](const GraphNode& node) {
    if (!done.insert(&node).second) return;
    for (const GraphNode* before : node.before) visit(*before);
    operations.push_back(node.run);
  };
  for (const GraphNode& node : graph.nodes) visit(node);
  return operations;
}

std::vector<GraphNode*> after(const GraphNode& node) {
  std::vector<GraphNode*> found;
  for (GraphNode& other : node.graph->nodes)
    if (std::count(other.before.begin(), other.before.end(), &node)) found.push_back(&other);
  return found;
}

// The driver's way to give a list: as many as there is room for, or how many there are.
int give(const std::vector<GraphNode*>& from, GraphNode** to, size_t* count) {
  if (to) std::copy_n(from.begin(), std::min(*count, from.size()), to);
  return *count = from.size(), kSuccess;
}

}  // namespace

Graph* tw_emulator::make_graph(std::vector<Capture::Recorded> operations) {
  auto* graph = new Graph;
  GraphNode* last = nullptr;
  for (Capture::Recorded& operation : operations) {
    graph->nodes.push_back({graph, std::move(operation.run), operation.fill, {}});
    if (last) graph->nodes.back().before.push_back(last);
    last = &graph->nodes.back();
  }
  return graph;
}

TW_DRIVER cuGraphInstantiateWithFlags(ExecutableGraph** executable, Graph* graph, unsigned long long) {
  if (const int result = begin_call("cuGraphInstantiate")) return result;
  return *executable = new ExecutableGraph{in_order(*graph)}, kSuccess;
}
TW_DRIVER cuGraphLaunch(ExecutableGraph* executable, void* stream) {
  const std::lock_guard lock(driver_lock());
  trace("graph " + std::to_string(executable->operations.size()));
  for (const Operation& operation : executable->operations)
    if (const int result = enqueue(stream, operation)) return result;
  return kSuccess;
}
TW_DRIVER cuGraphExecDestroy(ExecutableGraph* executable) { return delete executable, kSuccess; }
TW_DRIVER cuGraphDestroy(Graph* graph) { return delete graph, kSuccess; }

TW_DRIVER cuGraphGetNodes(Graph* graph, GraphNode** nodes, size_t* count) {
  std::vector<GraphNode*> all;
  for (GraphNode& node : graph->nodes) all.push_back(&node);
  return give(all, nodes, count);
}
TW_DRIVER cuGraphNodeGetType(GraphNode* node, int* type) {
  return *type = node->fill ? kFillNode : kKernelNode, kSuccess;
}
TW_DRIVER cuGraphNodeGetDependencies(GraphNode* node, GraphNode** nodes, size_t* count) {
  return give(node->before, nodes, count);
}
TW_DRIVER cuGraphNodeGetDependentNodes(GraphNode* node, GraphNode** nodes, size_t* count) {
  return give(after(*node), nodes, count);
}
TW_DRIVER cuGraphMemsetNodeGetParams(GraphNode* node, FillParameters* parameters) {
  if (!node->fill) return kInvalidValue;
  return *parameters = *node->fill, kSuccess;
}
TW_DRIVER cuGraphAddKernelNode_v2(GraphNode** made, Graph* graph, GraphNode* const* before, size_t count,
                                  const KernelNodeParameters* p) {
  auto launch = std::make_shared<Launch>();
  launch->grid = p->grid;
  launch->block = p->block;
  launch->shared_bytes = p->shared_bytes;
  if (const int result = prepare(p->function, *launch, p->parameters, p->extra)) return result;
  graph->nodes.push_back({graph, [launch] { return run_checked(*launch); }, {}, {before, before + count}});
  return *made = &graph->nodes.back(), kSuccess;
}
TW_DRIVER cuGraphAddDependencies(Graph*, GraphNode* const* from, GraphNode* const* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i]->before.push_back(from[i]);
  return kSuccess;
}
TW_DRIVER cuGraphDestroyNode(GraphNode* node) {
  for (GraphNode* waiting : after(*node)) std::erase(waiting->before, node);
  return node->graph->nodes.remove_if([&](const GraphNode& other) { return &other == node; }), kSuccess;
}
