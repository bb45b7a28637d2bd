// dot_f32: a labelled product of two float32 tensors of any strides, the second perhaps packed ahead of time.
#include "kernels/contraction/labels.h"
#include "kernels/contraction/pack_tactics.h"
#include "kernels/contraction/strided.h"

namespace tw {
namespace {

class Dot final : public Kernel {
 public:
  explicit Dot(const StepInfo& step)
      : labels_(step.attributes), epilogue_(make_epilogue(step.attributes)), packed_(step.attributes.flag("packed")) {
    require(step.inputs.size() >= 2 && step.outputs.size() == 1, Code::kInvalidPlan,
            "dot_f32 has inputs a, b and one output");
    require(step.inputs[0].dtype == DType::kFloat32, Code::kInvalidPlan, "dot_f32: a must be float32");
    require(packed_ || step.inputs[1].dtype == DType::kFloat32, Code::kInvalidPlan,
            "dot_f32: b must be float32 or packed");
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_dot(labels_, epilogue_, inputs, outputs, packed_);
    const GemmShape s = dot_shape(labels_, inputs[0], outputs[0]);
    if (packed_) check_packed(inputs[1], s.batch * s.k * padded_columns(s.n));
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const GemmShape shape = dot_shape(labels_, inputs[0], outputs[0]);
    return static_cast<size_t>(threads) *
           gemm_lane_bytes(shape, threads, !packed_, Finish(dot_sink(labels_, epilogue_, inputs, outputs[0])).direct);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &a = inputs[0], &b = inputs[1];
    const GemmShape shape = dot_shape(labels_, inputs[0], outputs[0]);
    const StridedRows rows(a.as<float>(), labelled_space(labels_.batch, labels_.lhs, a),
                           labelled_space(labels_.rows, labels_.lhs, a),
                           labelled_space(labels_.summed, labels_.lhs, a));
    const Sink to = dot_sink(labels_, epilogue_, inputs, outputs[0]);
    if (packed_) {
      const int64_t per_batch = shape.k * padded_columns(shape.n);
      run_gemm(context.pool, context.workspace, shape, rows, PackedPanels(b.as<float>(), shape.k, per_batch), to);
    } else {
      const StridedPanels panels(b.as<float>(), labelled_space(labels_.batch, labels_.rhs, b),
                                 labelled_space(labels_.summed, labels_.rhs, b),
                                 labelled_space(labels_.columns, labels_.rhs, b));
      run_gemm(context.pool, context.workspace, shape, rows, panels, to);
    }
  }

 private:
  const DotLabels labels_;
  const Epilogue epilogue_;
  const bool packed_;
};

struct PackShape {
  Space batch, k, columns;
};
PackShape pack_shape(const Attributes& attributes, const Tensor& b) {
  const DotLabels labels(attributes);
  require(b.rank == static_cast<int>(labels.rhs.size()), Code::kInvalidArgument,
          "dot weights have as many dims as 'rhs' has labels");
  return {labelled_space(labels.batch, labels.rhs, b), labelled_space(labels.summed, labels.rhs, b),
          labelled_space(labels.columns, labels.rhs, b)};
}

}  // namespace

size_t packed_dot_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  const PackShape s = pack_shape(attributes, dense_weights(nullptr, weight_dims));
  return static_cast<size_t>(s.batch.count() * s.k.count() * padded_columns(s.columns.count())) * sizeof(float);
}

void pack_dot(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool) {
  const PackShape s = pack_shape(attributes, weights);
  pack_panels(weights.as<float>(), s.batch, s.k, s.columns, reinterpret_cast<float*>(out), pool);
}

std::unique_ptr<Kernel> make_dot_f32(const StepInfo& step) { return std::make_unique<Dot>(step); }

}  // namespace tw
