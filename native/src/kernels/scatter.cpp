// scatterElements{axis, reduction} and scatterND{reduction}: a copy of data with elements replaced, or combined by
// add, mul, max or min. tensorScatter{axis, mode}: updates written into a cache at each batch's position.
#include <algorithm>
#include <cstring>

#include "kernels/common/adapt.h"
#include "kernels/common/index.h"

namespace tw {
namespace {

enum class Reduction { kNone, kAdd, kMul, kMax, kMin };

Reduction reduction_of(const Attributes& a) {
  const std::string name = a.string("reduction", "none");
  if (name == "none") return Reduction::kNone;
  if (name == "add") return Reduction::kAdd;
  if (name == "mul") return Reduction::kMul;
  if (name == "max") return Reduction::kMax;
  if (name == "min") return Reduction::kMin;
  throw Error(Code::kInvalidPlan, "scatter: unknown reduction '" + name + "'");
}

template <typename T>
void combine(Reduction r, T& at, T value) {
  switch (r) {
    case Reduction::kAdd: at = static_cast<T>(at + value); break;
    case Reduction::kMul: at = static_cast<T>(at * value); break;
    case Reduction::kMax: at = value != value || value > at ? value : at; break;
    case Reduction::kMin: at = value != value || value < at ? value : at; break;
    default: at = value;
  }
}

// fn(tag of the element type): by size alone where nothing is computed.
template <typename F>
void visit_elements(const char* kernel, Reduction r, DType dtype, F&& fn) {
  if (r == Reduction::kNone) visit_size(kernel, dtype, fn);
  else visit_number(kernel, dtype, fn);
}

void copy_data(const Tensor& x, const Tensor& y) {
  if (x.data != y.data && y.count()) std::memcpy(y.data, x.data, packed_bytes(x.dtype, x.count()));
}

class ScatterElements final : public Kernel {
 public:
  explicit ScatterElements(const StepInfo& step) : axis_(step.attributes.integer("axis", 0)), reduction_(reduction_of(step.attributes)) {
    visit_elements("scatterElements", reduction_, step.inputs[0].dtype, [](auto) {});
    visit_index("scatterElements indices", step.inputs[1].dtype, [](auto) {});
  }

  void run(KernelContext&, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &indices = inputs[1], &updates = inputs[2], &y = outputs[0];
    copy_data(x, y);
    const int axis = normalize_axis(axis_, x.rank, "scatterElements axis");
    if (indices.rank != x.rank || updates.rank != x.rank || !std::equal(indices.dims, indices.dims + x.rank, updates.dims))
      throw Error(Code::kShapeMismatch, "scatterElements: indices and updates must have one shape, of data's rank");
    Walk<1> walk;
    for (int i = 0; i < x.rank; ++i) {
      if (i != axis && indices.dims[i] > x.dims[i])
        throw Error(Code::kShapeMismatch, "scatterElements: indices are larger than data along axis " + std::to_string(i));
      walk.add(indices.dims[i], {i == axis ? 0 : y.strides[i]});
    }
    const int64_t n = indices.count(), size = x.dims[axis], stride = y.strides[axis];
    visit_elements("scatterElements", reduction_, x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      visit_index("scatterElements indices", indices.dtype, [&](auto index_tag) {
        using I = typename decltype(index_tag)::type;
        walk.seek(0);
        for (int64_t i = 0; i < n; ++i, walk.next()) {
          T& at = y.as<T>()[walk.offset[0] + checked_index("scatterElements", indices.as<I>()[i], size) * stride];
          if constexpr (std::is_arithmetic_v<T>) combine(reduction_, at, updates.as<T>()[i]);
          else at = updates.as<T>()[i];
        }
      });
    });
  }

 private:
  int64_t axis_;
  Reduction reduction_;
};

class ScatterND final : public Kernel {
 public:
  explicit ScatterND(const StepInfo& step) : reduction_(reduction_of(step.attributes)) {
    visit_elements("scatterND", reduction_, step.inputs[0].dtype, [](auto) {});
    visit_index("scatterND indices", step.inputs[1].dtype, [](auto) {});
  }

  void run(KernelContext&, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &indices = inputs[1], &updates = inputs[2], &y = outputs[0];
    copy_data(x, y);
    const IndexTuples tuples(x, indices, 0, "scatterND");
    if (updates.count() != tuples.count * tuples.slice)
      throw Error(Code::kShapeMismatch, "scatterND: updates have " + std::to_string(updates.count()) + " elements, expected " +
                                            std::to_string(tuples.count * tuples.slice));
    visit_elements("scatterND", reduction_, x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      visit_index("scatterND indices", indices.dtype, [&](auto index_tag) {
        using I = typename decltype(index_tag)::type;
        for (int64_t i = 0; i < tuples.count; ++i) {
          T* to = y.as<T>() + tuples.offset(indices.as<I>() + i * tuples.length);
          const T* from = updates.as<T>() + i * tuples.slice;
          if (reduction_ == Reduction::kNone) {
            std::memcpy(to, from, static_cast<size_t>(tuples.slice) * sizeof(T));
          } else if constexpr (std::is_arithmetic_v<T>) {
            for (int64_t k = 0; k < tuples.slice; ++k) combine(reduction_, to[k], from[k]);
          }
        }
      });
    });
  }

 private:
  Reduction reduction_;
};

class TensorScatter final : public Kernel {
 public:
  explicit TensorScatter(const StepInfo& step)
      : axis_(step.attributes.integer("axis", -2)), circular_(step.attributes.string("mode", "linear") == "circular") {
    visit_size("tensorScatter", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    const Tensor &cache = inputs[0], &update = inputs[1];
    const int axis = normalize_axis(axis_, cache.rank, "tensorScatter axis");
    expect_rank("update", update, cache.rank, cache.rank);
    for (int i = 0; i < cache.rank; ++i) expect(i == axis || update.dims[i] == cache.dims[i], "update and cache differ beside the axis");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &cache = inputs[0], &update = inputs[1], &y = outputs[0];
    copy_data(cache, y);
    const int axis = normalize_axis(axis_, cache.rank, "tensorScatter axis");
    if (axis == 0) throw Error(Code::kInvalidArgument, "tensorScatter: the axis must not be the batch");
    const int64_t batches = cache.dims[0], middle = product(cache.dims, 1, axis), room = cache.dims[axis], length = update.dims[axis];
    std::vector<int64_t> positions(static_cast<size_t>(batches), 0);
    if (present(inputs, 2)) positions = read_integers(inputs[2], "tensorScatter write indices");
    if (static_cast<int64_t>(positions.size()) != batches)
      throw Error(Code::kShapeMismatch, "tensorScatter: " + std::to_string(positions.size()) + " write indices, expected one for each of " + std::to_string(batches) + " batches");
    for (int64_t p : positions)
      if (p < 0 || length > room || (!circular_ && p > room - length))
        throw Error(Code::kInvalidArgument, "tensorScatter: an update of " + std::to_string(length) + " at " + std::to_string(p) +
                                                " does not fit the cache's " + std::to_string(room));
    const size_t bytes = static_cast<size_t>(product(cache.dims, axis + 1, cache.rank) * (info(cache.dtype).bits / 8));
    context.pool.parallel_ranges(batches * middle, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t s = 0; s < length; ++s) {
          const int64_t at = (positions[static_cast<size_t>(i / middle)] + s) % room;
          std::memcpy(y.as<std::byte>() + static_cast<size_t>(i * room + at) * bytes,
                      update.as<std::byte>() + static_cast<size_t>(i * length + s) * bytes, bytes);
        }
    });
  }

 private:
  int64_t axis_;
  bool circular_;
};

// Narrow floats are widened only to be computed with.
template <typename K>
std::unique_ptr<Kernel> make_scatter(const StepInfo& step) {
  return adapt(step, reduction_of(step.attributes) == Reduction::kNone ? kDenseMovement : kDenseNumbers, make<K>,
               Signature{.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b100, .same_shape = true});
}

}  // namespace

void register_scatter() {
  register_kernel("scatterElements", make_scatter<ScatterElements>);
  register_kernel("scatterND", make_scatter<ScatterND>);
  register_kernel("tensorScatter", adapted<make<TensorScatter>, kDenseMovement,
                                            Signature{.min_inputs = 2, .max_inputs = 3, .same_inputs = 0b10, .same_shape = true}>);
}

}  // namespace tw
