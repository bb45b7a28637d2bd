// Page-locked host memory that copies to and from a device pass through: only such memory is copied while the host goes
// on. Copies of ordinary memory make the caller wait while the driver stages them piece by piece.
#pragma once
#include <cstddef>
#include <vector>

namespace tw::cuda {

class Staging {
 public:
  Staging() = default;
  // What free() has left is the process's until its end: it belongs to a device that is lost.
  ~Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Room for `bytes` until the next reset(); null where that is more than is kept, or the system locks no more.
  // The device is current on the calling thread.
  std::byte* take(size_t bytes);
  // All copies are done.
  void reset();
  // The same, for good. The device is current.
  void free();
  size_t bytes() const;

 private:
  struct Chunk {
    std::byte* data;
    size_t bytes, used;
  };
  std::vector<Chunk> chunks_;
};

}  // namespace tw::cuda
