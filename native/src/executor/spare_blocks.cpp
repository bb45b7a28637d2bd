#include "executor/spare_blocks.h"

namespace tw {
namespace {

constexpr size_t kSmallest = size_t{64} << 10;  // the allocator keeps smaller ones itself
constexpr size_t kKept = size_t{64} << 20;      // JavaScript collects buffers by about this many bytes

}  // namespace

Block SpareBlocks::take(size_t bytes) {
  if (bytes >= kSmallest) {
    const std::lock_guard lock(mutex_);
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->capacity() < bytes || it->capacity() / 2 > bytes) continue;
      Block block = std::move(*it);
      free_.erase(it);
      bytes_ -= block.capacity();
      return block;
    }
  }
  return Block(bytes);
}

void SpareBlocks::give(Block block) {
  if (block.capacity() < kSmallest) return;
  const std::lock_guard lock(mutex_);
  if (bytes_ + block.capacity() > kKept) return;
  bytes_ += block.capacity();
  free_.push_back(std::move(block));
}

}  // namespace tw
