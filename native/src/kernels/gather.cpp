// gather{axis}, gatherElements{axis} and gatherND{batchDims}: elements of any type, chosen by int32 or int64 indices.
#include <algorithm>
#include <cstring>

#include "kernels/common/adapt.h"
#include "kernels/common/index.h"
#include "kernels/common/rows.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 16384;

// The output is walked row-major; behind the indexed axis, what lies dense in both tensors is copied in one piece.
class Gather final : public Kernel {
 public:
  explicit Gather(const StepInfo& step) : axis_(step.attributes.integer("axis", 0)) {
    visit_size("gather", step.inputs[0].dtype, [](auto) {});
    visit_index("gather indices", step.inputs[1].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &x = inputs[0], &indices = inputs[1];
    const int axis = normalize_axis(axis_, x.rank, "gather axis");
    std::vector<int64_t> dims(x.dims, x.dims + axis);
    dims.insert(dims.end(), indices.dims, indices.dims + indices.rank);
    dims.insert(dims.end(), x.dims + axis + 1, x.dims + x.rank);
    expect_dims("the output", outputs[0], dims);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_size("gather", inputs[0].dtype, [&](auto size) {
      visit_index("gather indices", inputs[1].dtype, [&](auto index) {
        run_as<typename decltype(size)::type, typename decltype(index)::type>(context, inputs[0], inputs[1], outputs[0]);
      });
    });
  }

 private:
  template <typename T, typename I>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& indices, const Tensor& y) const {
    const int axis = normalize_axis(axis_, x.rank, "gather axis");
    const int inner = axis + indices.rank;  // y's first axis behind the indices
    int64_t piece = 1;
    int outer = y.rank;
    while (outer > inner && (y.dims[outer - 1] == 1 || (y.strides[outer - 1] == piece && x.strides[outer - indices.rank] == piece)))
      piece *= y.dims[--outer];
    Walk<3> walk;  // x, indices, y
    for (int i = 0; i < outer; ++i) {
      const int64_t in = i < axis ? x.strides[i] : i < inner ? 0 : x.strides[i - indices.rank + 1];
      walk.add(y.dims[i], {in, i >= axis && i < inner ? indices.strides[i - axis] : 0, y.strides[i]});
    }
    if (y.count() == 0) return;
    const int64_t size = x.dims[axis], stride = x.strides[axis];
    context.pool.parallel_ranges(walk.count(), std::max<int64_t>(1, kTaskElements / piece), [&](int64_t begin, int64_t end, int) {
      Walk<3> at = walk;
      at.seek(begin);
      for (int64_t i = begin; i < end; ++i, at.next()) {
        const int64_t index = checked_index("gather", indices.as<I>()[at.offset[1]], size);
        const T* from = x.as<T>() + at.offset[0] + index * stride;
        T* to = y.as<T>() + at.offset[2];
        if (piece == 1) *to = *from;
        else std::memcpy(to, from, static_cast<size_t>(piece) * sizeof(T));
      }
    });
  }

  int64_t axis_;
};

class GatherElements final : public Kernel {
 public:
  explicit GatherElements(const StepInfo& step) : axis_(step.attributes.integer("axis", 0)) {
    visit_size("gatherElements", step.inputs[0].dtype, [](auto) {});
    visit_index("gatherElements indices", step.inputs[1].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    expect_rank("indices", inputs[1], inputs[0].rank, inputs[0].rank);
    expect_same_dims("the output", outputs[0], inputs[1]);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_size("gatherElements", inputs[0].dtype, [&](auto size) {
      visit_index("gatherElements indices", inputs[1].dtype, [&](auto index) {
        run_as<typename decltype(size)::type, typename decltype(index)::type>(context, inputs[0], inputs[1], outputs[0]);
      });
    });
  }

 private:
  template <typename T, typename I>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& indices, const Tensor& y) const {
    const int axis = normalize_axis(axis_, x.rank, "gatherElements axis");
    if (indices.rank != x.rank)
      throw Error(Code::kShapeMismatch, "gatherElements: indices have rank " + std::to_string(indices.rank) + ", expected x's rank " + std::to_string(x.rank));
    for (int i = 0; i < x.rank; ++i)
      if (i != axis && indices.dims[i] > x.dims[i])
        throw Error(Code::kShapeMismatch, "gatherElements: indices are larger than x along axis " + std::to_string(i));
    Walk<3> walk;
    for (int i = 0; i < x.rank; ++i) walk.add(indices.dims[i], {i == axis ? 0 : x.strides[i], indices.strides[i], y.strides[i]});
    const int64_t size = x.dims[axis], stride = x.strides[axis];
    context.pool.parallel_ranges(indices.count(), kTaskElements, [&](int64_t begin, int64_t end, int) {
      Walk<3> at = walk;
      at.seek(begin);
      for (int64_t i = begin; i < end; ++i, at.next())
        y.as<T>()[at.offset[2]] = x.as<T>()[at.offset[0] + checked_index("gatherElements", indices.as<I>()[at.offset[1]], size) * stride];
    });
  }

  int64_t axis_;
};

class GatherND final : public Kernel {
 public:
  explicit GatherND(const StepInfo& step) : batch_dims_(step.attributes.integer("batchDims", 0)) {
    visit_size("gatherND", step.inputs[0].dtype, [](auto) {});
    visit_index("gatherND indices", step.inputs[1].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const IndexTuples tuples(inputs[0], inputs[1], static_cast<int>(batch_dims_), "gatherND");
    expect(outputs[0].count() == tuples.count * tuples.slice, "the output does not hold as many elements as are gathered");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &indices = inputs[1], &y = outputs[0];
    const int batch = static_cast<int>(batch_dims_);
    const IndexTuples tuples(x, indices, batch, "gatherND");
    const int64_t per_batch = product(indices.dims, batch, indices.rank - 1);
    const size_t bytes = static_cast<size_t>(tuples.slice) * static_cast<size_t>(info(x.dtype).bits / 8);
    const int64_t batch_elements = product(x.dims, batch, x.rank);
    if (y.count() == 0) return;
    visit_index("gatherND indices", indices.dtype, [&](auto tag) {
      using I = typename decltype(tag)::type;
      context.pool.parallel_ranges(tuples.count, std::max<int64_t>(1, kTaskElements / tuples.slice), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t offset = i / per_batch * batch_elements + tuples.offset(indices.as<I>() + i * tuples.length);
          std::memcpy(y.as<std::byte>() + static_cast<size_t>(i) * bytes, x.as<std::byte>() + offset * (info(x.dtype).bits / 8), bytes);
        }
      });
    });
  }

 private:
  int64_t batch_dims_;
};

}  // namespace

void register_gather() {
  register_kernel("gather", adapted<make<Gather>, kStridedMovement, Signature{.min_inputs = 2, .max_inputs = 2}>);
  register_kernel("gatherElements", adapted<make<GatherElements>, kStridedMovement, Signature{.min_inputs = 2, .max_inputs = 2}>);
  register_kernel("gatherND", adapted<make<GatherND>, kDenseMovement, Signature{.min_inputs = 2, .max_inputs = 2}>);
}

}  // namespace tw
