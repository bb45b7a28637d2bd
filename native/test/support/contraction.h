// Tensors of odd layouts for the contraction tests, and a direct way to run one kernel.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "base/isa.h"
#include "base/kernel.h"
#include "support/check.h"

namespace test {

inline std::mt19937& random_engine() {
  static std::mt19937 engine(20240611);
  return engine;
}
inline int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_engine());
}
inline float uniform() { return std::uniform_real_distribution<float>(-1, 1)(random_engine()); }

// A tensor in memory of its own, filled with NaN around and, for outputs, inside the view.
template <typename T = float>
struct Array {
  std::vector<T> memory;
  tw::Tensor tensor;

  // `order` lists the axes from outermost to innermost; `gap` elements follow every run of the innermost one.
  Array(std::vector<int64_t> dims, std::vector<int> order = {}, int64_t gap = 0) {
    const int rank = static_cast<int>(dims.size());
    if (order.empty()) {
      order.resize(dims.size());
      std::iota(order.begin(), order.end(), 0);
    }
    tensor.dtype = tw::DTypeOf<T>::value;
    tensor.rank = rank;
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; --i) {
      const int axis = order[static_cast<size_t>(i)];
      tensor.dims[axis] = dims[static_cast<size_t>(axis)];
      tensor.strides[axis] = stride;
      stride = stride * std::max<int64_t>(dims[static_cast<size_t>(axis)], 1) + (i == rank - 1 ? gap : 0);
    }
    memory.assign(static_cast<size_t>(stride) + 32, poison());
    tensor.data = memory.data() + 16;
  }
  static T poison() {
    if constexpr (std::numeric_limits<T>::has_quiet_NaN)
      return std::numeric_limits<T>::quiet_NaN();
    else
      return static_cast<T>(0x5a);
  }
  int64_t offset(int64_t linear) const {
    int64_t o = 0;
    for (int i = tensor.rank - 1; i >= 0; --i) {
      o += linear % tensor.dims[i] * tensor.strides[i];
      linear /= tensor.dims[i];
    }
    return o;
  }
  // Element `linear` in logical row-major order.
  T& operator[](int64_t linear) { return tensor.as<T>()[offset(linear)]; }
  T operator[](int64_t linear) const { return tensor.as<T>()[offset(linear)]; }
  void randomize() {
    for (int64_t i = 0; i < tensor.count(); ++i) {
      if constexpr (std::is_floating_point_v<T>)
        (*this)[i] = static_cast<T>(uniform());
      else
        (*this)[i] = static_cast<T>(pick(std::is_signed_v<T> ? -100 : 0, 100));
    }
  }
  // Nothing outside the view has been written.
  bool surroundings_intact() const {
    std::vector<bool> inside(memory.size());
    for (int64_t i = 0; i < tensor.count(); ++i) inside[static_cast<size_t>(16 + offset(i))] = true;
    const T p = poison();
    for (size_t i = 0; i < memory.size(); ++i) {
      if (!inside[i] && std::memcmp(&memory[i], &p, sizeof(T)) != 0) return false;
    }
    return true;
  }
};

inline std::vector<int> random_order(size_t rank) {
  std::vector<int> order(rank);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random_engine());
  return order;
}

struct NoOutputs final : tw::OutputAllocator {
  void allocate(size_t, std::span<const int64_t>) override {
    throw tw::Error(tw::Code::kInternal, "unexpected allocation");
  }
};

inline void run_kernel(std::string_view name, const tw::Attributes& attributes, std::vector<tw::Tensor> inputs,
                       std::vector<tw::Tensor> outputs, int threads) {
  const auto kernel = tw::make_kernel(name, {attributes, inputs, outputs});
  static tw::ThreadPool pools[] = {tw::ThreadPool(1), tw::ThreadPool(2), tw::ThreadPool(3)};
  tw::ThreadPool& pool = pools[threads - 1];
  kernel->check(inputs, outputs);
  const size_t bytes = kernel->workspace_bytes(inputs, outputs, pool.threads());
  std::vector<float> workspace(bytes / 4 + 64, std::numeric_limits<float>::quiet_NaN());
  // The kernel may not write beyond what it asked for.
  auto address = reinterpret_cast<uintptr_t>(workspace.data());
  std::byte* aligned = reinterpret_cast<std::byte*>((address + 63) / 64 * 64);
  const std::byte guard{0x77};
  for (int i = 0; i < 32; ++i) aligned[bytes + static_cast<size_t>(i)] = guard;
  NoOutputs none;
  const std::atomic<bool> cancelled{false};
  tw::KernelContext context{pool, none, aligned, cancelled};
  kernel->run(context, inputs, outputs);
  bool intact = true;
  for (int i = 0; i < 32; ++i) intact &= aligned[bytes + static_cast<size_t>(i)] == guard;
  CHECK_MSG(intact, std::string(name) + " wrote beyond its workspace");
}

// Runs `body` once for each instruction set level that this processor has.
template <typename F>
void on_every_isa(F&& body) {
  for (int level = 0; level <= static_cast<int>(tw::detected_isa()); ++level) {
    tw::limit_isa(static_cast<tw::Isa>(level));
    body(std::string(tw::name(tw::isa())));
  }
  tw::limit_isa(tw::Isa::kAmx);
}

}  // namespace test
