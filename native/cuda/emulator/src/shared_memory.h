// Dynamic shared memory of one block: ends at a page that nobody may touch, poisoned for every block.
#pragma once
#include <cstddef>

namespace tw_emulator {

class SharedMemory {
 public:
  static constexpr size_t kAlignment = 1024, kMaximum = 227 * 1024;

  char* prepare(size_t bytes);  // 1024-aligned; filled with 0xFF
  bool intact() const;          // whether nothing was written around it
  char* begin() const { return begin_; }
  size_t size() const { return size_; }

 private:
  char* end_ = nullptr;  // of the accessible pages
  char* begin_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tw_emulator
