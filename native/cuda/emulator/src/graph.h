// Graphs as nodes and edges, so that what is recorded can be changed before it is made executable.
#pragma once
#include <list>
#include <optional>
#include <vector>

#include "capture.h"

namespace tw_emulator {

struct Graph;

struct GraphNode {
  Graph* graph;
  Operation run;
  std::optional<FillParameters> fill;  // what it does, if that is to fill memory
  std::vector<GraphNode*> before;      // what it waits for
};
struct Graph {
  std::list<GraphNode> nodes;
};

// Each operation after the one before.
Graph* make_graph(std::vector<Capture::Recorded> operations);

}  // namespace tw_emulator
