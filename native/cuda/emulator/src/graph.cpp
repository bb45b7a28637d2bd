#include "graph.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

using namespace tw_emulator;

namespace {

// CUgraphNodeType; nobody asks whether another node is a kernel or a copy.
constexpr int kKernelNode = 0, kFillNode = 2;

struct ExecutableGraph {
  std::vector<Operation> orders[2];
  size_t launches = 0;
};

struct KernelNodeParameters {
  Function* function;
  uint3 grid, block;
  unsigned shared_bytes;
  void** parameters;
  void** extra;
};

// An order that the edges allow: of what could run, always the node that was added last, or first. One that lacks an edge
// comes too early in the one, or too late in the other.
std::vector<Operation> in_order(const Graph& graph, bool last_first) {
  std::map<const GraphNode*, size_t> places, waits;
  std::map<const GraphNode*, std::vector<const GraphNode*>> followers;
  std::map<size_t, const GraphNode*> ready;
  for (const GraphNode& node : graph.nodes) {
    places.emplace(&node, places.size());
    if ((waits[&node] = node.before.size()) == 0) ready[places[&node]] = &node;
    for (const GraphNode* before : node.before) followers[before].push_back(&node);
  }
  std::vector<Operation> operations;
  while (!ready.empty()) {
    const auto next = last_first ? std::prev(ready.end()) : ready.begin();
    const GraphNode* node = next->second;
    ready.erase(next);
    operations.push_back(node->run);
    for (const GraphNode* follower : followers[node])
      if (--waits[follower] == 0) ready[places[follower]] = follower;
  }
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
  return *executable = new ExecutableGraph{{in_order(*graph, true), in_order(*graph, false)}}, kSuccess;
}
TW_DRIVER cuGraphLaunch(ExecutableGraph* executable, void* stream) {
  const std::lock_guard lock(driver_lock());
  // In turns.
  const auto& operations = executable->orders[executable->launches++ % 2];
  trace("graph " + std::to_string(operations.size()));
  for (const Operation& operation : operations)
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
