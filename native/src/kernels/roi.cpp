// roiAlign(x, rois, batchIndices){mode, coordinateTransformationMode, outputHeight, outputWidth, samplingRatio,
// spatialScale} and maxRoiPool(x, rois){pooledShape, spatialScale}: regions of feature maps [N, C, H, W] at one size.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/adapt.h"
#include "kernels/common/index.h"
#include "kernels/weighted_sum.h"

namespace tw {
namespace {

class RoiAlign final : public Kernel {
 public:
  explicit RoiAlign(const StepInfo& step) {
    const Attributes& a = step.attributes;
    max_ = a.string("mode", "avg") == "max";
    half_pixel_ = a.string("coordinateTransformationMode", "half_pixel") == "half_pixel";
    height_ = a.integer("outputHeight", 1), width_ = a.integer("outputWidth", 1);
    ratio_ = a.integer("samplingRatio", 0);
    scale_ = a.number("spatialScale", 1);
    if (height_ < 1 || width_ < 1) throw Error(Code::kInvalidPlan, "roiAlign: the output must have at least one row and column");
    visit_float("roiAlign", step.inputs[0].dtype, [](auto) {});
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor>, int) const override {
    // Floats are sampled with channels innermost, where they are summed in vectors.
    return inputs[0].dtype == DType::kFloat32 && inputs[0].contiguous() ? packed_bytes(DType::kFloat32, inputs[0].count()) : 0;
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    expect_rank("x", inputs[0], 4, 4);
    expect_rank("rois", inputs[1], 2, 2);
    expect_dims("rois", inputs[1], {inputs[1].dims[0], 4});
    expect_dims("batch indices", inputs[2], {inputs[1].dims[0]});
    expect_dims("the output", outputs[0], {inputs[1].dims[0], inputs[0].dims[1], height_, width_});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &rois = inputs[1];
    const std::vector<int64_t> images = read_integers(inputs[2], "batch indices of roiAlign");
    for (int64_t image : images)
      if (image < 0 || image >= x.dims[0])
        throw Error(Code::kInvalidArgument, "roiAlign: a region is of image " + std::to_string(image) + ", the batch has " + std::to_string(x.dims[0]));
    if (outputs[0].count() == 0) return;
    if (x.count() == 0) throw Error(Code::kInvalidArgument, "roiAlign: x is empty, the output is not");
    if (x.dtype == DType::kFloat64) return run_double(context, x, rois, images, outputs[0]);
    Tensor pixels = x;
    if (x.contiguous()) {
      pixels.data = context.workspace;
      transpose(context, x, pixels.as<float>());
    }
    run_float(context, pixels, rois, images, outputs[0]);
  }

 private:
  struct Samples {
    std::vector<int64_t> offsets;  // pixels; four neighbours for each sampling point of each bin
    std::vector<float> weights;
    int64_t per_bin;
  };

  template <typename T>
  Samples samples(const T* roi, int64_t height, int64_t width) const {
    const double shift = half_pixel_ ? 0.5 : 0;
    const double x0 = static_cast<double>(roi[0]) * scale_ - shift, y0 = static_cast<double>(roi[1]) * scale_ - shift;
    double roi_width = static_cast<double>(roi[2]) * scale_ - shift - x0, roi_height = static_cast<double>(roi[3]) * scale_ - shift - y0;
    // Without half-pixel coordinates regions are at least one pixel wide.
    if (!half_pixel_) roi_width = std::max(roi_width, 1.0), roi_height = std::max(roi_height, 1.0);
    const double bin_height = roi_height / static_cast<double>(height_), bin_width = roi_width / static_cast<double>(width_);
    const auto points = [&](double size) {
      if (ratio_ > 0) return ratio_;
      if (!(size < 1e5)) throw Error(Code::kInvalidArgument, "roiAlign: a region is too large");
      return std::max<int64_t>(0, static_cast<int64_t>(std::ceil(size)));
    };
    const int64_t rows = points(bin_height), columns = points(bin_width);
    Samples s{{}, {}, rows * columns};
    s.offsets.reserve(static_cast<size_t>(height_ * width_ * s.per_bin * 4));
    s.weights.reserve(s.offsets.capacity());
    for (int64_t bin = 0; bin < height_ * width_; ++bin)
      for (int64_t i = 0; i < s.per_bin; ++i) {
        const double y = y0 + static_cast<double>(bin / width_) * bin_height + (static_cast<double>(i / columns) + 0.5) * bin_height / static_cast<double>(rows);
        const double x = x0 + static_cast<double>(bin % width_) * bin_width + (static_cast<double>(i % columns) + 0.5) * bin_width / static_cast<double>(columns);
        const bool inside = y >= -1 && y <= static_cast<double>(height) && x >= -1 && x <= static_cast<double>(width);
        int64_t yl = 0, yh = 0, xl = 0, xh = 0;
        double fy = 0, fx = 0;
        if (inside) {
          neighbours(y, height, yl, yh, fy);
          neighbours(x, width, xl, xh, fx);
        }
        for (int64_t o : {yl * width + xl, yl * width + xh, yh * width + xl, yh * width + xh}) s.offsets.push_back(o);
        for (double w : {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}) s.weights.push_back(inside ? static_cast<float>(w) : 0.0f);
      }
    return s;
  }

  static void neighbours(double position, int64_t extent, int64_t& low, int64_t& high, double& fraction) {
    const double p = std::max(position, 0.0);
    low = static_cast<int64_t>(p);
    if (low >= extent - 1) {
      low = high = extent - 1, fraction = 0;
      return;
    }
    high = low + 1, fraction = p - static_cast<double>(low);
  }

  static void transpose(KernelContext& context, const Tensor& x, float* to) {
    const int64_t c = x.dims[1], pixels = x.dims[2] * x.dims[3];
    constexpr int64_t kTile = 16;
    const int64_t tiles = (pixels + kTile - 1) / kTile;
    context.pool.parallel_ranges(x.dims[0] * tiles, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task % tiles * kTile, n = std::min(kTile, pixels - first);
        const float* p = x.as<float>() + task / tiles * c * pixels + first;
        float* q = to + (task / tiles * pixels + first) * c;
        for (int64_t k = 0; k < c; ++k)
          for (int64_t i = 0; i < n; ++i) q[i * c + k] = p[k * pixels + i];
      }
    });
  }

  void run_float(KernelContext& context, const Tensor& x, const Tensor& rois, const std::vector<int64_t>& images, const Tensor& y) const {
    const int64_t c = x.dims[1], height = x.dims[2], width = x.dims[3], bins = height_ * width_;
    const auto& sums = TW_SELECT_ISA(weighted_sums)();
    context.pool.parallel_ranges(static_cast<int64_t>(images.size()), 1, [&](int64_t begin, int64_t end, int) {
      std::vector<const float*> taps;
      std::vector<float> out(static_cast<size_t>(bins * c));
      for (int64_t r = begin; r < end; ++r) {
        Samples s = samples(rois.as<float>() + r * 4, height, width);
        const float* image = x.as<float>() + images[static_cast<size_t>(r)] * height * width * c;
        const auto per_bin = static_cast<size_t>(s.per_bin) * 4;
        taps.resize(per_bin);
        if (!max_)
          for (float& w : s.weights) w /= static_cast<float>(s.per_bin);
        for (int64_t bin = 0; bin < bins; ++bin) {
          const size_t first = static_cast<size_t>(bin) * per_bin;
          float* to = out.data() + bin * c;
          for (size_t t = 0; t < per_bin; ++t) taps[t] = image + s.offsets[first + t] * c;
          if (per_bin == 0) std::fill_n(to, c, 0.0f);
          else (max_ ? sums.max : sums.sum)(taps.data(), &s.weights[first], static_cast<int64_t>(per_bin), c, to);
        }
        float* q = y.as<float>() + r * y.strides[0];
        for (int64_t k = 0; k < c; ++k)
          for (int64_t bin = 0; bin < bins; ++bin) q[k * y.strides[1] + bin / width_ * y.strides[2] + bin % width_ * y.strides[3]] = out[static_cast<size_t>(bin * c + k)];
      }
    });
  }

  void run_double(KernelContext& context, const Tensor& x, const Tensor& rois, const std::vector<int64_t>& images, const Tensor& y) const {
    const int64_t c = x.dims[1], bins = height_ * width_;
    context.pool.parallel_ranges(static_cast<int64_t>(images.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        const Samples s = samples(rois.as<double>() + r * 4, x.dims[2], x.dims[3]);
        for (int64_t k = 0; k < c; ++k)
          for (int64_t bin = 0; bin < bins; ++bin) {
            const double* p = x.as<double>() + images[static_cast<size_t>(r)] * x.strides[0] + k * x.strides[1];
            double sum = 0, best = -std::numeric_limits<double>::infinity();
            for (auto i = static_cast<size_t>(bin * s.per_bin * 4); i < static_cast<size_t>((bin + 1) * s.per_bin * 4); ++i) {
              const double v = static_cast<double>(s.weights[i]) * p[s.offsets[i] * x.strides[3]];
              sum += v;
              best = std::max(best, v);
            }
            y.as<double>()[r * y.strides[0] + k * y.strides[1] + bin / width_ * y.strides[2] + bin % width_ * y.strides[3]] = s.per_bin == 0 ? 0 : max_ ? best : sum / static_cast<double>(s.per_bin);
          }
      }
    });
  }

  bool max_, half_pixel_;
  int64_t height_, width_, ratio_;
  double scale_;
};

class MaxRoiPool final : public Kernel {
 public:
  explicit MaxRoiPool(const StepInfo& step) : shape_(step.attributes.integers("pooledShape")), scale_(step.attributes.number("spatialScale", 1)) {
    if (shape_.size() != 2 || shape_[0] < 1 || shape_[1] < 1) throw Error(Code::kInvalidPlan, "maxRoiPool: pooledShape must have two positive elements");
    visit_float("maxRoiPool", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    expect_rank("x", inputs[0], 4, 4);
    expect_rank("rois", inputs[1], 2, 2);
    expect_dims("rois", inputs[1], {inputs[1].dims[0], 5});
    expect_dims("the output", outputs[0], {inputs[1].dims[0], inputs[0].dims[1], shape_[0], shape_[1]});
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("maxRoiPool", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs[0], inputs[1], outputs[0]); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& rois, const Tensor& y) const {
    const int64_t c = x.dims[1], height = x.dims[2], width = x.dims[3], out_height = shape_[0], out_width = shape_[1];
    context.pool.parallel_ranges(rois.dims[0] * c, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t task = begin; task < end; ++task) {
        const T* roi = rois.as<T>() + task / c * 5;
        const double image = static_cast<double>(roi[0]);
        if (!(image >= 0 && image < static_cast<double>(x.dims[0])))
          throw Error(Code::kInvalidArgument, "maxRoiPool: a region is of image " + std::to_string(image) + ", the batch has " + std::to_string(x.dims[0]));
        double corner[4];
        for (int k = 0; k < 4; ++k) corner[k] = std::round(static_cast<double>(roi[k + 1]) * scale_);
        const double bin_height = std::max(corner[3] - corner[1] + 1, 1.0) / static_cast<double>(out_height);
        const double bin_width = std::max(corner[2] - corner[0] + 1, 1.0) / static_cast<double>(out_width);
        const T* p = x.as<T>() + (static_cast<int64_t>(image) * c + task % c) * height * width;
        const auto clamp = [](double v, int64_t max) { return static_cast<int64_t>(std::clamp(v, 0.0, static_cast<double>(max))); };
        for (int64_t h = 0; h < out_height; ++h)
          for (int64_t w = 0; w < out_width; ++w) {
            const int64_t top = clamp(std::floor(static_cast<double>(h) * bin_height) + corner[1], height);
            const int64_t bottom = clamp(std::ceil(static_cast<double>(h + 1) * bin_height) + corner[1], height);
            const int64_t left = clamp(std::floor(static_cast<double>(w) * bin_width) + corner[0], width);
            const int64_t right = clamp(std::ceil(static_cast<double>(w + 1) * bin_width) + corner[0], width);
            T best = bottom <= top || right <= left ? T(0) : -std::numeric_limits<T>::infinity();
            for (int64_t i = top; i < bottom; ++i)
              for (int64_t j = left; j < right; ++j) best = std::max(best, p[i * width + j]);
            y.as<T>()[(task * out_height + h) * out_width + w] = best;
          }
      }
    });
  }

  std::vector<int64_t> shape_;
  double scale_;
};

}  // namespace

void register_roi() {
  register_kernel("roiAlign", adapted<make<RoiAlign>, kImageNumbers, Signature{.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b10}>);
  register_kernel("maxRoiPool", adapted<make<MaxRoiPool>, kDenseNumbers, Signature{.min_inputs = 2, .max_inputs = 2, .same_inputs = 0b10}>);
}

}  // namespace tw
