// Kernel `concat` {axis}: inputs side by side along one axis.
#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/copy.h"

namespace tw {
namespace {

// Any number of inputs, all of one type; run() compares their extents.
constexpr Signature kSignature{.max_inputs = 1 << 24, .same_inputs = ~1u, .sizes_outputs = true};

class Concat final : public Kernel {
 public:
  explicit Concat(const StepInfo& step) : axis_(step.attributes.integer("axis", 0)) {}

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    if (inputs.empty()) throw Error(Code::kInvalidPlan, "concat has no inputs");
    const int axis = normalize_axis(axis_, inputs[0].rank, "concat's axis");
    std::vector<int64_t> dims(inputs[0].dims, inputs[0].dims + inputs[0].rank);
    dims[static_cast<size_t>(axis)] = 0;
    for (const Tensor& x : inputs) {
      if (x.rank != inputs[0].rank)
        throw Error(Code::kShapeMismatch,
                    "concat: inputs of rank " + std::to_string(inputs[0].rank) + " and " + std::to_string(x.rank));
      for (int a = 0; a < x.rank; ++a)
        if (a != axis && x.dims[a] != inputs[0].dims[a])
          throw Error(Code::kShapeMismatch, "concat: inputs of " + std::to_string(inputs[0].dims[a]) + " and " +
                                                std::to_string(x.dims[a]) + " elements on axis " + std::to_string(a));
      dims[static_cast<size_t>(axis)] += x.dims[axis];
    }
    resolve_output(context, outputs, 0, dims);
    int64_t start = 0;
    for (const Tensor& x : inputs) {
      copy_tensor(context.pool, x, narrowed(outputs[0], axis, start, x.dims[axis]));
      start += x.dims[axis];
    }
  }

 private:
  int64_t axis_;
};

}  // namespace

void register_concat() { register_kernel("concat", adapted<make<Concat>, kStridedMovement, kSignature>); }

}  // namespace tw
