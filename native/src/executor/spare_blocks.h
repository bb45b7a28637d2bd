// Memory of outputs that nobody reads any more, kept for the next run's: the system's fresh pages cost more time than
// many a kernel takes to fill them.
#pragma once
#include <cstddef>
#include <mutex>
#include <vector>

#include "executor/block.h"

namespace tw {

// Any thread may take and give.
class SpareBlocks {
 public:
  // At least `bytes`, with any contents. Throws kOutOfMemory.
  Block take(size_t bytes);
  void give(Block block);

 private:
  std::mutex mutex_;
  std::vector<Block> free_;
  size_t bytes_ = 0;
};

}  // namespace tw
