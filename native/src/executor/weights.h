// The plan's weights: one read-only block, shared by every program and context made from it.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "executor/block.h"

namespace tw {

class Weights {
 public:
  // Maps part of a file; where the offset is not a multiple of 64, or mapping fails, the bytes are read instead.
  static std::shared_ptr<const Weights> map(const std::string& path, uint64_t offset, uint64_t bytes);
  static std::shared_ptr<const Weights> copy(std::span<const std::byte> bytes);

  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Weights() = default;
  void read(const std::string& path, uint64_t offset);

  Block owned_;
  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  const std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tw
