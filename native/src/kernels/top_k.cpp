// topK(x, k){axis, largest, sorted}: the k best elements along an axis, best first, equal ones by index. NaN counts as
// the largest number.
#include <algorithm>
#include <numeric>

#include "base/convert.h"
#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"

namespace tw {
namespace {

class TopK final : public Kernel {
 public:
  explicit TopK(const StepInfo& step) : axis_(step.attributes.integer("axis", -1)), largest_(step.attributes.flag("largest", true)) {
    visit_number("topK", step.inputs[0].dtype, [](auto) {});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int axis = normalize_axis(axis_, x.rank, "topK axis");
    const int64_t k = read_integer(inputs[1], "k of topK"), extent = x.dims[axis];
    if (k < 0 || k > extent)
      throw Error(Code::kInvalidArgument, "topK: k is " + std::to_string(k) + ", expected at most the axis's " + std::to_string(extent) + " elements");
    std::vector<int64_t> dims(x.dims, x.dims + x.rank);
    dims[static_cast<size_t>(axis)] = k;
    resolve_output(context, outputs, 0, dims);
    resolve_output(context, outputs, 1, dims);
    if (k == 0) return;
    visit_number("topK", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (largest_) rows<T, true>(context, x, outputs, axis, k);
      else rows<T, false>(context, x, outputs, axis, k);
    });
  }

 private:
  template <typename T, bool largest>
  static void rows(KernelContext& context, const Tensor& x, std::span<Tensor> outputs, int axis, int64_t k) {
    const bool values = wanted(outputs, 0), indices = wanted(outputs, 1);
    const Rows<const T> in(x, axis, axis + 1);
    const Rows<T> out(outputs[0], axis, axis + 1);
    const Rows<int64_t> places(indices ? outputs[1] : outputs[0], axis, axis + 1);
    const int64_t n = in.length();
    if (n > INT32_MAX) throw Error(Code::kLimitExceeded, "topK: the axis has more than 2^31 elements");
    context.pool.parallel_ranges(in.count(), std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> scratch(in.dense() ? 0 : static_cast<size_t>(n));
      std::vector<int32_t> order;
      std::vector<uint64_t> keys;
      for (int64_t row = begin; row < end; ++row) {
        const T* p = scratch.data();
        if (in.dense()) p = in.at(row);
        else for (int64_t i = 0; i < n; ++i) scratch[static_cast<size_t>(i)] = in.at(row)[i * in.stride()];
        const auto before = [p](int32_t a, int32_t b) {
          const T u = p[a], v = p[b];
          if (largest ? u > v : u < v) return true;
          if (largest ? u < v : u > v) return false;
          if constexpr (std::is_floating_point_v<T>)
            if ((u != u) != (v != v)) return (u != u) == largest;
          return a < b;
        };
        if constexpr (std::is_same_v<T, float>) {
          if (k > kFew) best_by_keys<largest>(keys, order, p, n, k);
          else best(order, n, k, before);
        } else {
          best(order, n, k, before);
        }
        for (int64_t i = 0; i < k; ++i) {
          const int32_t at = order[static_cast<size_t>(i)];
          if (values) out.at(row)[i * out.stride()] = p[at];
          if (indices) places.at(row)[i * places.stride()] = at;
        }
      }
    });
  }

  // Selects and sorts numbers instead of places: the value's bits so that they sort as it does, then the place.
  template <bool largest>
  static void best_by_keys(std::vector<uint64_t>& keys, std::vector<int32_t>& order, const float* p, int64_t n, int64_t k) {
    keys.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t bits = p[i] != p[i] ? 0x7FFFFFFFu : bits_of(p[i] + 0.0f);  // both zeros are one
      const uint32_t rising = bits ^ (bits >> 31 ? 0xFFFFFFFFu : 0x80000000u);
      keys[static_cast<size_t>(i)] = static_cast<uint64_t>(largest ? ~rising : rising) << 32 | static_cast<uint64_t>(i);
    }
    if (k < n) std::nth_element(keys.begin(), keys.begin() + k, keys.end());
    std::sort(keys.begin(), keys.begin() + k);
    order.resize(static_cast<size_t>(k));
    for (int64_t i = 0; i < k; ++i) order[static_cast<size_t>(i)] = static_cast<int32_t>(keys[static_cast<size_t>(i)] & 0xFFFFFFFFu);
  }

  static constexpr int64_t kFew = 8;

  // Few: one pass that keeps the best so far in order. Otherwise selection, then a sort of what was selected.
  template <typename Before>
  static void best(std::vector<int32_t>& order, int64_t n, int64_t k, const Before& before) {
    if (k <= kFew) {
      order.clear();
      for (int32_t i = 0; i < n; ++i) {
        if (static_cast<int64_t>(order.size()) == k) {
          if (!before(i, order.back())) continue;
          order.pop_back();
        }
        order.insert(std::upper_bound(order.begin(), order.end(), i, before), i);
      }
      return;
    }
    order.resize(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    if (k < n) std::nth_element(order.begin(), order.begin() + k, order.end(), before);
    std::sort(order.begin(), order.begin() + k, before);
  }

  int64_t axis_;
  bool largest_;
};

}  // namespace

void register_top_k() { register_kernel("topK", adapted<make<TopK>, kStridedNumbers,
                                  Signature{.min_inputs = 2, .max_inputs = 2, .max_outputs = 2, .int64_outputs = 0b10, .sizes_outputs = true}>); }

}  // namespace tw
