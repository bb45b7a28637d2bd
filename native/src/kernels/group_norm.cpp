// groupNorm(x, scale, bias){numGroups, epsilon} and instanceNorm(x, scale, bias){epsilon}: scale and bias are per channel.
// Channels-last tensors are normalised in place of their layout, vectorised over channels.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"
#include "kernels/norm_loops.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 16384;

class GroupNorm final : public Kernel {
 public:
  GroupNorm(const StepInfo& step, bool instance)
      : groups_(instance ? 0 : step.attributes.integer("numGroups", 1)), epsilon_(step.attributes.number("epsilon", 1e-5)) {
    visit_float("groupNorm", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], 2, kMaxRank - 1);
    for (size_t i : {1, 2}) expect_dims("scale and bias", inputs[i], {inputs[0].dims[1]});
    expect(groups_ >= 0 && (groups_ == 0 || inputs[0].dims[1] % groups_ == 0), "the channels do not divide into the groups");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int64_t channels = x.dims[1], groups = groups_ ? groups_ : channels;
    if (x.count() == 0) return;
    if (x.dtype == DType::kFloat64) return rows<double>(context, inputs, outputs[0], groups);
    if (x.channels_last() && outputs[0].channels_last() && !x.contiguous())
      return channels_last(context, inputs, outputs[0], groups);
    rows<float>(context, inputs, outputs[0], groups);
  }

 private:
  // [n, c, …] as [n, groups, c / groups, …].
  static Tensor grouped(const Tensor& t, int64_t groups) {
    Tensor view = t;
    view.rank = t.rank + 1;
    for (int i = t.rank; i > 2; --i) view.dims[i] = t.dims[i - 1], view.strides[i] = t.strides[i - 1];
    view.dims[1] = groups;
    view.dims[2] = t.dims[1] / groups;
    view.strides[2] = t.strides[1];
    view.strides[1] = t.strides[1] * view.dims[2];
    return view;
  }

  template <typename T>
  void rows(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, int64_t groups) const {
    const Tensor x_view = grouped(inputs[0], groups), y_view = grouped(y, groups);
    const Rows<T> in(x_view, 2, x_view.rank), out(y_view, 2, y_view.rank);
    const int64_t n = in.length(), per_group = x_view.dims[2], plane = n / per_group;
    const Tensor &scale = inputs[1], &bias = inputs[2];
    const auto& loops = TW_SELECT_ISA(norm_loops)();
    context.pool.parallel_ranges(in.count(), std::max<int64_t>(1, kTaskElements / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> a(in.dense() ? 0 : n), b(out.dense() ? 0 : n);
      for (int64_t row = begin; row < end; ++row) {
        const T* p = in.read(row, a.data());
        T* q = out.place(row, b.data());
        T mean, variance;
        if constexpr (std::is_same_v<T, float>) {
          loops.moments(p, n, &mean, &variance);
        } else {
          T sum = 0, squares = 0;
          for (int64_t i = 0; i < n; ++i) sum += p[i];
          mean = sum / static_cast<T>(n);
          for (int64_t i = 0; i < n; ++i) squares += (p[i] - mean) * (p[i] - mean);
          variance = squares / static_cast<T>(n);
        }
        const T inverse = T(1) / std::sqrt(variance + static_cast<T>(epsilon_));
        for (int64_t c = 0; c < per_group; ++c) {
          const int64_t channel = row % groups * per_group + c;
          const T factor = inverse * scale.as<T>()[channel * scale.strides[0]];
          const T shift = bias.as<T>()[channel * bias.strides[0]] - mean * factor;
          if constexpr (std::is_same_v<T, float>) {
            loops.affine(p + c * plane, factor, shift, q + c * plane, plane);
          } else {
            for (int64_t i = c * plane; i < (c + 1) * plane; ++i) q[i] = p[i] * factor + shift;
          }
        }
        out.written(row, q);
      }
    });
  }

  void channels_last(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, int64_t groups) const {
    const Tensor &x = inputs[0], &scale = inputs[1], &bias = inputs[2];
    const int64_t images = x.dims[0], c = x.dims[1], pixels = product(x.dims, 2, x.rank), per_group = c / groups;
    const int64_t parts = std::clamp<int64_t>(pixels * c / kTaskElements, 1, 16);
    const auto& loops = TW_SELECT_ISA(norm_loops)();
    std::vector<float> memory(static_cast<size_t>(images * (parts + 3) * c));
    float* const partial = memory.data();
    float* const means = partial + images * parts * c;
    float* const factors = means + images * c;
    float* const shifts = factors + images * c;

    // fn(image, first pixel, pixels, that part's row of `partial`)
    const auto for_parts = [&](auto&& fn) {
      context.pool.parallel_for(images * parts, [&](int64_t task, int) {
        const int64_t part = task % parts, first = pixels * part / parts;
        fn(task / parts, first, pixels * (part + 1) / parts - first, partial + task * c);
      });
    };
    // Mean over parts, pixels and the channels of each group, for each image.
    const auto group_means = [&](auto&& store) {
      for (int64_t image = 0; image < images; ++image)
        for (int64_t g = 0; g < groups; ++g) {
          double sum = 0;
          for (int64_t part = 0; part < parts; ++part)
            for (int64_t k = g * per_group; k < (g + 1) * per_group; ++k)
              sum += static_cast<double>(partial[(image * parts + part) * c + k]);
          store(image, g, static_cast<float>(sum / static_cast<double>(pixels * per_group)));
        }
    };
    const auto x_at = [&](int64_t image, int64_t pixel) { return x.as<float>() + (image * pixels + pixel) * c; };

    for_parts([&](int64_t image, int64_t first, int64_t count, float* sums) {
      loops.add_columns(x_at(image, first), count, c, c, sums);
    });
    group_means([&](int64_t image, int64_t g, float mean) {
      std::fill_n(means + image * c + g * per_group, per_group, mean);
    });
    std::fill_n(partial, images * parts * c, 0.0f);
    for_parts([&](int64_t image, int64_t first, int64_t count, float* squares) {
      loops.add_squares(x_at(image, first), count, c, c, means + image * c, squares);
    });
    group_means([&](int64_t image, int64_t g, float variance) {
      const float inverse = 1.0f / std::sqrt(variance + static_cast<float>(epsilon_));
      for (int64_t k = g * per_group; k < (g + 1) * per_group; ++k) {
        const float factor = inverse * scale.as<float>()[k * scale.strides[0]];
        factors[image * c + k] = factor;
        shifts[image * c + k] = bias.as<float>()[k * bias.strides[0]] - means[image * c + k] * factor;
      }
    });
    for_parts([&](int64_t image, int64_t first, int64_t count, float*) {
      loops.affine_columns(x_at(image, first), count, c, y.as<float>() + (image * pixels + first) * c, c, c, factors + image * c,
                           shifts + image * c);
    });
  }

  int64_t groups_;  // 0: as many as channels
  double epsilon_;
};

template <bool instance>
std::unique_ptr<Kernel> make_group_norm(const StepInfo& step) {
  return std::make_unique<GroupNorm>(step, instance);
}

}  // namespace

void register_group_norm() {
  register_kernel("groupNorm", adapted<make_group_norm<false>, kStridedNumbers, Signature{.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b110, .same_shape = true}>);
  register_kernel("instanceNorm", adapted<make_group_norm<true>, kStridedNumbers, Signature{.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b110, .same_shape = true}>);
}

}  // namespace tw
