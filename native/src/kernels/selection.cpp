// nonZero, compress{axis?} and unique{axis?, sorted}: how many elements come out is decided by the data.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class NonZero final : public Kernel {
 public:
  explicit NonZero(const StepInfo& step) { visit_number("nonZero", step.inputs[0].dtype, [](auto) {}); }

  // Counts per part first, so that the parts can write in parallel.
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int64_t n = x.count(), rank = std::max(1, x.rank), parts = std::clamp<int64_t>(n / 16384, 1, 64);
    visit_number("nonZero", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* p = x.as<T>();
      std::vector<int64_t> starts(static_cast<size_t>(parts) + 1, 0);
      context.pool.parallel_for(parts, [&](int64_t part, int) {
        int64_t found = 0;
        for (int64_t i = n * part / parts; i < n * (part + 1) / parts; ++i) found += p[i] != 0;
        starts[static_cast<size_t>(part) + 1] = found;
      });
      std::partial_sum(starts.begin(), starts.end(), starts.begin());
      const int64_t total = starts.back();
      resolve_output(context, outputs, 0, {rank, total});
      int64_t* out = outputs[0].as<int64_t>();
      context.pool.parallel_for(parts, [&](int64_t part, int) {
        Walk<1> walk;
        for (int i = 0; i < x.rank; ++i) walk.add(x.dims[i], {0});
        const int64_t begin = n * part / parts, end = n * (part + 1) / parts;
        int64_t at = starts[static_cast<size_t>(part)];
        walk.seek(begin);
        for (int64_t i = begin; i < end; ++i, walk.next()) {
          if (p[i] == 0) continue;
          if (x.rank == 0) out[at] = 0;
          for (int k = 0; k < x.rank; ++k) out[k * total + at] = walk.index[k];
          ++at;
        }
      });
    });
  }
};

// The slices `kept` of x along an axis, or of x flattened.
void pick(KernelContext& context, const Tensor& x, bool flat, int axis, const std::vector<int64_t>& kept, std::span<Tensor> outputs) {
  std::vector<int64_t> dims = flat ? std::vector<int64_t>{x.count()} : std::vector<int64_t>(x.dims, x.dims + x.rank);
  const auto a = static_cast<size_t>(axis);
  const int64_t extent = dims[a], outer = product(dims.data(), 0, axis), inner = product(dims.data(), axis + 1, static_cast<int>(dims.size()));
  dims[a] = static_cast<int64_t>(kept.size());
  resolve_output(context, outputs, 0, dims);
  if (!outputs[0].data) return;
  const auto bytes = static_cast<size_t>(inner * (info(x.dtype).bits / 8));
  std::byte* to = outputs[0].as<std::byte>();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i : kept) {
      std::memcpy(to, x.as<std::byte>() + static_cast<size_t>(o * extent + i) * bytes, bytes);
      to += bytes;
    }
}

class Compress final : public Kernel {
 public:
  explicit Compress(const StepInfo& step) : flat_(!step.attributes.has("axis")), axis_(step.attributes.integer("axis", 0)) {
    visit_size("compress", step.inputs[0].dtype, [](auto) {});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int axis = flat_ ? 0 : normalize_axis(axis_, x.rank, "compress axis");
    const int64_t extent = flat_ ? x.count() : x.dims[axis];
    const std::vector<int64_t> condition = read_integers(inputs[1], "the condition of compress");
    std::vector<int64_t> kept;
    for (size_t i = 0; i < condition.size(); ++i)
      if (condition[i]) kept.push_back(static_cast<int64_t>(i));
    if (!kept.empty() && kept.back() >= extent)
      throw Error(Code::kInvalidArgument, "compress: the condition is longer than the axis of " + std::to_string(extent) + " elements");
    pick(context, x, flat_, axis, kept, outputs);
  }

 private:
  bool flat_;
  int64_t axis_;
};

class Unique final : public Kernel {
 public:
  explicit Unique(const StepInfo& step)
      : flat_(!step.attributes.has("axis")), axis_(step.attributes.integer("axis", 0)), sorted_(step.attributes.flag("sorted", true)) {
    visit_number("unique", step.inputs[0].dtype, [](auto) {});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_number("unique", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs[0], outputs); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, std::span<Tensor> outputs) const {
    const int axis = flat_ ? 0 : normalize_axis(axis_, x.rank, "unique axis");
    const int64_t extent = flat_ ? x.count() : x.dims[axis];
    const int64_t outer = flat_ ? 1 : product(x.dims, 0, axis), inner = flat_ ? 1 : product(x.dims, axis + 1, x.rank);
    const T* p = x.as<T>();
    // Lexicographic; NaN sorts last and equals NaN.
    const auto compare = [&](int64_t a, int64_t b) {
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t k = 0; k < inner; ++k) {
          const T u = p[(o * extent + a) * inner + k], v = p[(o * extent + b) * inner + k];
          if (u < v) return -1;
          if (u > v) return 1;
          if ((u != u) != (v != v)) return u != u ? 1 : -1;
        }
      return 0;
    };
    std::vector<int64_t> order(static_cast<size_t>(extent));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return compare(a, b) < 0; });

    struct Group { int64_t first, count; };
    std::vector<Group> groups;
    std::vector<int64_t> group_of(order.size());
    for (int64_t i : order) {
      if (groups.empty() || compare(groups.back().first, i) != 0) groups.push_back({i, 0});
      ++groups.back().count;
      group_of[static_cast<size_t>(i)] = static_cast<int64_t>(groups.size()) - 1;
    }
    // `place[g]` is where group g comes out.
    std::vector<int64_t> by_place(groups.size()), place(groups.size());
    std::iota(by_place.begin(), by_place.end(), 0);
    if (!sorted_)
      std::sort(by_place.begin(), by_place.end(), [&](int64_t a, int64_t b) { return groups[static_cast<size_t>(a)].first < groups[static_cast<size_t>(b)].first; });
    std::vector<int64_t> firsts, counts;
    for (size_t i = 0; i < by_place.size(); ++i) {
      const auto g = static_cast<size_t>(by_place[i]);
      place[g] = static_cast<int64_t>(i);
      firsts.push_back(groups[g].first);
      counts.push_back(groups[g].count);
    }
    pick(context, x, flat_, axis, firsts, outputs);
    for (int64_t& g : group_of) g = place[static_cast<size_t>(g)];
    const std::vector<int64_t>* lists[] = {&firsts, &group_of, &counts};
    for (size_t k = 0; k < 3; ++k) {
      resolve_output(context, outputs, k + 1, {static_cast<int64_t>(lists[k]->size())});
      if (wanted(outputs, k + 1)) std::copy(lists[k]->begin(), lists[k]->end(), outputs[k + 1].as<int64_t>());
    }
  }

  bool flat_;
  int64_t axis_;
  bool sorted_;
};

}  // namespace

void register_selection() {
  register_kernel("nonZero", adapted<make<NonZero>, kDenseNumbers, Signature{.same_outputs = 0, .int64_outputs = 1, .sizes_outputs = true}>);
  register_kernel("compress", adapted<make<Compress>, kDenseMovement, Signature{.min_inputs = 2, .max_inputs = 2, .sizes_outputs = true}>);
  register_kernel("unique", adapted<make<Unique>, kDenseNumbers, Signature{.min_outputs = 0, .max_outputs = 4, .int64_outputs = 0b1110, .sizes_outputs = true}>);
}

}  // namespace tw
