// The "depthwise" tactic of conv_f32: as many groups as channels, channels-last, one or two spatial dims.
#include "kernels/contraction/depthwise.h"

#include <algorithm>

#include "kernels/contraction/conv.h"

namespace tw {
namespace {

constexpr int64_t kCacheFloats = 6 * 1024;  // input under one strip that should stay in the first-level cache
constexpr int64_t kTaskWork = 1 << 16;      // multiply-adds a task

// Weights are [tap][channels], the channels padded so that taps neither share a cache set nor end within a vector.
int64_t tap_stride(int64_t channels) {
  const int64_t padded = (channels + 15) / 16 * 16;
  return padded % 512 == 0 ? padded + 16 : padded;
}

class Depthwise final : public Kernel {
 public:
  explicit Depthwise(const StepInfo& step) : attributes_(step.attributes), epilogue_(make_epilogue(step.attributes)) {
    require(step.attributes.flag("packed"), Code::kInvalidPlan, "conv_f32: depthwise weights must be packed");
    check_conv_step(step, true);
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    check_conv(attributes_, epilogue_, inputs, outputs, true);
    const ConvGeometry g = geometry(inputs[0], outputs[0]);
    check_packed(inputs[1], g.taps() * tap_stride(g.outputs));
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry g = geometry(inputs[0], outputs[0]);
    return Finish(conv_sink(g, epilogue_, inputs, outputs[0]), true).direct
               ? 0
               : static_cast<size_t>(threads) * lane_floats(g) * sizeof(float);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const ConvGeometry g = geometry(inputs[0], outputs[0]);
    if (g.batch == 0 || g.out_points() == 0 || g.outputs == 0) return;
    const Sink sink = conv_sink(g, epilogue_, inputs, outputs[0]);
    const Finish finish(sink, true);
    // Ranges of rows for balance, blocks of channels so that the rows under a strip stay in the first-level cache.
    // A block is whole vectors of 16, but the last has what is over: no two tasks write the same output.
    const int64_t vectors = std::max<int64_t>(1, g.outputs / 16), block = channel_block(g);
    const int64_t blocks = (vectors * 16 + block - 1) / block;
    const int64_t row_work = g.out[2] * (g.outputs / blocks) * g.taps();
    const int64_t rows_a_task = std::clamp<int64_t>(kTaskWork * 4 / std::max<int64_t>(row_work, 1), 1, g.out[1]);
    const int64_t parts = (g.out[1] + rows_a_task - 1) / rows_a_task;
    context.pool.parallel_for(g.batch * parts * blocks, [&](int64_t task, int lane) {
      const int64_t b = task % blocks, part = task / blocks % parts, n = task / blocks / parts;
      float* scratch = finish.direct
                           ? nullptr
                           : reinterpret_cast<float*>(context.workspace) + static_cast<size_t>(lane) * lane_floats(g);
      const int64_t begin = vectors * b / blocks * 16,
                    end = b + 1 == blocks ? g.outputs : vectors * (b + 1) / blocks * 16;
      rows(g, inputs, sink, finish, n, g.out[1] * part / parts, g.out[1] * (part + 1) / parts, begin, end, scratch);
    });
  }

 private:
  // As one group whose outputs are the channels.
  ConvGeometry geometry(const Tensor& x, const Tensor& y) const {
    ConvGeometry g = conv_geometry(attributes_, x, y);
    require(g.channels == 1 && g.outputs == 1 && g.spatial <= 2 && (g.x_channel == 1 || g.groups == 1),
            Code::kInvalidPlan,
            "conv_f32: depthwise needs one output a channel, at most two spatial dims and channels-last input");
    g.outputs = g.groups;
    g.groups = 1;
    return g;
  }

  static int64_t channel_block(const ConvGeometry& g) {
    const int64_t columns = (kMaxStrip - 1) * g.stride[2] + (g.kernel[2] - 1) * g.dilation[2] + 1;
    return std::max<int64_t>(64, kCacheFloats / (columns * g.kernel[1]) / 64 * 64);
  }
  static size_t lane_floats(const ConvGeometry& g) {
    return static_cast<size_t>((kMaxStrip * g.outputs + 15) / 16 * 16);
  }

  // The height of strip that wastes least: the last one of a row overlaps the one before it.
  static int strip_outputs(int64_t width) {
    if (width < 4) return 1;
    if (width < 7) return 4;
    return (width + 6) / 7 * 7 <= (width + 3) / 4 * 4 + 2 ? 7 : 4;
  }

  void rows(const ConvGeometry& g, std::span<const Tensor> inputs, const Sink& sink, const Finish& finish, int64_t n,
            int64_t row_begin, int64_t row_end, int64_t channel_begin, int64_t channel_end, float* scratch) const {
    DepthwiseStrip s;
    s.w = inputs[1].as<float>();
    s.tap_stride = tap_stride(g.outputs);
    s.row = g.dilation[1] * g.x[1], s.column = g.x[2];
    s.kernel_h = g.kernel[1], s.kernel_w = g.kernel[2], s.stride_w = g.stride[2], s.dilation_w = g.dilation[2];
    s.channel_begin = channel_begin, s.channel_end = channel_end, s.channels = g.outputs;
    s.bias = sink.bias                            ? sink.bias
             : finish.in_tile && finish.bias >= 0 ? static_cast<const float*>(sink.data[finish.bias])
                                                  : nullptr;
    s.activation = finish.in_tile ? epilogue_.activation : Activation::kNone;
    s.clip = finish.in_tile && epilogue_.clip && s.activation == Activation::kNone;
    s.numbers = epilogue_.numbers();
    float* y[kMaxStrip];
    const float* residual[kMaxStrip];
    s.y = y;
    s.residual = finish.in_tile && finish.residual >= 0 ? residual : nullptr;

    // Outputs a dilation apart read columns a dilation apart: each such phase of a row is a row without dilation.
    const int64_t apart = g.stride[2] == 1 ? g.dilation[2] : 1;
    if (apart > 1) s.column *= apart, s.dilation_w = 1;
    for (int64_t phase = 0; phase < std::min(apart, g.out[2]); ++phase) {
      const int64_t width = (g.out[2] - phase + apart - 1) / apart;
      s.outputs = strip_outputs(width);
      for (int64_t first = 0; first < width; first += s.outputs) {
        first = std::min(first, width - s.outputs);
        const int64_t ow = phase + first * apart, w = ow * g.stride[2] - g.pad[2];
        s.column_begin = w < 0 ? (-w + apart - 1) / apart : 0;
        s.column_end = w < g.in[2] ? (g.in[2] - w + apart - 1) / apart : 0;
        for (int64_t oh = row_begin; oh < row_end; ++oh) {
          const int64_t h = oh * g.stride[1] - g.pad[1];
          s.row_begin = h < 0 ? std::min(s.kernel_h, (-h + g.dilation[1] - 1) / g.dilation[1]) : 0;
          s.row_end = h >= g.in[1]
                          ? s.row_begin
                          : std::clamp((g.in[1] - h + g.dilation[1] - 1) / g.dilation[1], s.row_begin, s.kernel_h);
          s.x = inputs[0].as<float>() + n * g.x_batch + h * g.x[1] + w * g.x[2];
          const int64_t row = (n * g.out[1] + oh) * g.out[2] + ow;
          for (int o = 0; o < s.outputs; ++o) {
            const int64_t own = row + o * apart;
            y[o] = finish.direct
                       ? const_cast<float*>(static_cast<const float*>(sink.data[0])) + sink.rows.offset(own, 0)
                       : scratch + o * g.outputs;
            if (s.residual)
              residual[o] =
                  static_cast<const float*>(sink.data[finish.residual]) + sink.rows.offset(own, finish.residual);
          }
          depthwise_table().strip(s);
          if (!finish.needs_tape(sink)) continue;
          const int together = apart == 1 ? s.outputs : 1;
          for (int o = 0; o < s.outputs; o += together)
            run_tape(sink, 0, row + o * apart, together, channel_begin, channel_end, y + o);
        }
      }
    }
  }

  const ConvAttributes attributes_;
  const Epilogue epilogue_;
};

}  // namespace

size_t packed_depthwise_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims) {
  const ConvAttributes a(attributes);
  require(weight_dims.size() == a.kernel.size() + 2 && weight_dims[1] == 1 && weight_dims[0] == a.group,
          Code::kInvalidArgument, "conv: depthwise weights have one input channel and one output a group");
  int64_t taps = 1;
  for (const int64_t k : a.kernel) taps *= k;
  return static_cast<size_t>(taps * tap_stride(a.group)) * sizeof(float);
}

void pack_depthwise(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool&) {
  const size_t bytes = packed_depthwise_bytes(attributes, {weights.dims, static_cast<size_t>(weights.rank)});
  float* to = reinterpret_cast<float*>(out);
  std::fill(to, to + bytes / sizeof(float), 0.0f);
  Space taps;
  taps.operands = 1;
  for (int i = 2; i < weights.rank; ++i) taps.add(weights.dims[i], &weights.strides[i]);
  const int64_t channels = weights.dims[0], stride = tap_stride(channels);
  for (int64_t t = 0; t < taps.count(); ++t) {
    for (int64_t c = 0; c < channels; ++c)
      to[t * stride + c] = weights.as<float>()[taps.offset(t, 0) + c * weights.strides[0]];
  }
}

std::unique_ptr<Kernel> make_depthwise(const StepInfo& step) { return std::make_unique<Depthwise>(step); }

}  // namespace tw
