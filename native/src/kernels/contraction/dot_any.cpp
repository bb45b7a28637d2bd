// dot_any: dot of every dtype. Narrow floats are widened and take dot_f32.
#include "kernels/common/adapt.h"
#include "kernels/contraction/any.h"
#include "kernels/contraction/labels.h"
#include "kernels/contraction/pack_tactics.h"

namespace tw {
namespace {

std::vector<int64_t> offsets(const Space& space, int64_t begin, int64_t end) {
  std::vector<int64_t> list;
  list.reserve(static_cast<size_t>(end - begin));
  for (int64_t i = begin; i < end; ++i) list.push_back(space.offset(i, 0));
  return list;
}

class DotAny final : public Kernel {
 public:
  explicit DotAny(const StepInfo& step)
      : labels_(step.attributes),
        sum_(sum_dtype(step.inputs[0].dtype, step.inputs[1].dtype, step.outputs[0].dtype)),
        epilogue_(make_epilogue(step.attributes, sum_domain(sum_))) {}

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_dot(labels_, epilogue_, inputs, outputs, false);
    require(!is_sub_byte(inputs[0].dtype) && !is_sub_byte(inputs[1].dtype) &&
                sum_dtype(inputs[0].dtype, inputs[1].dtype, outputs[0].dtype) == sum_,
            Code::kInvalidPlan, "dot_any: dtypes differ from those the kernel was made for");
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    return static_cast<size_t>(threads) * any_lane_bytes(dot_shape(labels_, inputs[0], outputs[0]));
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &a = inputs[0], &b = inputs[1];
    const GemmShape shape = dot_shape(labels_, a, outputs[0]);
    const Space a_batch = labelled_space(labels_.batch, labels_.lhs, a),
                a_rows = labelled_space(labels_.rows, labels_.lhs, a);
    const Space b_batch = labelled_space(labels_.batch, labels_.rhs, b),
                b_columns = labelled_space(labels_.columns, labels_.rhs, b);
    const auto a_k = offsets(labelled_space(labels_.summed, labels_.lhs, a), 0, shape.k);
    const auto b_k = offsets(labelled_space(labels_.summed, labels_.rhs, b), 0, shape.k);
    const auto at = [](const Tensor& t, int64_t offset) {
      return t.as<std::byte>() + offset * (info(t.dtype).bits / 8);
    };
    AnySources sources;
    sources.a = [&](int64_t batch, int64_t m, int64_t rows, void* dst) {
      const auto row = offsets(a_rows, m, m + rows);
      widen(at(a, a_batch.offset(batch, 0)), a.dtype, sum_, row.data(), rows, a_k.data(), shape.k, dst, shape.k);
    };
    sources.b = [&](int64_t batch, int64_t n, int64_t columns, void* dst) {
      const auto column = offsets(b_columns, n, n + columns);
      widen(at(b, b_batch.offset(batch, 0)), b.dtype, sum_, b_k.data(), shape.k, column.data(), columns, dst, columns);
    };
    run_any(context.pool, context.workspace, shape, sum_, sources, dot_sink(labels_, epilogue_, inputs, outputs[0]));
  }

 private:
  const DotLabels labels_;
  const DType sum_;
  const Epilogue epilogue_;
};

}  // namespace

std::unique_ptr<Kernel> make_dot_any(const StepInfo& step) {
  require(step.inputs.size() >= 2 && step.outputs.size() == 1, Code::kInvalidPlan,
          "dot_any has inputs a, b and one output");
  if (info(step.inputs[0].dtype).domain == Domain::kF32) return adapt(step, kStridedNumbers, make_dot_f32);
  return make<DotAny>(step);
}

}  // namespace tw
