// Ordinary contents for tensors that nobody has numbers for: the same in every process.
#pragma once
#include <cstdint>

#include "base/tensor.h"

namespace tw {

// xorshift64*
class Random {
 public:
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-52 - 1; }  // in [-1, 1)

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

// Fills a dense tensor of the host. No NaN, infinity or denormal, whose arithmetic may be slower; wide integers are 0 or
// 1, which are valid indices and sizes nearly everywhere.
void fill(const Tensor& tensor, Random& random);

}  // namespace tw
