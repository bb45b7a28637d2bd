// gridSample(x, grid){alignCorners, mode, paddingMode}: x read at positions that a grid gives.
// x [N, C, in…], grid [N, out…, rank] -> [N, C, out…].
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/resize_sampling.h"

namespace tw {
namespace {

enum class Mode { kNearest, kLinear, kCubic };
enum class Padding { kZeros, kBorder, kReflection };

// An index or coordinate reflected at the borders until it lies between them.
double reflect(double at, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double beyond = at < low ? low - at : at > high ? at - high : 0;
  if (beyond == 0) return at;
  const double turns = std::floor(beyond / range), rest = beyond - turns * range;
  const bool even = std::fmod(turns, 2) == 0;
  return (at < low) == even ? low + rest : high - rest;
}

class GridSample final : public Kernel {
 public:
  explicit GridSample(const StepInfo& step) : align_(step.attributes.flag("alignCorners")) {
    const std::string mode = step.attributes.string("mode", "linear"), padding = step.attributes.string("paddingMode", "zeros");
    mode_ = mode == "nearest" ? Mode::kNearest : mode == "cubic" || mode == "bicubic" ? Mode::kCubic : Mode::kLinear;
    padding_ = padding == "border" ? Padding::kBorder : padding == "reflection" ? Padding::kReflection : Padding::kZeros;
    visit_number("gridSample", step.inputs[0].dtype, [](auto) {});
    visit_float("gridSample grid", step.inputs[1].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &x = inputs[0], &grid = inputs[1];
    expect_rank("x", x, 3, 6);
    expect_rank("the grid", grid, x.rank, x.rank);
    expect(grid.dims[grid.rank - 1] == x.rank - 2 && grid.dims[0] == x.dims[0], "the grid must have x's batch, and a coordinate for each spatial axis of x");
    std::vector<int64_t> dims = {x.dims[0], x.dims[1]};
    dims.insert(dims.end(), grid.dims + 1, grid.dims + grid.rank - 1);
    expect_dims("the output", outputs[0], dims);
    for (int i = 2; i < x.rank; ++i) expect(x.dims[i] > 0 || outputs[0].count() == 0, "x is empty, the output is not");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_number("gridSample", inputs[0].dtype, [&](auto tag) {
      visit_float("gridSample grid", inputs[1].dtype, [&](auto grid_tag) {
        run_as<typename decltype(tag)::type, typename decltype(grid_tag)::type>(context, inputs[0], inputs[1], outputs[0]);
      });
    });
  }

 private:
  double index(double i, double extent) const {  // negative: contributes nothing
    if (i >= 0 && i < extent) return i;
    if (padding_ == Padding::kZeros || i != i) return -1;
    if (padding_ == Padding::kBorder) return std::clamp(i, 0.0, extent - 1);
    const double at = align_ ? reflect(i, 0, extent - 1) : reflect(i, -0.5, extent - 0.5);
    return std::clamp(std::trunc(at), 0.0, extent - 1);
  }

  double place(double at, double extent) const {
    // In float, as the definition rounds it: it decides between neighbours.
    const double scaled = static_cast<float>(align_ ? (at + 1) / 2 * (extent - 1) : ((at + 1) * extent - 1) / 2);
    const double position = mode_ == Mode::kNearest ? std::nearbyint(scaled) : scaled;
    const double low = align_ ? 0 : -0.5, high = align_ ? extent - 1 : extent - 0.5;
    if (position >= low && position <= high) return position;
    if (padding_ == Padding::kBorder && mode_ == Mode::kCubic) {
      // What no integer holds counts as -1, as ONNX Runtime has it.
      if (!(std::abs(position) < 0x1p63)) return low;
      // Cubic kernels keep their place and meet the border tap by tap: from here on, with all taps.
      return std::clamp(position, -2.0, extent + 1);
    }
    if (padding_ == Padding::kBorder) return std::clamp(position, 0.0, extent - 1);
    return padding_ == Padding::kReflection ? reflect(position, low, high) : position;
  }

  template <typename T, typename G>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& grid, const Tensor& y) const {
    const int rank = x.rank - 2;
    if (rank < 1 || rank > 4 || grid.rank != x.rank || grid.dims[grid.rank - 1] != rank)
      throw Error(Code::kShapeMismatch, "gridSample: the grid's last axis must hold one coordinate for each spatial axis of x");
    const int64_t channels = x.dims[1], plane = product(x.dims, 2, x.rank), area = product(y.dims, 2, y.rank);
    if (y.count() == 0) return;
    const int taps = mode_ == Mode::kNearest ? 1 : mode_ == Mode::kLinear ? 2 : 4;
    int total = 1;
    for (int i = 0; i < rank; ++i) total *= taps;
    constexpr double kCubic = -0.75;
    context.pool.parallel_ranges(x.dims[0] * area, std::max<int64_t>(1, 8192 / (channels * total)), [&](int64_t begin, int64_t end, int) {
      std::vector<int64_t> offsets(static_cast<size_t>(total));
      std::vector<double> weights(static_cast<size_t>(total));
      for (int64_t p = begin; p < end; ++p) {
        size_t count = 1;
        offsets[0] = 0, weights[0] = 1;
        for (int axis = 0; axis < rank; ++axis) {
          const auto extent = static_cast<double>(x.dims[axis + 2]);
          // The grid lists the innermost axis first.
          const double at = place(static_cast<double>(grid.as<G>()[p * rank + rank - 1 - axis]), extent);
          const double low = mode_ == Mode::kNearest ? std::trunc(at) : std::floor(at) - (taps / 2 - 1);
          int64_t tap_index[4];
          double tap_weight[4];
          for (int t = 0; t < taps; ++t) {
            const double i = index(low + t, extent), distance = std::abs(at - (low + t));
            tap_weight[t] = i < 0 ? 0 : mode_ == Mode::kNearest ? 1 : mode_ == Mode::kLinear ? 1 - distance : cubic_kernel(distance, kCubic);
            tap_index[t] = i < 0 ? 0 : static_cast<int64_t>(i);
          }
          const auto n = static_cast<size_t>(taps);
          for (size_t c = count; c-- > 0;)
            for (size_t t = n; t-- > 0;) {
              offsets[c * n + t] = offsets[c] * x.dims[axis + 2] + tap_index[t];
              weights[c * n + t] = weights[c] * tap_weight[t];
            }
          count *= n;
        }
        const int64_t n = p / area, at = p % area;
        for (int64_t c = 0; c < channels; ++c) {
          const T* in = x.as<T>() + (n * channels + c) * plane;
          double sum = 0;
          for (size_t t = 0; t < count; ++t)
            if (weights[t] != 0) sum += weights[t] * static_cast<double>(in[offsets[t]]);
          y.as<T>()[(n * channels + c) * area + at] = static_cast<T>(sum);
        }
      }
    });
  }

  bool align_;
  Mode mode_;
  Padding padding_;
};

}  // namespace

void register_grid_sample() { register_kernel("gridSample", adapted<make<GridSample>, kDenseNumbers, Signature{.min_inputs = 2, .max_inputs = 2}>); }

}  // namespace tw
