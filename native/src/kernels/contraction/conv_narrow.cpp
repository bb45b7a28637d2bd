// conv_narrow: convolution of bfloat16 or of 8-bit integers (narrow.h) as a matrix product. "algorithm" is "indirect"
// or "nchw", as of the float32 kernel.
#include "kernels/contraction/conv.h"
#include "kernels/contraction/narrow.h"

namespace tw {
namespace {

WordMatrix weight_matrix(const ConvAttributes& attributes, const Tensor& w) {
  const ConvWeightSpaces s = conv_weight_spaces(attributes, w);
  return {w.data, w.dtype, s.groups, s.columns, s.k};
}

class ConvNarrow final : public Kernel {
 public:
  explicit ConvNarrow(const StepInfo& step) : narrow_(step, "conv_narrow"), attributes_(step.attributes) {
    const std::string& algorithm = attributes_.algorithm;
    if (!algorithm.empty() && algorithm != "indirect" && algorithm != "nchw")
      throw Error(Code::kInvalidPlan, "conv_narrow: unknown algorithm '" + algorithm + "'");
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const ConvGeometry g =
        check_conv(attributes_, narrow_.epilogue(), narrow_.with_float_bias(inputs), outputs, narrow_.packed());
    narrow_.check(inputs, g.groups * g.outputs);
    if (narrow_.packed()) packed_words(g).check(inputs[1]);
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    return narrow_.lane_bytes(shape_of(g), threads, sink(g, inputs, outputs[0]));
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const ConvGeometry g = conv_geometry(attributes_, x, outputs[0]);
    const Sink to = sink(g, inputs, outputs[0]);
    if (g.taps() == 1 && g.unpadded()) {
      const PointwiseSpaces s = pointwise_spaces(g);
      multiply(context, g, WordRows({x.data, x.dtype, s.groups, s.rows, s.k}), inputs, to);
    } else {
      multiply(context, g, ConvWordRows(g, conv_order(attributes_), x), inputs, to);
    }
  }

 private:
  GemmShape shape_of(const ConvGeometry& g) const {
    return {g.groups, g.batch * g.out_points(), g.outputs, word_count(narrow_.words(), g.taps() * g.channels)};
  }
  PackedWords packed_words(const ConvGeometry& g) const {
    return {narrow_.words(), g.groups, g.taps() * g.channels, g.outputs};
  }
  Sink sink(const ConvGeometry& g, std::span<const Tensor> inputs, const Tensor& y) const {
    return conv_sink(g, narrow_.epilogue(), narrow_.with_float_bias(inputs), y);
  }

  void multiply(KernelContext& context, const ConvGeometry& g, const RowSource& rows, std::span<const Tensor> inputs,
                const Sink& to) const {
    const Tensor& w = inputs[1];
    const int64_t depth = g.taps() * g.channels;
    if (narrow_.packed()) {
      const PackedWords packed = packed_words(g);
      narrow_.run(context, shape_of(g), depth, rows, packed.panels(w), packed.column_sums(w), inputs, to, g.outputs);
    } else {
      narrow_.run(context, shape_of(g), depth, rows, WordPanels(weight_matrix(attributes_, w)), nullptr, inputs, to,
                  g.outputs);
    }
  }

  const Narrow narrow_;
  const ConvAttributes attributes_;
};

WordMatrix dense_matrix(const Attributes& attributes, Tensor w) {
  w.dtype = dtype_from_name(attributes.string("weights"));
  return weight_matrix(ConvAttributes(attributes), w);
}

}  // namespace

size_t packed_conv_narrow_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  const WordMatrix m = dense_matrix(attributes, dense_weights(nullptr, weight_dims));
  return static_cast<size_t>(PackedWords{m.words(), m.batch.count(), m.k.count(), m.lines.count()}.bytes());
}

void pack_conv_narrow(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool) {
  pack_words(dense_matrix(attributes, weights), out, pool);
}

std::unique_ptr<Kernel> make_conv_narrow(const StepInfo& step) { return std::make_unique<ConvNarrow>(step); }

}  // namespace tw
