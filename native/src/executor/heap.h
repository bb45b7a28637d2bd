// Memory of values the plan gave no place: planned once shapes are known, or taken and given back as steps run.
#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "executor/block.h"

namespace tw {

// Offsets in a block that does not exist yet: best fit, neighbours merge again.
class OffsetPlanner {
 public:
  explicit OffsetPlanner(size_t alignment = 64) : alignment_(alignment) {}
  size_t take(size_t bytes);
  void give(size_t offset, size_t bytes);
  size_t peak() const { return peak_; }

 private:
  size_t rounded(size_t bytes) const {
    return (bytes + alignment_ - 1) / alignment_ * alignment_ + (bytes == 0 ? alignment_ : 0);
  }

  const size_t alignment_;

  std::map<size_t, size_t> free_;  // offset → bytes
  size_t peak_ = 0;
};

// Blocks between uses. Those that several runs did not need are freed.
class HeapPool {
 public:
  Block take(size_t bytes);
  void give(Block block);
  void end_run();
  size_t bytes() const;

 private:
  struct Free {
    Block block;
    unsigned unused_runs;
  };
  std::vector<Free> free_;
};

}  // namespace tw
