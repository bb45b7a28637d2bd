// Runs one kernel on tensors with their own memory, in any layout, surrounded by and filled with bytes that no kernel may
// rely on.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/kernel.h"

namespace test {

struct Buffer {
  tw::Tensor tensor;
  std::unique_ptr<std::byte[]> memory;

  Buffer() { tensor.rank = -1; }

  // `order`: the axes from outermost to innermost in memory; the innermost has this stride.
  void make(tw::DType dtype, const std::vector<int64_t>& dims, std::vector<int> order = {}, int64_t stride = 1) {
    tensor = {};
    tensor.dtype = dtype;
    tensor.rank = static_cast<int>(dims.size());
    std::copy(dims.begin(), dims.end(), tensor.dims);
    if (order.empty()) {
      order.resize(dims.size());
      std::iota(order.begin(), order.end(), 0);
    }
    for (size_t k = order.size(); k-- > 0;) {
      tensor.strides[order[k]] = stride;
      stride *= std::max<int64_t>(1, tensor.dims[order[k]]);
    }
    bytes_ = std::max<size_t>(1, tw::packed_bytes(dtype, stride));
    memory = std::make_unique<std::byte[]>(bytes_ + kGuard);
    std::memset(memory.get(), 0xCD, bytes_ + kGuard);
    tensor.data = memory.get();
  }
  // Whether nothing was written behind the tensor.
  bool guarded() const {
    for (size_t i = bytes_; memory && i < bytes_ + kGuard; ++i)
      if (memory[i] != std::byte{0xCD}) return false;
    return true;
  }

  template <typename F>
  void each(F&& fn) const {  // (dense index, offset in elements)
    const int64_t n = tensor.count();
    for (int64_t i = 0; i < n; ++i) {
      int64_t rest = i, offset = 0;
      for (int k = tensor.rank; k-- > 0;) {
        offset += rest % tensor.dims[k] * tensor.strides[k];
        rest /= tensor.dims[k];
      }
      fn(i, offset);
    }
  }
  template <typename T>
  void fill(const std::vector<T>& dense) {
    each([&](int64_t i, int64_t offset) { tensor.as<T>()[offset] = dense[static_cast<size_t>(i)]; });
  }
  template <typename T>
  std::vector<T> values() const {
    std::vector<T> out;
    each([&](int64_t, int64_t offset) { out.push_back(tensor.as<T>()[offset]); });
    return out;
  }

 private:
  static constexpr size_t kGuard = 256;
  size_t bytes_ = 0;
};

template <typename T>
Buffer tensor(const std::vector<int64_t>& dims, const std::vector<T>& dense, std::vector<int> order = {}, int64_t stride = 1) {
  Buffer b;
  b.make(tw::DTypeOf<T>::value, dims, std::move(order), stride);
  b.fill(dense);
  return b;
}

inline std::vector<float> random_floats(int64_t n, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> draw(low, high);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = draw(generator);
  return out;
}

inline int64_t count_of(const std::vector<int64_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

// Outputs of unknown shape come out row-major.
class Allocator final : public tw::OutputAllocator {
 public:
  Allocator(std::vector<Buffer>& buffers, std::span<tw::Tensor> tensors) : buffers_(buffers), tensors_(tensors) {}
  void allocate(size_t index, std::span<const int64_t> dims) override {
    buffers_[index].make(tensors_[index].dtype, {dims.begin(), dims.end()});
    tensors_[index] = buffers_[index].tensor;
  }

 private:
  std::vector<Buffer>& buffers_;
  std::span<tw::Tensor> tensors_;
};

// Throws tw::Error as the kernel does. Constants are inputs whose data the kernel sees when it is made.
inline void run_kernel(const std::string& name, const tw::Attributes& attributes, const std::vector<Buffer>& inputs, std::vector<Buffer>& outputs,
                       bool constants = false, int threads = 2) {
  std::vector<tw::Tensor> in, out;
  for (const Buffer& b : inputs) in.push_back(b.tensor);
  for (const Buffer& b : outputs) out.push_back(b.tensor);
  std::vector<tw::Tensor> described = in;
  if (!constants)
    for (tw::Tensor& t : described) t.data = nullptr;
  const auto kernel = tw::make_kernel(name, {attributes, described, out});
  kernel->check(in, out);
  tw::ThreadPool pool(threads);
  const size_t bytes = kernel->workspace_bytes(in, out, pool.threads());
  std::unique_ptr<std::byte[]> memory(new std::byte[bytes + 64]);
  std::memset(memory.get(), 0xCD, bytes + 64);
  const std::atomic<bool> cancelled{false};
  Allocator allocator(outputs, out);
  tw::KernelContext context{pool, allocator, memory.get() + (64 - reinterpret_cast<uintptr_t>(memory.get()) % 64), cancelled};
  kernel->run(context, in, out);
}

}  // namespace test
