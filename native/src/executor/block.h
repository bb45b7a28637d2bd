// A piece of memory that grows: 64-byte aligned, large ones on huge pages where the system has them.
#pragma once
#include <cstddef>
#include <utility>

namespace tw {

class Block {
 public:
  Block() = default;
  // Throws kOutOfMemory.
  explicit Block(size_t bytes) { reserve(bytes); }
  Block(Block&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { reset(); }

  // At least `bytes`, the first `keep` of them with their old contents. Never null afterwards.
  std::byte* reserve(size_t bytes, size_t keep = 0);
  void reset();

  std::byte* data() const { return data_; }
  size_t capacity() const { return capacity_; }

 private:
  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
};

// Where tensors without elements point: present, and never read.
std::byte* no_elements();

}  // namespace tw
