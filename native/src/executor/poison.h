// Test mode: which arena bytes hold nothing anybody may read once a step has run.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "executor/program.h"

namespace tw {

// For every step, [begin, end) ranges of the arena: values that die there, less what lives on or was just written
// in their place.
std::vector<std::vector<std::pair<size_t, size_t>>> poison_ranges(const Program& program, bool on_device);

}  // namespace tw
