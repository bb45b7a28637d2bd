// Convolution as a matrix product: rows are output points, columns output channels, the sum runs over taps and
// channels. "indirect" sums taps first (any layout, best channels-last), "nchw" channels first (for inputs in ONNX's
// own layout).
#include "kernels/contraction/conv.h"
#include "kernels/contraction/conv_direct.h"
#include "kernels/contraction/conv_regions.h"
#include "kernels/contraction/conv_rows.h"
#include "kernels/contraction/strided.h"

namespace tw {

ConvOrder conv_order(const ConvAttributes& a) {
  return a.algorithm == "nchw" ? ConvOrder::kChannelsThenTaps : ConvOrder::kTapsThenChannels;
}

ConvWeightSpaces conv_weight_spaces(const ConvAttributes& a, const Tensor& w) {
  require(w.rank == static_cast<int>(a.kernel.size()) + 2 && w.dims[0] % a.group == 0, Code::kInvalidArgument,
          "conv: weights do not match kernelShape and group");
  ConvWeightSpaces s;
  s.groups.operands = s.k.operands = s.columns.operands = 1;
  const int64_t outputs = w.dims[0] / a.group, group_stride = outputs * w.strides[0];
  s.groups.add(a.group, &group_stride);
  s.columns.add(outputs, &w.strides[0]);
  if (conv_order(a) == ConvOrder::kChannelsThenTaps) s.k.add(w.dims[1], &w.strides[1]);
  for (int i = 2; i < w.rank; ++i) s.k.add(w.dims[i], &w.strides[i]);
  if (conv_order(a) == ConvOrder::kTapsThenChannels) s.k.add(w.dims[1], &w.strides[1]);
  return s;
}

PointwiseSpaces pointwise_spaces(const ConvGeometry& g) {
  PointwiseSpaces s;
  s.groups.operands = s.rows.operands = s.k.operands = 1;
  const int64_t group_stride = g.channels * g.x_channel;
  s.groups.add(g.groups, &group_stride);
  s.rows.add(g.batch, &g.x_batch);
  for (int i = 0; i < 3; ++i) {
    const int64_t stride = g.x[i] * g.stride[i];
    s.rows.add(g.out[i], &stride);
  }
  s.k.add(g.channels, &g.x_channel);
  return s;
}

namespace {

class ConvGemm final : public Kernel {
 public:
  explicit ConvGemm(const StepInfo& step)
      : attributes_(step.attributes),
        epilogue_(make_epilogue(step.attributes)),
        packed_(step.attributes.flag("packed")) {
    check_conv_step(step, packed_);
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const ConvGeometry g = check_conv(attributes_, epilogue_, inputs, outputs, packed_);
    if (packed_) check_packed(inputs[1], g.groups * group_floats(g));
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    const bool direct_output = Finish(conv_sink(g, epilogue_, inputs, outputs[0])).direct;
    if (in_place(g)) return conv_direct_bytes(g, threads, direct_output);
    if (const auto parts = regions(g); !parts.empty()) return conv_regions_bytes(parts, threads, direct_output);
    return static_cast<size_t>(threads) * gemm_lane_bytes(shape_of(g), threads, !packed_, direct_output);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    const Sink sink = conv_sink(g, epilogue_, inputs, outputs[0]);
    if (in_place(g)) {
      const int64_t per_group = group_floats(g);
      return run_conv_direct(context.pool, context.workspace, g, conv_order(attributes_), inputs[0].as<float>(),
                             inputs[1].as<float>(), per_group, sink);
    }
    if (const auto parts = regions(g); !parts.empty()) {
      return run_conv_regions(context.pool, context.workspace, parts, epilogue_,
                              PackedPanels(inputs[1].as<float>(), g.taps() * g.channels, group_floats(g)), inputs,
                              outputs[0]);
    }
    if (g.taps() == 1 && g.unpadded()) return multiply(context, g, pointwise_rows(g, inputs[0]), inputs[1], sink);
    multiply(context, g, ConvRows(g, conv_order(attributes_), inputs[0].as<float>()), inputs[1], sink);
  }

 private:
  static GemmShape shape_of(const ConvGeometry& g) {
    return {g.groups, g.batch * g.out_points(), g.outputs, g.taps() * g.channels};
  }

  bool in_place(const ConvGeometry& g) const {
    return packed_ && g.taps() > 1 && prefers_direct(g, conv_order(attributes_));
  }

  std::vector<ConvRegion> regions(const ConvGeometry& g) const {
    return packed_ && conv_order(attributes_) == ConvOrder::kTapsThenChannels ? conv_regions(g)
                                                                            : std::vector<ConvRegion>{};
  }

  // Of one group's packed weights.
  static int64_t group_floats(const ConvGeometry& g) { return g.taps() * g.channels * padded_columns(g.outputs); }

  static StridedRows pointwise_rows(const ConvGeometry& g, const Tensor& x) {
    const PointwiseSpaces s = pointwise_spaces(g);
    return StridedRows(x.as<float>(), s.groups, s.rows, s.k);
  }

  void multiply(KernelContext& context, const ConvGeometry& g, const RowSource& rows, const Tensor& w,
                const Sink& sink) const {
    const GemmShape shape = shape_of(g);
    if (packed_) {
      return run_gemm(context.pool, context.workspace, shape, rows,
                      PackedPanels(w.as<float>(), shape.k, group_floats(g)), sink);
    }
    const ConvWeightSpaces s = conv_weight_spaces(attributes_, w);
    run_gemm(context.pool, context.workspace, shape, rows, StridedPanels(w.as<float>(), s.groups, s.k, s.columns),
             sink);
  }

  const ConvAttributes attributes_;
  const Epilogue epilogue_;
  const bool packed_;
};

}  // namespace

void check_conv_step(const StepInfo& step, bool packed) {
  require(step.inputs.size() >= 2 && step.outputs.size() == 1, Code::kInvalidPlan,
          "conv_f32 has inputs x, w, bias, … and one output");
  require(step.inputs[0].dtype == DType::kFloat32, Code::kInvalidPlan, "conv_f32: x must be float32");
  require(packed || step.inputs[1].dtype == DType::kFloat32, Code::kInvalidPlan,
          "conv_f32: weights must be float32 or packed");
  if (present(step.inputs, 2))
    require(step.inputs[2].dtype == DType::kFloat32, Code::kInvalidPlan, "conv_f32: bias must be float32");
}

ConvGeometry check_conv(const ConvAttributes& attributes, const Epilogue& epilogue, std::span<const Tensor> inputs,
                        std::span<const Tensor> outputs, bool packed, bool transposed) {
  require(inputs.size() >= 2 && outputs.size() == 1, Code::kInvalidPlan,
          "conv has inputs x, w, bias, … and one output");
  const ConvGeometry g = conv_geometry(attributes, inputs[0], outputs[0]);
  if (present(inputs, 2)) {
    require(inputs[2].rank == 1 && inputs[2].dims[0] == g.groups * g.outputs && !is_sub_byte(inputs[2].dtype),
            Code::kInvalidPlan, "conv: bias has one element a channel");
  }
  check_operands(epilogue, inputs.size() > 3 ? inputs.subspan(3) : std::span<const Tensor>{}, outputs[0]);
  if (packed) return g;
  const Tensor& w = inputs[1];
  bool fits = w.rank == g.spatial + 2 && !is_sub_byte(w.dtype);
  if (fits && transposed) fits = w.dims[0] == g.groups * g.channels && w.dims[1] == g.outputs;
  if (fits && !transposed) fits = w.dims[0] == g.groups * g.outputs && w.dims[1] == g.channels;
  for (int i = 0; fits && i < g.spatial; ++i) fits = w.dims[i + 2] == attributes.kernel[static_cast<size_t>(i)];
  require(fits, Code::kInvalidPlan, "conv: weights do not fit x, y and kernelShape");
  return g;
}

Sink conv_sink(const ConvGeometry& g, const Epilogue& epilogue, std::span<const Tensor> inputs, const Tensor& y) {
  Sink s;
  s.epilogue = &epilogue;
  const auto sides = inputs.size() > 3 ? inputs.subspan(3) : std::span<const Tensor>{};
  s.set_operands(y, sides);
  const auto add = [&](Space& space, int64_t dim, int axis, int64_t scale = 1) {
    int64_t strides[Space::kOperands] = {y.strides[axis] * scale};
    for (size_t i = 0; i < sides.size(); ++i) strides[i + 1] = broadcast_stride(sides[i], y.rank, axis) * scale;
    space.add(dim, strides);
  };
  add(s.batch, g.groups, 1, g.outputs);
  add(s.rows, g.batch, 0);
  for (int i = 2; i < y.rank; ++i) add(s.rows, y.dims[i], i);
  add(s.columns, g.outputs, 1);
  if (present(inputs, 2)) {
    require(inputs[2].count() == g.groups * g.outputs && inputs[2].contiguous(), Code::kInvalidPlan,
            "conv: bias has one element a channel");
    s.bias = inputs[2].as<float>();
    s.bias_batch_stride = g.outputs;
  }
  return s;
}

size_t packed_conv_gemm_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  const ConvWeightSpaces s = conv_weight_spaces(ConvAttributes(attributes), dense_weights(nullptr, weight_dims));
  return static_cast<size_t>(s.groups.count() * s.k.count() * padded_columns(s.columns.count())) * sizeof(float);
}

void pack_conv_gemm(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool) {
  const ConvWeightSpaces s = conv_weight_spaces(ConvAttributes(attributes), weights);
  pack_panels(weights.as<float>(), s.groups, s.k, s.columns, reinterpret_cast<float*>(out), pool);
}

std::unique_ptr<Kernel> make_conv_gemm(const StepInfo& step) { return std::make_unique<ConvGemm>(step); }

}  // namespace tw
