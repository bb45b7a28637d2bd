// oneHot(indices, depth, values){axis}: values[1] at each index along a new axis, values[0] elsewhere.
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class OneHot final : public Kernel {
 public:
  explicit OneHot(const StepInfo& step) : axis_(step.attributes.integer("axis", -1)) {
    visit_number("oneHot indices", step.inputs[0].dtype, [](auto) {});
    visit_size("oneHot", step.inputs[2].dtype, [](auto) {});
    if (step.outputs[0].dtype != step.inputs[2].dtype) throw Error(Code::kInvalidPlan, "oneHot: the output must have the type of the values");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &indices = inputs[0], &values = inputs[2];
    const int axis = normalize_axis(axis_, indices.rank + 1, "oneHot axis");
    const auto depth = static_cast<int64_t>(read_number(inputs[1], "depth of oneHot"));
    if (depth < 0) throw Error(Code::kInvalidArgument, "oneHot: depth is " + std::to_string(depth) + ", expected at least 0");
    if (values.count() != 2) throw Error(Code::kShapeMismatch, "oneHot: values have " + std::to_string(values.count()) + " elements, expected 2");
    std::vector<int64_t> dims(indices.dims, indices.dims + indices.rank);
    dims.insert(dims.begin() + axis, depth);
    resolve_output(context, outputs, 0, dims);
    const int64_t outer = product(indices.dims, 0, axis), inner = product(indices.dims, axis, indices.rank);
    visit_size("oneHot", values.dtype, [&](auto value_tag) {
      using V = typename decltype(value_tag)::type;
      const V *v = values.as<V>();
      V* y = outputs[0].as<V>();
      std::fill_n(y, outer * depth * inner, v[0]);
      visit_number("oneHot indices", indices.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t i = 0; i < inner; ++i) {
            const auto index = static_cast<int64_t>(indices.as<T>()[o * inner + i]);
            const int64_t hot = index < 0 ? index + depth : index;
            if (hot >= 0 && hot < depth) y[(o * depth + hot) * inner + i] = v[1];
          }
      });
    });
  }

 private:
  int64_t axis_;
};

// Indices may be floats; values are only moved.
std::unique_ptr<Kernel> make_one_hot(const StepInfo& step) {
  if (step.inputs.empty()) throw Error(Code::kInvalidPlan, "oneHot has no inputs, expected 3");
  const bool narrow = info(step.inputs[0].dtype).domain == Domain::kF32 && step.inputs[0].dtype != DType::kFloat32;
  return adapt(step, narrow ? kDenseNumbers : kDenseMovement, make<OneHot>,
               Signature{.min_inputs = 3, .max_inputs = 3, .same_outputs = 0, .sizes_outputs = true});
}

}  // namespace

void register_one_hot() { register_kernel("oneHot", make_one_hot); }

}  // namespace tw
