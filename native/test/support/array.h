// Tensors of any dtype in any layout, compared by the bit patterns of their elements; kernels run on them.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/convert.h"
#include "base/kernel.h"

namespace test {

struct Array {
  tw::Tensor view;
  std::vector<std::byte> bytes;

  Array(tw::DType dtype, const std::vector<int64_t>& dims) {
    view.dtype = dtype;
    view.rank = static_cast<int>(dims.size());
    std::copy(dims.begin(), dims.end(), view.dims);
    view.set_row_major();
    resize(view.count());
  }
  Array(Array&&) = default;
  Array& operator=(Array&&) = default;

  static Array integers(const std::vector<int64_t>& values) {
    Array a(tw::DType::kInt64, {static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), a.view.as<int64_t>());
    return a;
  }

  // Axes in any order, some backwards, some with gaps.
  void lay_out(std::mt19937& random) {
    std::vector<int> order(static_cast<size_t>(view.rank));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    int64_t stride = random() % 3 == 0 ? 2 : 1, start = 0;
    for (const int axis : order) {
      view.strides[axis] = stride;
      stride = stride * std::max<int64_t>(view.dims[axis], 1) + (random() % 4 == 0 ? 3 : 0);
    }
    resize(stride);
    for (int a = 0; a < view.rank; ++a)
      if (random() % 4 == 0 && view.dims[a] > 0) {
        start += view.strides[a] * (view.dims[a] - 1);
        view.strides[a] = -view.strides[a];
      }
    view.data = bytes.data() + start * tw::info(view.dtype).bits / 8;
  }
  void channels_last() {
    int64_t stride = view.dims[1];
    view.strides[1] = 1;
    for (int a = view.rank - 1; a >= 0; --a)
      if (a != 1) view.strides[a] = stride, stride *= view.dims[a];
  }

  void randomize(std::mt19937& random) {
    each([&](const std::vector<int64_t>& index) {
      const int bits = tw::info(view.dtype).bits;
      const int64_t at = offset(index);
      const uint32_t value = view.dtype == tw::DType::kBool ? random() % 2 : static_cast<uint32_t>(random());
      if (bits == 2) return tw::set_packed<2>(view.as<uint8_t>(), at, value);
      if (bits == 4) return tw::set_packed<4>(view.as<uint8_t>(), at, value);
      for (int i = 0; i < bits / 8; ++i)
        view.as<uint8_t>()[at * bits / 8 + i] = i ? static_cast<uint8_t>(random()) : static_cast<uint8_t>(value);
    });
  }

  int64_t offset(const std::vector<int64_t>& index) const {
    int64_t at = 0;
    for (size_t a = 0; a < index.size(); ++a) at += index[a] * view.strides[a];
    return at;
  }
  // The element's bit pattern.
  std::string code(const std::vector<int64_t>& index) const {
    const int bits = tw::info(view.dtype).bits;
    const int64_t at = offset(index);
    if (bits == 2) return std::to_string(tw::get_packed<2>(view.as<uint8_t>(), at));
    if (bits == 4) return std::to_string(tw::get_packed<4>(view.as<uint8_t>(), at));
    return {view.as<char>() + at * bits / 8, static_cast<size_t>(bits / 8)};
  }

  template <typename F>
  void each(F fn) const {
    std::vector<int64_t> index(static_cast<size_t>(view.rank), 0);
    const int64_t n = view.count();
    for (int64_t i = 0; i < n; ++i) {
      fn(index);
      for (size_t a = index.size(); a-- > 0;) {
        if (++index[a] < view.dims[a]) break;
        index[a] = 0;
      }
    }
  }

  bool same_elements(const Array& other) const {
    bool same = true;
    each([&](const std::vector<int64_t>& index) { same &= code(index) == other.code(index); });
    return same;
  }
  // Whether every byte outside the elements is as it was.
  bool gaps_equal(const std::vector<std::byte>& before) const {
    std::vector<std::byte> now = bytes;
    const size_t size = static_cast<size_t>(tw::info(view.dtype).bits / 8);
    const auto start = static_cast<size_t>(view.as<std::byte>() - bytes.data());
    each([&](const std::vector<int64_t>& index) {
      const size_t at = start + static_cast<size_t>(offset(index) * static_cast<int64_t>(size));
      std::copy_n(before.begin() + static_cast<long>(at), size, now.begin() + static_cast<long>(at));
    });
    return now == before;
  }

 private:
  void resize(int64_t elements) {
    bytes.assign(tw::packed_bytes(view.dtype, elements) + 16, std::byte{0});
    view.data = bytes.data();
  }
};

// Runs a kernel; outputs of rank -1 come back in the result, at their place.
inline std::vector<Array> run_kernel(const std::string& name, const tw::Attributes& attributes,
                                     std::vector<tw::Tensor> inputs, std::vector<tw::Tensor> outputs, int threads = 3) {
  struct Allocator final : tw::OutputAllocator {
    std::vector<Array> made;
    std::vector<tw::Tensor>* outputs;
    void allocate(size_t index, std::span<const int64_t> dims) override {
      made[index] = Array((*outputs)[index].dtype, {dims.begin(), dims.end()});
      (*outputs)[index] = made[index].view;
    }
  } allocator;
  for (const auto& y : outputs) allocator.made.emplace_back(y.dtype, std::vector<int64_t>{0});
  allocator.outputs = &outputs;
  const auto kernel = tw::make_kernel(name, {attributes, inputs, outputs});
  kernel->check(inputs, outputs);
  tw::ThreadPool pool(threads);
  std::vector<std::byte> workspace(kernel->workspace_bytes(inputs, outputs, pool.threads()) + 64);
  const std::atomic<bool> cancelled{false};
  auto* aligned = workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64) % 64;
  tw::KernelContext context{pool, allocator, aligned, cancelled};
  kernel->run(context, inputs, outputs);
  return std::move(allocator.made);
}

}  // namespace test
