// dot_narrow: a labelled product of bfloat16 or of 8-bit integers (narrow.h), of any strides. A bias belongs to the
// columns.
#include "kernels/contraction/labels.h"
#include "kernels/contraction/narrow.h"
#include "kernels/contraction/pack_tactics.h"

namespace tw {
namespace {

WordMatrix weight_matrix(const DotLabels& labels, const Tensor& b) {
  return {b.data, b.dtype, labelled_space(labels.batch, labels.rhs, b), labelled_space(labels.columns, labels.rhs, b),
          labelled_space(labels.summed, labels.rhs, b)};
}

class DotNarrow final : public Kernel {
 public:
  explicit DotNarrow(const StepInfo& step) : narrow_(step, "dot_narrow"), labels_(step.attributes) {}

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_dot(labels_, narrow_.epilogue(), without_bias(inputs), outputs, narrow_.packed());
    const GemmShape s = dot_shape(labels_, inputs[0], outputs[0]);
    narrow_.check(inputs, s.n);
    if (narrow_.packed()) packed_words(s).check(inputs[1]);
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    return narrow_.lane_bytes(in_words(dot_shape(labels_, inputs[0], outputs[0])), threads, sink(inputs, outputs[0]));
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &a = inputs[0], &b = inputs[1];
    const GemmShape s = dot_shape(labels_, a, outputs[0]);
    const Sink to = sink(inputs, outputs[0]);
    const WordRows rows({a.data, a.dtype, labelled_space(labels_.batch, labels_.lhs, a),
                         labelled_space(labels_.rows, labels_.lhs, a),
                         labelled_space(labels_.summed, labels_.lhs, a)});
    if (narrow_.packed()) {
      const PackedWords packed = packed_words(s);
      narrow_.run(context, in_words(s), s.k, rows, packed.panels(b), packed.column_sums(b), inputs, to, 0);
    } else {
      // The order of the sum is that of a's labels.
      narrow_.run(context, in_words(s), s.k, rows, WordPanels(weight_matrix(labels_, b)), nullptr, inputs, to, 0);
    }
  }

 private:
  PackedWords packed_words(const GemmShape& s) const { return {narrow_.words(), s.batch, s.k, s.n}; }

  GemmShape in_words(GemmShape s) const {
    s.k = word_count(narrow_.words(), s.k);
    return s;
  }

  static std::vector<Tensor> without_bias(std::span<const Tensor> inputs) {
    std::vector<Tensor> list(inputs.begin(), inputs.end());
    if (list.size() > 2) list.erase(list.begin() + 2);
    return list;
  }

  Sink sink(std::span<const Tensor> inputs, const Tensor& out) const {
    Sink s = dot_sink(labels_, narrow_.epilogue(), without_bias(inputs), out);
    if (narrow_.words() == Words::kBFloat16 && present(inputs, 2)) s.bias = inputs[2].as<float>();
    return s;
  }

  const Narrow narrow_;
  const DotLabels labels_;
};

WordMatrix dense_matrix(const Attributes& attributes, Tensor b) {
  const DotLabels labels(attributes);
  require(b.rank == static_cast<int>(labels.rhs.size()), Code::kInvalidArgument,
          "dot weights have as many dims as 'rhs' has labels");
  b.dtype = dtype_from_name(attributes.string("weights"));
  return weight_matrix(labels, b);
}

}  // namespace

size_t packed_dot_narrow_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  const WordMatrix m = dense_matrix(attributes, dense_weights(nullptr, weight_dims));
  return static_cast<size_t>(PackedWords{m.words(), m.batch.count(), m.k.count(), m.lines.count()}.bytes());
}

void pack_dot_narrow(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool) {
  pack_words(dense_matrix(attributes, weights), out, pool);
}

std::unique_ptr<Kernel> make_dot_narrow(const StepInfo& step) { return std::make_unique<DotNarrow>(step); }

}  // namespace tw
