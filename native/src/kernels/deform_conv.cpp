// deformConv(x, w, offset, bias?, mask?){strides, dilations, pads, group, offsetGroup}: convolution whose taps are
// displaced by `offset` and weighted by `mask`, both computed by the network.
// x [N, C, …], w [M, C / group, …], offset [N, offsetGroup * taps * rank, out…], mask [N, offsetGroup * taps, out…].
//
// For 32 output positions at a time the taps are sampled into a panel, which one matrix product multiplies by the weights.
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/contraction/tile.h"

namespace tw {
namespace {

class DeformConv final : public Kernel {
 public:
  explicit DeformConv(const StepInfo& step) : attributes_(step.attributes) {
    group_ = attributes_.integer("group", 1);
    offset_group_ = attributes_.integer("offsetGroup", 1);
    visit_float("deformConv", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const Tensor &x = inputs[0], &w = inputs[1], &y = outputs[0];
    expect_rank("x", x, 3, 6);
    expect_rank("w", w, x.rank, x.rank);
    expect_rank("the output", y, x.rank, x.rank);
    const int64_t taps = product(w.dims, 2, w.rank);
    expect(group_ > 0 && offset_group_ > 0 && w.dims[0] % group_ == 0 && x.dims[1] == w.dims[1] * group_ && x.dims[1] % offset_group_ == 0 &&
               y.dims[0] == x.dims[0] && y.dims[1] == w.dims[0],
           "the channels of x, w, the output and the groups do not fit");
    std::vector<int64_t> dims(y.dims, y.dims + y.rank);
    dims[1] = offset_group_ * taps * (x.rank - 2);
    expect_dims("offset", inputs[2], dims);
    dims[1] = offset_group_ * taps;
    if (present(inputs, 3)) expect_dims("bias", inputs[3], {w.dims[0]});
    if (present(inputs, 4)) expect_dims("mask", inputs[4], dims);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("deformConv", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs, outputs[0]); });
  }

 private:
  std::vector<int64_t> list(const char* name, size_t size, int64_t value) const {
    auto v = attributes_.integers(name);
    if (v.empty()) v.assign(size, value);
    if (v.size() != size) throw Error(Code::kInvalidPlan, std::string("deformConv: ") + name + " must have " + std::to_string(size) + " elements");
    return v;
  }

  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y) const {
    const Tensor &x = inputs[0], &w = inputs[1], &offset = inputs[2];
    const int rank = x.rank - 2;
    if (rank < 1 || rank > 4) throw Error(Code::kUnsupported, "deformConv takes one to four spatial axes");
    const auto n = static_cast<size_t>(rank);
    const auto strides = list("strides", n, 1), dilations = list("dilations", n, 1), pads = list("pads", 2 * n, 0);
    const int64_t channels = x.dims[1], plane = product(x.dims, 2, x.rank), area = product(y.dims, 2, y.rank);
    const int64_t taps = product(w.dims, 2, w.rank), rows = w.dims[0] / group_, group_channels = w.dims[1], depth = group_channels * taps;
    if (channels != group_channels * group_ || channels % offset_group_ != 0 || offset.dims[1] != offset_group_ * taps * rank)
      throw Error(Code::kShapeMismatch, "deformConv: the channels of x, w, offset and the groups do not fit");
    const T* bias = present(inputs, 3) ? inputs[3].as<T>() : nullptr;
    const T* mask = present(inputs, 4) ? inputs[4].as<T>() : nullptr;
    const int64_t blocks = (area + kPanel - 1) / kPanel, per_offset_group = std::max<int64_t>(1, channels / offset_group_);
    context.pool.parallel_for(x.dims[0] * group_ * blocks, [&](int64_t task, int) {
      const int64_t first = task % blocks * kPanel, count = std::min(kPanel, area - first), g = task / blocks % group_, image = task / blocks / group_;
      std::vector<T> panel(static_cast<size_t>(depth * kPanel));  // [channel of the group, tap][position]
      Walk<1> out, tap;
      for (int i = 0; i < rank; ++i) out.add(y.dims[i + 2], {0}), tap.add(w.dims[i + 2], {0});
      Corners<T> corners[kPanel];
      for (int64_t og = g * group_channels / per_offset_group; og * per_offset_group < (g + 1) * group_channels; ++og) {
        const int64_t begin = std::max(og * per_offset_group, g * group_channels), end = std::min((og + 1) * per_offset_group, (g + 1) * group_channels);
        tap.seek(0);
        for (int64_t t = 0; t < taps; ++t, tap.next()) {
          const int64_t base = (image * offset_group_ + og) * taps + t;
          out.seek(first);
          for (int64_t p = 0; p < count; ++p, out.next()) {
            T at[4];
            for (int i = 0; i < rank; ++i) {
              const auto k = static_cast<size_t>(i);
              at[i] = static_cast<T>(out.index[i] * strides[k] - pads[k] + tap.index[i] * dilations[k]) + offset.as<T>()[(base * rank + i) * area + first + p];
            }
            corners[p].set(x, rank, at, mask ? mask[base * area + first + p] : T(1));
          }
          for (int64_t c = begin; c < end; ++c) {
            const T* in = x.as<T>() + (image * channels + c) * plane;
            T* to = &panel[static_cast<size_t>(((c - g * group_channels) * taps + t) * kPanel)];
            for (int64_t p = 0; p < count; ++p) to[p] = corners[p].sample(in);
          }
        }
      }
      multiply(w.as<T>() + g * rows * depth, panel.data(), bias ? bias + g * rows : nullptr, rows, depth, count,
               y.as<T>() + (image * group_ + g) * rows * area + first, area);
    });
  }

  // The neighbours of a fractional position, with their weights; a position more than a pixel outside, or NaN, has none.
  template <typename T>
  struct Corners {
    int64_t offset[16];
    T weight[16], factor;
    int count;
    void set(const Tensor& x, int rank, const T* at, T scale) {
      count = 0, factor = scale;
      for (int i = 0; i < rank; ++i)
        if (!(at[i] > -1 && at[i] < static_cast<T>(x.dims[i + 2]))) return;
      for (int corner = 0; corner < 1 << rank; ++corner) {
        T w = 1;
        int64_t o = 0;
        bool exists = true;
        for (int i = 0; i < rank; ++i) {
          const T low = std::floor(at[i]), fraction = at[i] - low;
          const int64_t high = (corner >> i) & 1, index = static_cast<int64_t>(low) + high;
          exists = exists && index >= 0 && index < x.dims[i + 2];
          w *= high ? fraction : 1 - fraction;
          o = o * x.dims[i + 2] + index;
        }
        if (exists) offset[count] = o, weight[count++] = w;
      }
    }
    // Neighbours of weight 0 count as well: beside an infinite one, the result is NaN.
    T sample(const T* p) const {
      T sum = 0;
      for (int k = 0; k < count; ++k) sum += weight[k] * p[offset[k]];
      return sum * factor;
    }
  };

  // y[m][p] = sum over k of w[m][k] * panel[k][p] + bias[m]
  template <typename T>
  static void multiply(const T* w, const T* panel, const T* bias, int64_t rows, int64_t depth, int64_t count, T* y, int64_t y_stride) {
    if constexpr (std::is_same_v<T, float>) {
      const TileTable& table = tile_table();
      for (int64_t m = 0; m < rows; m += table.rows) {
        TileArgs args{};
        float* c[kMaxTileRows];
        args.rows = static_cast<int>(std::min<int64_t>(table.rows, rows - m));
        for (int r = 0; r < args.rows; ++r) c[r] = y + (m + r) * y_stride;
        args.a = w + m * depth, args.lda = depth;
        args.b = panel, args.ldb = kPanel, args.k = depth;
        args.c = c, args.columns = static_cast<int>(count);
        if (bias)
          for (int r = 0; r < args.rows; ++r) std::fill_n(c[r], count, bias[m + r]);
        args.accumulate = bias != nullptr;
        table.tile(args);
      }
    } else {
      for (int64_t m = 0; m < rows; ++m)
        for (int64_t p = 0; p < count; ++p) {
          T sum = bias ? bias[m] : T(0);
          for (int64_t k = 0; k < depth; ++k) sum += w[m * depth + k] * panel[k * kPanel + p];
          y[m * y_stride + p] = sum;
        }
    }
  }

  Attributes attributes_;
  int64_t group_, offset_group_;
};

}  // namespace

void register_deform_conv() { register_kernel("deformConv", adapted<make<DeformConv>, kDenseNumbers, Signature{.min_inputs = 3, .max_inputs = 5, .same_inputs = 0b11110}>); }

}  // namespace tw
