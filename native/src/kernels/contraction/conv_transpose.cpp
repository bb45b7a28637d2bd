// conv_transpose_f32: each phase of the transposed convolution is an ordinary one, so a matrix product.
#include "kernels/contraction/conv.h"
#include "kernels/contraction/conv_phases.h"
#include "kernels/contraction/conv_rows.h"
#include "kernels/contraction/strided.h"

namespace tw {
namespace {

struct PhaseWeights {
  int64_t offset = 0;  // of the first tap
  Space groups, k, columns;
};

// Weights are [channels of x, outputs of a group, kernel…].
PhaseWeights phase_weights(const ConvPhase& phase, const Tensor& w) {
  const ConvGeometry& g = phase.geometry;
  PhaseWeights p;
  p.groups.operands = p.k.operands = p.columns.operands = 1;
  const int64_t group_stride = g.channels * w.strides[0];
  p.groups.add(g.groups, &group_stride);
  p.columns.add(g.outputs, &w.strides[1]);
  for (int i = 0; i < 3; ++i) {
    const int axis = i - (3 - g.spatial) + 2;
    const int64_t stride = axis >= 2 ? w.strides[axis] * phase.step[i] : 0;
    p.offset += axis >= 2 ? phase.tap[i] * w.strides[axis] : 0;
    p.k.add(g.kernel[i], &stride);
  }
  p.k.add(g.channels, &w.strides[0]);
  return p;
}

int64_t phase_floats(const ConvGeometry& g) { return g.groups * g.taps() * g.channels * padded_columns(g.outputs); }

class ConvTranspose final : public Kernel {
 public:
  explicit ConvTranspose(const StepInfo& step)
      : attributes_(step.attributes),
        epilogue_(make_epilogue(step.attributes)),
        packed_(step.attributes.flag("packed")) {
    check_conv_step(step, packed_);
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const ConvGeometry whole = check_conv(attributes_, epilogue_, inputs, outputs, packed_, true);
    if (packed_) check_packed(inputs[1], phase_floats(whole));  // each tap belongs to exactly one phase
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry whole = conv_geometry(attributes_, inputs[0], outputs[0]);
    const bool direct = Finish(conv_sink(whole, epilogue_, inputs, outputs[0])).direct;
    size_t bytes = 0;
    for (const ConvPhase& phase : conv_phases(whole))
      bytes = std::max(bytes, gemm_lane_bytes(shape_of(phase.geometry), threads, !packed_, direct));
    return bytes * static_cast<size_t>(threads);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const ConvGeometry whole = conv_geometry(attributes_, inputs[0], outputs[0]);
    const Tensor& w = inputs[1];
    const float* packed = w.as<float>();
    for (const ConvPhase& phase : conv_phases(whole)) {
      const ConvGeometry& g = phase.geometry;
      const float* panels = packed;
      packed += phase_floats(g);
      if (g.out_points() == 0) continue;
      const Sink sink = phase_sink(whole, phase, epilogue_, inputs, outputs[0]);
      const ConvRows rows(g, ConvOrder::kTapsThenChannels, inputs[0].as<float>());
      const GemmShape shape = shape_of(g);
      if (packed_) {
        run_gemm(context.pool, context.workspace, shape, rows,
                 PackedPanels(panels, shape.k, shape.k * padded_columns(shape.n)), sink);
      } else {
        const PhaseWeights p = phase_weights(phase, w);
        run_gemm(context.pool, context.workspace, shape, rows,
                 StridedPanels(w.as<float>() + p.offset, p.groups, p.k, p.columns), sink);
      }
    }
  }

 private:
  static GemmShape shape_of(const ConvGeometry& g) {
    return {g.groups, g.batch * g.out_points(), g.outputs, g.taps() * g.channels};
  }

  const ConvAttributes attributes_;
  const Epilogue epilogue_;
  const bool packed_;
};

ConvGeometry weight_geometry(const Attributes& attributes, std::span<const int64_t> dims) {
  const ConvAttributes a(attributes);
  require(dims.size() == a.kernel.size() + 2 && a.kernel.size() <= 3 && dims[0] % a.group == 0, Code::kInvalidArgument,
          "convTranspose: weights do not match kernelShape and group");
  ConvGeometry g;
  g.spatial = static_cast<int>(a.kernel.size());
  g.groups = a.group, g.channels = dims[0] / a.group, g.outputs = dims[1];
  for (int i = 0; i < g.spatial; ++i) {
    const int j = 3 - g.spatial + i;
    const size_t k = static_cast<size_t>(i);
    g.kernel[j] = a.kernel[k], g.stride[j] = a.strides[k], g.dilation[j] = a.dilations[k], g.pad[j] = a.pads[k];
  }
  return g;
}

}  // namespace

size_t packed_conv_transpose_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  return static_cast<size_t>(phase_floats(weight_geometry(attributes, weight_dims))) * sizeof(float);
}

void pack_conv_transpose(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool) {
  float* to = reinterpret_cast<float*>(out);
  for (const ConvPhase& phase :
       conv_phases(weight_geometry(attributes, {weights.dims, static_cast<size_t>(weights.rank)}))) {
    const PhaseWeights p = phase_weights(phase, weights);
    pack_panels(weights.as<float>() + p.offset, p.groups, p.k, p.columns, to, pool);
    to += phase_floats(phase.geometry);
  }
}

std::unique_ptr<Kernel> make_conv_transpose_f32(const StepInfo& step) { return std::make_unique<ConvTranspose>(step); }

}  // namespace tw
