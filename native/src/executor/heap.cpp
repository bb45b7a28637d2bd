#include "executor/heap.h"

#include <algorithm>

namespace tw {

size_t OffsetPlanner::take(size_t bytes) {
  bytes = rounded(bytes);
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it)
    if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
  if (best == free_.end()) {
    // The last range may reach the end: it grows instead of leaving a hole.
    size_t offset = peak_;
    if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == peak_) {
      offset = free_.rbegin()->first;
      free_.erase(std::prev(free_.end()));
    }
    peak_ = offset + bytes;
    return offset;
  }
  const auto [offset, size] = *best;
  free_.erase(best);
  if (size > bytes) free_[offset + bytes] = size - bytes;
  return offset;
}

void OffsetPlanner::give(size_t offset, size_t bytes) {
  bytes = rounded(bytes);
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  free_[offset] = bytes;
}

Block HeapPool::take(size_t bytes) {
  // A block four times too large serves another value better.
  const size_t largest = std::max<size_t>(bytes * 4, 4096);
  size_t best = free_.size();
  for (size_t i = 0; i < free_.size(); ++i) {
    const size_t capacity = free_[i].block.capacity();
    if (capacity >= bytes && capacity <= largest && (best == free_.size() || capacity < free_[best].block.capacity()))
      best = i;
  }
  if (best == free_.size()) return Block(bytes);
  Block block = std::move(free_[best].block);
  free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(best));
  return block;
}

void HeapPool::give(Block block) {
  if (block.data()) free_.push_back({std::move(block), 0});
}

void HeapPool::end_run() {
  constexpr unsigned kRuns = 4;
  std::erase_if(free_, [](Free& f) { return ++f.unused_runs > kRuns; });
}

size_t HeapPool::bytes() const {
  size_t sum = 0;
  for (const Free& f : free_) sum += f.block.capacity();
  return sum;
}

}  // namespace tw
