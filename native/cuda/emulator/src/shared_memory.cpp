#include "shared_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace tw_emulator {

constexpr char kCanary = static_cast<char>(0xA5);

char* SharedMemory::prepare(size_t bytes) {
  if (!end_) {
    constexpr size_t kBytes = 256 * 1024, kPage = 4096;
    void* memory = mmap(nullptr, kBytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    end_ = static_cast<char*>(memory) + kBytes;
    mprotect(end_, kPage, PROT_NONE);
  }
  size_ = bytes;
  begin_ = end_ - (bytes + kAlignment - 1) / kAlignment * kAlignment;
  std::memset(begin_ - kAlignment, kCanary, kAlignment);
  std::memset(begin_, 0xFF, bytes);
  std::memset(begin_ + bytes, kCanary, static_cast<size_t>(end_ - begin_) - bytes);
  return begin_;
}

bool SharedMemory::intact() const {
  const auto untouched = [](char c) { return c == kCanary; };
  return std::all_of(begin_ - kAlignment, begin_, untouched) && std::all_of(begin_ + size_, end_, untouched);
}

}  // namespace tw_emulator
