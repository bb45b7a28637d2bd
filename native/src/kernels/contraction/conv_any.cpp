// conv_any and conv_transpose_any: convolutions of every dtype. Narrow floats are widened and take the float32 kernels.
#include "kernels/common/adapt.h"
#include "kernels/contraction/any.h"
#include "kernels/contraction/conv.h"
#include "kernels/contraction/conv_phases.h"

namespace tw {
namespace {

const std::byte* at(const Tensor& t, int64_t offset) { return t.as<std::byte>() + offset * (info(t.dtype).bits / 8); }

// Strides of the weights as the phase or the whole convolution walks them.
struct WeightWalk {
  int64_t first = 0, group, channel, output, tap[3] = {0, 0, 0};
};

class ConvAny final : public Kernel {
 public:
  ConvAny(const StepInfo& step, bool transposed)
      : attributes_(step.attributes),
        transposed_(transposed),
        sum_(sum_dtype(step.inputs[0].dtype, step.inputs[1].dtype, step.outputs[0].dtype)),
        epilogue_(make_epilogue(step.attributes, sum_domain(sum_))) {}

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_conv(attributes_, epilogue_, inputs, outputs, false, transposed_);
    require(sum_dtype(inputs[0].dtype, inputs[1].dtype, outputs[0].dtype) == sum_ && !is_sub_byte(inputs[0].dtype),
            Code::kInvalidPlan, "conv_any: dtypes differ from those the kernel was made for");
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    return static_cast<size_t>(threads) * any_lane_bytes({1, 1, 1, g.taps() * g.channels});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const ConvGeometry whole = conv_geometry(attributes_, inputs[0], outputs[0]);
    const Tensor& w = inputs[1];
    WeightWalk walk;
    walk.channel = w.strides[transposed_ ? 0 : 1];
    walk.output = w.strides[transposed_ ? 1 : 0];
    walk.group = transposed_ ? whole.channels * walk.channel : whole.outputs * walk.output;
    for (int i = 0; i < whole.spatial; ++i) walk.tap[3 - whole.spatial + i] = w.strides[2 + i];
    if (!transposed_)
      return multiply(context, whole, walk, inputs, conv_sink(whole, epilogue_, without_bias(inputs), outputs[0]));
    for (const ConvPhase& phase : conv_phases(whole)) {
      WeightWalk part = walk;
      for (int i = 0; i < 3; ++i) part.first += phase.tap[i] * walk.tap[i], part.tap[i] = phase.step[i] * walk.tap[i];
      multiply(context, phase.geometry, part, inputs,
               phase_sink(whole, phase, epilogue_, without_bias(inputs), outputs[0]));
    }
  }

 private:
  // The sums begin with the bias; the sink's own is float32.
  static std::vector<Tensor> without_bias(std::span<const Tensor> inputs) {
    std::vector<Tensor> list(inputs.begin(), inputs.end());
    if (list.size() > 2) list[2].data = nullptr, list[2].rank = -1;
    return list;
  }

  void multiply(KernelContext& context, const ConvGeometry& g, const WeightWalk& walk, std::span<const Tensor> inputs,
                const Sink& sink) const {
    const Tensor &x = inputs[0], &w = inputs[1];
    const GemmShape shape{g.groups, g.batch * g.out_points(), g.outputs, g.taps() * g.channels};
    std::vector<int64_t> channels, k;
    for (int64_t c = 0; c < g.channels; ++c) channels.push_back(c * g.x_channel);
    for (int64_t d = 0; d < g.kernel[0]; ++d) {
      for (int64_t h = 0; h < g.kernel[1]; ++h) {
        for (int64_t v = 0; v < g.kernel[2]; ++v) {
          for (int64_t c = 0; c < g.channels; ++c)
            k.push_back(walk.first + d * walk.tap[0] + h * walk.tap[1] + v * walk.tap[2] + c * walk.channel);
        }
      }
    }
    AnySources sources;
    sources.a = [&](int64_t group, int64_t m, int64_t rows, void* dst) {
      std::vector<int64_t> taps(static_cast<size_t>(g.taps()));
      const int64_t bytes = info(sum_).bits / 8;
      for (int64_t r = 0; r < rows; ++r) {
        input_offsets(g, m + r, group, taps.data());
        widen(x.data, x.dtype, sum_, taps.data(), g.taps(), channels.data(), g.channels,
              static_cast<std::byte*>(dst) + r * shape.k * bytes, g.channels);
      }
    };
    sources.b = [&](int64_t group, int64_t n, int64_t columns, void* dst) {
      std::vector<int64_t> outputs;
      for (int64_t j = n; j < n + columns; ++j) outputs.push_back(group * walk.group + j * walk.output);
      widen(w.data, w.dtype, sum_, k.data(), shape.k, outputs.data(), columns, dst, columns);
    };
    if (present(inputs, 2)) {
      sources.bias = [&](int64_t group, int64_t n, int64_t columns, void* dst) {
        std::vector<int64_t> outputs;
        for (int64_t j = n; j < n + columns; ++j) outputs.push_back(j * inputs[2].strides[0]);
        const int64_t row = 0;
        widen(at(inputs[2], group * g.outputs * inputs[2].strides[0]), inputs[2].dtype, sum_, &row, 1, outputs.data(),
              columns, dst, columns);
      };
    }
    run_any(context.pool, context.workspace, shape, sum_, sources, sink);
  }

  // Where each tap of one output reads, or nowhere.
  static void input_offsets(const ConvGeometry& g, int64_t m, int64_t group, int64_t* taps) {
    int64_t base[3];
    for (int i = 2; i >= 0; --i) base[i] = m % g.out[i] * g.stride[i] - g.pad[i], m /= g.out[i];
    for (int64_t d = 0; d < g.kernel[0]; ++d) {
      for (int64_t h = 0; h < g.kernel[1]; ++h) {
        for (int64_t v = 0; v < g.kernel[2]; ++v, ++taps) {
          const int64_t place[3] = {base[0] + d * g.dilation[0], base[1] + h * g.dilation[1],
                                    base[2] + v * g.dilation[2]};
          bool inside = true;
          *taps = m * g.x_batch + group * g.channels * g.x_channel;
          for (int i = 0; i < 3; ++i) inside &= place[i] >= 0 && place[i] < g.in[i], *taps += place[i] * g.x[i];
          if (!inside) *taps = kNowhere;
        }
      }
    }
  }

  const ConvAttributes attributes_;
  const bool transposed_;
  const DType sum_;
  const Epilogue epilogue_;
};

std::unique_ptr<Kernel> make_any(const StepInfo& step, bool transposed, KernelFactory float32) {
  require(step.inputs.size() >= 2 && step.outputs.size() == 1, Code::kInvalidPlan,
          "conv_any has inputs x, w, bias, … and one output");
  if (info(step.inputs[0].dtype).domain == Domain::kF32) return adapt(step, kStridedNumbers, float32);
  return std::make_unique<ConvAny>(step, transposed);
}

}  // namespace

std::unique_ptr<Kernel> make_conv_any(const StepInfo& step) { return make_any(step, false, make_conv_f32); }
std::unique_ptr<Kernel> make_conv_transpose_any(const StepInfo& step) {
  return make_any(step, true, make_conv_transpose_f32);
}

}  // namespace tw
