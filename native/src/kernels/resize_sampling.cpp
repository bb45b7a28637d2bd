#include "kernels/resize_sampling.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace tw {
namespace {

double original_coordinate(const ResizeRules& rules, int64_t i, int64_t input, int64_t extent, double scale, double begin, double end) {
  const double x = static_cast<double>(i), in = static_cast<double>(input), width = scale * in;
  const std::string& mode = rules.coordinates;
  if (mode == "align_corners") return width == 1 ? 0 : x * (in - 1) / (width - 1);
  if (mode == "asymmetric") return x / scale;
  if (mode == "tf_crop_and_resize") {
    const double first = begin * (in - 1);
    return width == 1 ? first + (end - begin) * (in - 1) / 2 : first + x * (end - begin) * (in - 1) / (width - 1);
  }
  if (mode == "pytorch_half_pixel") return width > 1 ? (x + 0.5) / scale - 0.5 : 0;
  if (mode == "half_pixel_symmetric") return in / 2 * (1 - static_cast<double>(extent) / width) + (x + 0.5) / scale - 0.5;
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5) / scale;
  if (mode == "half_pixel") return (x + 0.5) / scale - 0.5;
  throw Error(Code::kInvalidPlan, "resize: unknown coordinate transformation mode '" + mode + "'");
}

double nearest(double x, const std::string& mode) {
  if (mode == "floor") return std::floor(x);
  if (mode == "ceil") return std::ceil(x);
  if (mode == "round_prefer_ceil") return std::floor(x + 0.5);
  return std::ceil(x - 0.5);
}

int taps_of(const ResizeRules& rules, double scale) {
  const int reach = rules.mode == "cubic" ? 2 : 1;
  if (!rules.antialias || scale >= 1) return 2 * reach;
  const double taps = 2 - 2 * std::floor(-reach / scale + 1);
  if (!(taps <= 1e6)) throw Error(Code::kLimitExceeded, "resize: the scale is too small for antialiasing");
  return static_cast<int>(taps);
}

}  // namespace

double cubic_kernel(double distance, double a) {
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
  return 0;
}

AxisSampling sample_axis(const ResizeRules& rules, int64_t input, int64_t extent, double scale, double begin, double end) {
  const bool crop = rules.coordinates == "tf_crop_and_resize", is_nearest = rules.mode == "nearest", cubic = rules.mode == "cubic";
  if (input > INT32_MAX || extent > INT32_MAX) throw Error(Code::kLimitExceeded, "resize: an axis has more than 2^31 elements");
  AxisSampling s{extent, is_nearest ? 1 : taps_of(rules, scale), {}, {}, std::vector<uint8_t>(static_cast<size_t>(extent))};
  s.indices.resize(static_cast<size_t>(extent * s.taps));
  s.weights.resize(s.indices.size());
  const auto clamp = [&](double i) { return static_cast<int32_t>(std::clamp(i, 0.0, static_cast<double>(input - 1))); };
  const double stretch = rules.antialias ? std::min(scale, 1.0) : 1;
  std::vector<double> weights(static_cast<size_t>(s.taps));
  for (int64_t i = 0; i < extent; ++i) {
    const double x = original_coordinate(rules, i, input, extent, scale, begin, end);
    if (crop && (x < 0 || x > static_cast<double>(input - 1))) s.outside[static_cast<size_t>(i)] = 1;
    if (is_nearest) {
      s.indices[static_cast<size_t>(i)] = clamp(nearest(x, rules.nearest));
      s.weights[static_cast<size_t>(i)] = 1;
      continue;
    }
    // ONNX counts a whole coordinate as one step right of its left neighbour.
    const double left = std::floor(x) == x ? x - 1 : std::floor(x), ratio = x - left, first = left - s.taps / 2 + 1;
    double sum = 0;
    for (int t = 0; t < s.taps; ++t) {
      const double distance = std::abs((t - s.taps / 2 + 1 - ratio) * stretch);
      double w = cubic ? cubic_kernel(distance, rules.cubic_a) : std::max(0.0, 1 - distance);
      if (rules.exclude_outside && (first + t < 0 || first + t >= static_cast<double>(input))) w = 0;
      sum += weights[static_cast<size_t>(t)] = w;
    }
    const bool normalise = (stretch < 1 || rules.exclude_outside) && sum != 0;
    for (int t = 0; t < s.taps; ++t) {
      const auto at = static_cast<size_t>(t * extent + i);
      s.indices[at] = clamp(first + t);
      s.weights[at] = static_cast<float>(weights[static_cast<size_t>(t)] / (normalise ? sum : 1));
    }
  }
  return s;
}

}  // namespace tw
