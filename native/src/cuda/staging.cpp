#include "cuda/staging.h"

#include <algorithm>

#include "cuda/driver.h"

namespace tw::cuda {
namespace {

constexpr size_t kAlignment = 256, kLeastChunk = size_t{1} << 20;
// Of one queue. Locked memory is taken from everybody: larger copies go without.
constexpr size_t kMost = size_t{32} << 20;
constexpr unsigned kForAllContexts = 1;

}  // namespace

void Staging::free() {
  for (const Chunk& chunk : chunks_) driver().cuMemFreeHost(chunk.data);
  chunks_.clear();
}

std::byte* Staging::take(size_t bytes) {
  const size_t wanted = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto chunk = std::find_if(chunks_.begin(), chunks_.end(), [&](const Chunk& c) { return c.bytes - c.used >= wanted; });
  if (chunk == chunks_.end()) {
    const size_t size = std::max(wanted, kLeastChunk);
    if (size > kMost || this->bytes() > kMost - size) return nullptr;
    void* data = nullptr;
    if (driver().cuMemHostAlloc(&data, size, kForAllContexts) != kSuccess) return nullptr;
    chunk = chunks_.insert(chunks_.end(), Chunk{static_cast<std::byte*>(data), size, 0});
  }
  std::byte* const room = chunk->data + chunk->used;
  chunk->used += wanted;
  return room;
}

void Staging::reset() {
  for (Chunk& chunk : chunks_) chunk.used = 0;
}

size_t Staging::bytes() const {
  size_t sum = 0;
  for (const Chunk& chunk : chunks_) sum += chunk.bytes;
  return sum;
}

}  // namespace tw::cuda
