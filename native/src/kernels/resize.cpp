// resize(x, roi?, scales?, sizes?): resampling along any axes, nearest, linear or cubic; ONNX's Resize in its newest form.
//
// Axes are taken in the order they have in memory. For each output row, the taps of all resampled axes but the last are
// summed into one row of input width; the last resampled axis then reads that row.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/resize_sampling.h"
#include "kernels/weighted_sum.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 8192;

// What sums are computed in.
template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, float>, float, double>;

template <typename T>
T rounded(double v) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(v);
  } else {
    using L = std::numeric_limits<T>;
    v = std::nearbyint(v);
    if (v >= static_cast<double>(L::max())) return L::max();
    return v > static_cast<double>(L::min()) ? static_cast<T>(v) : L::min();
  }
}

template <typename T>
void weighted_sum(const Sum<T>* const* rows, const float* weights, int64_t count, int64_t n, Sum<T>* y) {
  if constexpr (std::is_same_v<T, float>) {
    TW_SELECT_ISA(weighted_sums)().sum(rows, weights, count, n, y);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      Sum<T> sum = 0;
      for (int64_t t = 0; t < count; ++t) sum += static_cast<Sum<T>>(weights[t]) * rows[t][i];
      y[i] = sum;
    }
  }
}

class Resize final : public Kernel {
 public:
  explicit Resize(const StepInfo& step) {
    const Attributes& a = step.attributes;
    rules_ = {a.string("mode", "nearest"), a.string("coordinateTransformationMode", "half_pixel"), a.string("nearestMode", "round_prefer_floor"),
              a.flag("antialias"), a.flag("excludeOutside"), a.number("cubicCoeffA", -0.75)};
    if (rules_.mode != "nearest" && rules_.mode != "linear" && rules_.mode != "cubic")
      throw Error(Code::kInvalidPlan, "resize: unknown mode '" + rules_.mode + "'");
    axes_ = a.integers("axes");
    policy_ = a.string("keepAspectRatioPolicy", "stretch");
    extrapolation_ = a.number("extrapolationValue", 0);
    visit_number("resize", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    for (size_t i : {1, 2})
      if (present(inputs, i)) visit_float("resize roi and scales", inputs[i].dtype, [](auto) {});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const std::vector<Axis> axes = plan(inputs);
    std::vector<int64_t> dims(x.dims, x.dims + x.rank);
    for (const Axis& a : axes) dims[static_cast<size_t>(a.axis)] = a.extent;
    resolve_output(context, outputs, 0, dims);
    if (outputs[0].count() == 0) return;
    if (x.count() == 0) throw Error(Code::kInvalidArgument, "resize: x is empty, the output is not");
    visit_number("resize", x.dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, x, outputs[0], axes); });
  }

 private:
  struct Axis {
    int axis;
    int64_t extent;
    double scale, begin, end;
  };

  std::vector<Axis> plan(std::span<const Tensor> inputs) const {
    const Tensor& x = inputs[0];
    std::vector<Axis> axes;
    if (axes_.empty())
      for (int i = 0; i < x.rank; ++i) axes.push_back({i, 0, 1, 0, 1});
    else
      for (int64_t axis : axes_) axes.push_back({normalize_axis(axis, x.rank, "a resized axis"), 0, 1, 0, 1});
    const size_t n = axes.size();
    if (present(inputs, 1) && inputs[1].count()) {
      const std::vector<double> roi = numbers(inputs[1], 2 * n, "roi");
      for (size_t i = 0; i < n; ++i) axes[i].begin = roi[i], axes[i].end = roi[n + i];
    }
    if (present(inputs, 2) && inputs[2].count()) {
      const std::vector<double> scales = numbers(inputs[2], n, "scales");
      for (size_t i = 0; i < n; ++i) {
        const double extent = std::floor(static_cast<double>(static_cast<float>(static_cast<double>(x.dims[axes[i].axis]) * scales[i])));
        if (!(scales[i] > 0) || !(extent < 1e12))
          throw Error(Code::kInvalidArgument, "resize: a scale is " + std::to_string(scales[i]) + ", expected a positive number");
        axes[i].scale = scales[i];
        axes[i].extent = static_cast<int64_t>(extent);
      }
      return axes;
    }
    if (!present(inputs, 3)) throw Error(Code::kInvalidArgument, "resize: neither scales nor sizes are given");
    const std::vector<int64_t> sizes = read_integers(inputs[3], "sizes of resize");
    if (sizes.size() != n) throw Error(Code::kShapeMismatch, "resize: " + std::to_string(sizes.size()) + " sizes, expected " + std::to_string(n));
    double common = policy_ == "not_larger" ? HUGE_VAL : 0;
    for (size_t i = 0; i < n; ++i) {
      if (sizes[i] < 0) throw Error(Code::kInvalidArgument, "resize: a size is " + std::to_string(sizes[i]) + ", expected at least 0");
      axes[i].extent = sizes[i];
      axes[i].scale = static_cast<double>(sizes[i]) / static_cast<double>(x.dims[axes[i].axis]);
      common = policy_ == "not_larger" ? std::min(common, axes[i].scale) : std::max(common, axes[i].scale);
    }
    if (policy_ != "stretch")
      for (Axis& a : axes) {
        a.extent = static_cast<int64_t>(std::floor(common * static_cast<double>(x.dims[a.axis]) + 0.5));
        a.scale = common;
      }
    return axes;
  }

  static std::vector<double> numbers(const Tensor& t, size_t expected, const char* what) {
    if (t.count() != static_cast<int64_t>(expected))
      throw Error(Code::kShapeMismatch, std::string("resize: ") + what + " has " + std::to_string(t.count()) + " elements, expected " + std::to_string(expected));
    std::vector<double> out;
    for (size_t i = 0; i < expected; ++i) out.push_back(t.dtype == DType::kFloat64 ? t.as<double>()[i] : static_cast<double>(t.as<float>()[i]));
    return out;
  }

  // One resampled axis, in memory order.
  struct Sampled {
    AxisSampling sampling;
    int64_t in_step, in_extent;  // elements between its neighbours in x
  };

  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& y, const std::vector<Axis>& axes) const {
    int order[kMaxRank];  // logical axes from outermost to innermost in memory
    for (int i = 0; i < x.rank; ++i) order[i] = i;
    if (!x.contiguous() || !y.contiguous()) std::rotate(order + 1, order + 2, order + x.rank);

    std::vector<Sampled> sampled;
    Walk<2> rows;  // offsets in x of the axes that are not resampled; sampled axes count with stride 0
    int sampled_at[kMaxRank], last = -1;
    int64_t steps[kMaxRank];
    for (int i = x.rank - 1, step = 1; i >= 0; --i) steps[i] = i == x.rank - 1 ? step : steps[i + 1] * x.dims[order[i + 1]];
    for (int i = 0; i < x.rank; ++i) {
      sampled_at[i] = -1;
      for (const Axis& a : axes) {
        const bool same = a.scale == 1 && a.extent == x.dims[a.axis] && a.begin == 0 && a.end == 1;
        if (a.axis != order[i] || same) continue;
        sampled_at[i] = static_cast<int>(sampled.size());
        sampled.push_back({sample_axis(rules_, x.dims[a.axis], a.extent, a.scale, a.begin, a.end), steps[i], x.dims[a.axis]});
        last = i;
      }
    }
    if (sampled.empty()) {
      std::memcpy(y.data, x.data, packed_bytes(x.dtype, x.count()));
      return;
    }
    for (int i = 0; i < last; ++i) rows.add(y.dims[order[i]], {sampled_at[i] < 0 ? steps[i] : 0, 0});
    const Sampled& along = sampled.back();
    const int64_t inner = along.in_step, in_row = along.in_extent * inner, out_row = along.sampling.extent * inner;
    context.pool.parallel_ranges(rows.count(), std::max<int64_t>(1, kTaskElements / out_row), [&](int64_t begin, int64_t end, int) {
      RowMaker<T> maker(*this, sampled, in_row, inner);
      Walk<2> at = rows;
      at.seek(begin);
      for (int64_t row = begin; row < end; ++row, at.next()) {
        int64_t places[kMaxRank];
        for (int i = 0; i < last; ++i)
          if (sampled_at[i] >= 0) places[sampled_at[i]] = at.index[i];
        maker.make(x.as<T>() + at.offset[0], places, y.as<T>() + row * out_row);
      }
    });
  }

  template <typename T>
  class RowMaker {
   public:
    RowMaker(const Resize& kernel, const std::vector<Sampled>& sampled, int64_t in_row, int64_t inner)
        : kernel_(kernel), sampled_(sampled), inner_(inner), in_row_(in_row), along_(sampled.back().sampling) {
      int64_t taps = 1;
      for (size_t k = 0; k + 1 < sampled.size(); ++k) taps *= sampled[k].sampling.taps;
      offsets_.resize(static_cast<size_t>(taps));
      weights_.resize(static_cast<size_t>(taps));
      rows_.resize(static_cast<size_t>(std::max<int64_t>(taps, along_.taps)));
      nearest_ = taps == 1 && along_.taps == 1;
      if (nearest_) return;
      row_.resize(static_cast<size_t>(in_row));
      if (!std::is_same_v<T, Sum<T>>) {
        wide_.resize(static_cast<size_t>(taps * in_row));
        out_.resize(static_cast<size_t>(along_.extent * inner));
      }
    }

    // x: the first element of the region; places: the output's index along each sampled axis but the last.
    void make(const T* x, const int64_t* places, T* y) {
      const size_t axes = sampled_.size() - 1;
      for (size_t k = 0; k < axes; ++k)
        if (sampled_[k].sampling.outside[static_cast<size_t>(places[k])]) {
          std::fill_n(y, along_.extent * inner_, rounded<T>(kernel_.extrapolation_));
          return;
        }
      // All combinations of the outer axes' taps.
      size_t count = 1;
      offsets_[0] = 0, weights_[0] = 1;
      for (size_t k = 0; k < axes; ++k) {
        const AxisSampling& s = sampled_[k].sampling;
        const auto taps = static_cast<size_t>(s.taps), first = static_cast<size_t>(places[k]), extent = static_cast<size_t>(s.extent);
        for (size_t c = count; c-- > 0;)
          for (size_t t = taps; t-- > 0;) {
            offsets_[c * taps + t] = offsets_[c] + s.indices[t * extent + first] * sampled_[k].in_step;
            weights_[c * taps + t] = weights_[c] * s.weights[t * extent + first];
          }
        count *= taps;
      }
      if (nearest_) {
        pick(x + offsets_[0], y);
      } else if constexpr (std::is_same_v<T, Sum<T>>) {
        for (size_t c = 0; c < count; ++c) rows_[c] = x + offsets_[c];
        interpolate(sum_rows(count), y);
      } else {
        for (size_t c = 0; c < count; ++c) {
          Sum<T>* to = &wide_[c * static_cast<size_t>(in_row_)];
          for (int64_t i = 0; i < in_row_; ++i) to[i] = static_cast<Sum<T>>(x[offsets_[c] + i]);
          rows_[c] = to;
        }
        interpolate(sum_rows(count), out_.data());
        for (int64_t i = 0; i < along_.extent * inner_; ++i) y[i] = rounded<T>(out_[static_cast<size_t>(i)]);
      }
      for (int64_t i = 0; i < along_.extent; ++i)
        if (along_.outside[static_cast<size_t>(i)]) std::fill_n(y + i * inner_, inner_, rounded<T>(kernel_.extrapolation_));
    }

   private:
    void pick(const T* row, T* y) const {
      if (inner_ == 1) {
        for (int64_t i = 0; i < along_.extent; ++i) y[i] = row[along_.indices[static_cast<size_t>(i)]];
      } else {
        for (int64_t i = 0; i < along_.extent; ++i)
          std::memcpy(y + i * inner_, row + int64_t{along_.indices[static_cast<size_t>(i)]} * inner_, static_cast<size_t>(inner_) * sizeof(T));
      }
    }

    const Sum<T>* sum_rows(size_t count) {
      if (count == 1 && weights_[0] == 1) return rows_[0];
      weighted_sum<T>(rows_.data(), weights_.data(), static_cast<int64_t>(count), in_row_, row_.data());
      return row_.data();
    }

    void interpolate(const Sum<T>* row, Sum<T>* y) {
      const auto taps = static_cast<size_t>(along_.taps), extent = static_cast<size_t>(along_.extent);
      if (inner_ == 1) {
        const int32_t* index = along_.indices.data();
        const float* weight = along_.weights.data();
        if constexpr (std::is_same_v<T, float>) {
          TW_SELECT_ISA(weighted_sums)().gathered(row, index, weight, along_.taps, along_.extent, y);
        } else {
          for (size_t i = 0; i < extent; ++i) {
            Sum<T> sum = 0;
            for (size_t t = 0; t < taps; ++t) sum += static_cast<Sum<T>>(weight[t * extent + i]) * row[index[t * extent + i]];
            y[i] = sum;
          }
        }
        return;
      }
      along_weights_.resize(taps);
      for (size_t i = 0; i < extent; ++i) {
        for (size_t t = 0; t < taps; ++t) {
          rows_[t] = row + along_.indices[t * extent + i] * inner_;
          along_weights_[t] = along_.weights[t * extent + i];
        }
        weighted_sum<T>(rows_.data(), along_weights_.data(), along_.taps, inner_, y + static_cast<int64_t>(i) * inner_);
      }
    }

    const Resize& kernel_;
    const std::vector<Sampled>& sampled_;
    int64_t inner_, in_row_;
    const AxisSampling& along_;
    bool nearest_;
    std::vector<int64_t> offsets_;
    std::vector<float> weights_, along_weights_;
    std::vector<const Sum<T>*> rows_;
    std::vector<Sum<T>> row_, wide_, out_;
  };

  ResizeRules rules_;
  std::vector<int64_t> axes_;
  std::string policy_;
  double extrapolation_;
};

}  // namespace

void register_resize() { register_kernel("resize", adapted<make<Resize>, kImageNumbers, Signature{.max_inputs = 4, .sizes_outputs = true}>); }

}  // namespace tw
