#include "executor/block.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

namespace tw {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMapFrom = 2 * kHugePage;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

#if defined(_WIN32)

std::byte* take(size_t bytes) { return static_cast<std::byte*>(_aligned_malloc(bytes, kAlignment)); }
void give(std::byte* data, size_t) { _aligned_free(data); }

#else

std::byte* take(size_t bytes) {
  if (bytes < kMapFrom) return static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes));
  // Mapped with room to align to a huge page; what is over goes back.
  void* mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  auto* data = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(begin), kHugePage));
  if (data != begin) munmap(begin, static_cast<size_t>(data - begin));
  const size_t after = kHugePage - static_cast<size_t>(data - begin);
  if (after) munmap(data + bytes, after);
#if defined(MADV_HUGEPAGE)
  madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void give(std::byte* data, size_t bytes) {
  if (bytes < kMapFrom)
    std::free(data);
  else
    munmap(data, bytes);
}

#endif

}  // namespace

std::byte* Block::reserve(size_t bytes, size_t keep) {
  if (bytes <= capacity_ && data_) return data_;
  if (bytes > SIZE_MAX / 4) throw Error(Code::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
  const size_t size = round_up(bytes < kAlignment ? kAlignment : bytes, bytes < kMapFrom ? kAlignment : kHugePage);
  if (!keep) reset();
  std::byte* data = take(size);
  if (!data) throw Error(Code::kOutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
  if (keep) {
    std::memcpy(data, data_, keep);
    reset();
  }
  data_ = data;
  capacity_ = size;
  return data_;
}

void Block::reset() {
  if (data_) give(data_, capacity_);
  data_ = nullptr;
  capacity_ = 0;
}

std::byte* no_elements() {
  alignas(kAlignment) static std::byte nothing[kAlignment];
  return nothing;
}

}  // namespace tw
