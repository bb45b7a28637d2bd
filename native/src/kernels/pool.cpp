// pool{kind: max|average|lp, kernelShape, strides, pads, dilations, countIncludePad, p} over any number of spatial axes,
// and maxPoolWithIndices, whose second output is where in x (flattened, row-major) each maximum was.
// The output's dims are given, so ceilMode is already in them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/pool_loops.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 8192;

std::vector<int64_t> filled(std::vector<int64_t> list, size_t size, int64_t value) {
  return list.empty() ? std::vector<int64_t>(size, value) : list;
}

// The window's geometry along each spatial axis.
struct Window {
  static constexpr int64_t kLimit = 1 << 24;
  explicit Window(const Attributes& a)
      : kernel(a.integers("kernelShape")),
        strides(filled(a.integers("strides"), kernel.size(), 1)),
        pads(filled(a.integers("pads"), 2 * kernel.size(), 0)),
        dilations(filled(a.integers("dilations"), kernel.size(), 1)) {
    const size_t n = kernel.size();
    if (n == 0 || n > kMaxRank - 2 || strides.size() != n || dilations.size() != n || pads.size() != 2 * n)
      throw Error(Code::kInvalidPlan, "pool: kernelShape, strides, pads and dilations must describe the same spatial axes");
    for (size_t i = 0; i < n; ++i)
      if (kernel[i] < 1 || strides[i] < 1 || dilations[i] < 1)
        throw Error(Code::kInvalidArgument, "pool: kernelShape, strides and dilations must be at least 1");
    for (const auto* list : {&kernel, &strides, &pads, &dilations})
      for (int64_t v : *list)
        if (v < -kLimit || v > kLimit) throw Error(Code::kLimitExceeded, "pool: kernelShape, strides, pads and dilations must stay below 2^24");
    int64_t taps = 1;
    for (int64_t k : kernel)
      if ((taps *= k) > kLimit) throw Error(Code::kLimitExceeded, "pool: the window must have fewer than 2^24 elements");
  }
  int rank() const { return static_cast<int>(kernel.size()); }
  void check(const Tensor& x, const Tensor& y) const {
    expect_rank("x", x, rank() + 2, rank() + 2);
    expect_rank("the output", y, rank() + 2, rank() + 2);
    expect(x.dims[0] == y.dims[0] && x.dims[1] == y.dims[1], "x and the output differ in batch or channels");
  }

  // The taps of output `o` along axis i that lie inside [0, size): first tap and end.
  struct Range { int64_t first, end, position; };
  Range taps(int i, int64_t o, int64_t size) const {
    const auto k = static_cast<size_t>(i);
    const int64_t start = o * strides[k] - pads[k], d = dilations[k];
    const int64_t first = start < 0 ? (-start + d - 1) / d : 0;
    const int64_t end = start >= size ? 0 : std::min(kernel[k], (size - start + d - 1) / d);
    return {first, std::max(first, end), start};
  }
  // How many taps an average divides by: those on the input, or on the input with its padding.
  int64_t divisor(int i, int64_t o, int64_t size, bool with_pads) const {
    const auto k = static_cast<size_t>(i);
    if (!with_pads) {
      const Range r = taps(i, o, size);
      return r.end - r.first;
    }
    const int64_t start = o * strides[k] - pads[k], limit = size + pads[k + kernel.size()];
    return std::clamp<int64_t>((limit - start + dilations[k] - 1) / dilations[k], 0, kernel[k]);
  }

  std::vector<int64_t> kernel, strides, pads, dilations;
};

enum class Kind { kMax, kAverage, kLp };

class Pool final : public Kernel {
 public:
  explicit Pool(const StepInfo& step)
      : window_(step.attributes), with_pads_(step.attributes.flag("countIncludePad")), p_(step.attributes.number("p", 2)) {
    const std::string kind = step.attributes.string("kind", "max");
    if (kind == "max") kind_ = Kind::kMax;
    else if (kind == "average") kind_ = Kind::kAverage;
    else if (kind == "lp") kind_ = Kind::kLp;
    else throw Error(Code::kInvalidPlan, "pool: unknown kind '" + kind + "'");
    visit_number("pool", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    window_.check(inputs[0], outputs[0]);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &y = outputs[0];
    if (y.count() == 0) return;
    visit_number("pool", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (!y.contiguous() || !x.contiguous()) pixels<T>(context, x, y);
      else planes<T>(context, x, y);
    });
  }

 private:
  template <typename T>
  static constexpr T lowest() {
    using L = std::numeric_limits<T>;
    return L::has_infinity ? -L::infinity() : L::lowest();
  }
  // Integers are averaged and normed in double.
  template <typename T>
  using Sum = std::conditional_t<std::is_same_v<T, float>, float, double>;

  template <typename T>
  Sum<T> term(T v) const {
    const Sum<T> s = std::abs(static_cast<Sum<T>>(v));
    return kind_ == Kind::kAverage ? static_cast<Sum<T>>(v) : p_ == 2 ? s * s : p_ == 1 ? s : std::pow(s, static_cast<Sum<T>>(p_));
  }
  template <typename T>
  T finished(Sum<T> sum, int64_t divisor) const {
    if (kind_ == Kind::kAverage) sum = divisor ? sum / static_cast<Sum<T>>(divisor) : Sum<T>(0);
    else if (p_ == 2) sum = std::sqrt(sum);
    else if (p_ != 1) sum = std::pow(sum, static_cast<Sum<T>>(1 / p_));
    return static_cast<T>(sum);
  }

  // Channels-last: each output pixel gathers the taps that lie inside, those of a row of pixels at the same places of
  // the outer axes.
  template <typename T>
  void pixels(KernelContext& context, const Tensor& x, const Tensor& y) const {
    const int rank = window_.rank(), last = rank - 1;
    const int64_t channels = x.dims[1], width = y.dims[rank + 1], rows = product(y.dims, 2, rank + 1);
    const int64_t outer_taps = product(window_.kernel.data(), 0, last), taps_along = window_.kernel[static_cast<size_t>(last)];
    const int64_t dilation = window_.dilations[static_cast<size_t>(last)], column = x.strides[rank + 1];
    struct Column { Window::Range range; int64_t divisor; };
    std::vector<Column> columns(static_cast<size_t>(width));
    for (int64_t o = 0; o < width; ++o)
      columns[static_cast<size_t>(o)] = {window_.taps(last, o, x.dims[rank + 1]), window_.divisor(last, o, x.dims[rank + 1], with_pads_)};
    const int64_t grain = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, channels * outer_taps * taps_along * width));
    context.pool.parallel_ranges(y.dims[0] * rows, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<int64_t> places(static_cast<size_t>(outer_taps));
      std::vector<const T*> taps(static_cast<size_t>(outer_taps * taps_along));
      std::vector<Sum<T>> sums(kind_ == Kind::kMax ? 0 : static_cast<size_t>(channels));
      Walk<1> row;
      row.add(y.dims[0], {x.strides[0]});
      for (int i = 0; i < last; ++i) row.add(y.dims[i + 2], {0});
      row.seek(begin);
      for (int64_t r = begin; r < end; ++r, row.next()) {
        int64_t divisor = 1;
        Walk<1> tap;
        int64_t base = row.index[0] * x.strides[0];
        for (int i = 0; i < last; ++i) {
          const auto range = window_.taps(i, row.index[i + 1], x.dims[i + 2]);
          divisor *= window_.divisor(i, row.index[i + 1], x.dims[i + 2], with_pads_);
          const int64_t d = window_.dilations[static_cast<size_t>(i)];
          base += (range.position + range.first * d) * x.strides[i + 2];
          tap.add(range.end - range.first, {d * x.strides[i + 2]});
        }
        const int64_t outer = tap.count();
        tap.seek(0);
        for (int64_t t = 0; t < outer; ++t, tap.next()) places[static_cast<size_t>(t)] = base + tap.offset[0];
        T* to = y.as<T>() + r * width * channels;
        for (const Column& c : columns) {
          size_t count = 0;
          for (int64_t t = 0; t < outer; ++t) {
            const T* from = x.as<T>() + places[static_cast<size_t>(t)];
            for (int64_t k = c.range.first; k < c.range.end; ++k)
              taps[count++] = from + (c.range.position + k * dilation) * column;
          }
          combine(taps.data(), static_cast<int64_t>(count), channels, divisor * c.divisor, sums.data(), to);
          to += channels;
        }
      }
    });
  }

  template <typename T>
  void combine(const T* const* taps, int64_t count, int64_t channels, int64_t divisor, Sum<T>* sums, T* y) const {
    if constexpr (std::is_same_v<T, float>) {
      const auto& loops = TW_SELECT_ISA(pool_loops)();
      if (kind_ == Kind::kMax) return loops.max_pixels(taps, count, channels, y);
      if (kind_ == Kind::kAverage)
        return loops.sum_pixels(taps, count, channels, divisor ? 1.0f / static_cast<float>(divisor) : 0.0f, y);
    }
    if (kind_ == Kind::kMax) {
      std::fill_n(y, channels, lowest<T>());
      for (int64_t t = 0; t < count; ++t)
        for (int64_t c = 0; c < channels; ++c) y[c] = y[c] != y[c] || y[c] > taps[t][c] ? y[c] : taps[t][c];
      return;
    }
    std::fill_n(sums, channels, Sum<T>(0));
    for (int64_t t = 0; t < count; ++t)
      for (int64_t c = 0; c < channels; ++c) sums[c] += term(taps[t][c]);
    for (int64_t c = 0; c < channels; ++c) y[c] = finished<T>(sums[c], divisor);
  }

  // Row-major: each row of outputs collects shifted rows of inputs.
  template <typename T>
  void planes(KernelContext& context, const Tensor& x, const Tensor& y) const {
    const int rank = window_.rank(), last = rank - 1;
    const int64_t width = x.dims[x.rank - 1], out_width = y.dims[y.rank - 1];
    const int64_t in_plane = product(x.dims, 2, x.rank), rows = product(y.dims, 2, y.rank - 1);
    const int64_t work = out_width * product(window_.kernel.data(), 0, rank);
    const auto l = static_cast<size_t>(last);
    context.pool.parallel_ranges(x.dims[0] * x.dims[1] * rows, std::max<int64_t>(1, kTaskElements / work), [&](int64_t begin, int64_t end, int) {
      using A = Sum<T>;
      std::vector<A> sums(kind_ == Kind::kMax ? 0 : static_cast<size_t>(out_width));
      Walk<1> out;  // planes, then the outer spatial axes
      out.add(x.dims[0] * x.dims[1], {in_plane});
      for (int i = 0; i < last; ++i) out.add(y.dims[i + 2], {0});
      out.seek(begin);
      for (int64_t row = begin; row < end; ++row, out.next()) {
        Walk<1> tap;
        int64_t base = out.offset[0], divisor = 1;
        for (int i = 0; i < last; ++i) {
          const auto range = window_.taps(i, out.index[i + 1], x.dims[i + 2]);
          const int64_t d = window_.dilations[static_cast<size_t>(i)], stride = x.strides[i + 2];
          if (kind_ == Kind::kAverage) divisor *= window_.divisor(i, out.index[i + 1], x.dims[i + 2], with_pads_);
          base += (range.position + range.first * d) * stride;
          tap.add(range.end - range.first, {d * stride});
        }
        T* to = y.as<T>() + row * out_width;
        if (kind_ == Kind::kMax) std::fill_n(to, out_width, lowest<T>());
        else std::fill(sums.begin(), sums.end(), A(0));
        const int64_t outer = tap.count();
        tap.seek(0);
        for (int64_t t = 0; t < outer; ++t, tap.next()) {
          const T* in = x.as<T>() + base + tap.offset[0];
          for (int64_t k = 0; k < window_.kernel[l]; ++k) {
            // Outputs whose tap k falls on the row.
            const int64_t shift = k * window_.dilations[l] - window_.pads[l], s = window_.strides[l];
            const int64_t first = shift < 0 ? (-shift + s - 1) / s : 0;
            const int64_t stop = width - shift <= 0 ? 0 : std::min(out_width, (width - shift + s - 1) / s);
            if (stop > first) collect(in + first * s + shift, s, stop - first, kind_ == Kind::kMax ? to + first : nullptr, sums.data() + first);
          }
        }
        if (kind_ == Kind::kMax) continue;
        for (int64_t o = 0; o < out_width; ++o)
          to[o] = finished<T>(sums[static_cast<size_t>(o)], kind_ == Kind::kAverage ? divisor * window_.divisor(last, o, width, with_pads_) : 1);
      }
    });
  }

  template <typename T>
  void collect(const T* x, int64_t stride, int64_t n, T* largest, Sum<T>* sums) const {
    if constexpr (std::is_same_v<T, float>) {
      const auto& loops = TW_SELECT_ISA(pool_loops)();
      if (largest) return loops.max_row(x, stride, n, largest);
      if (kind_ == Kind::kAverage) return loops.sum_row(x, stride, n, sums);
    }
    if (largest) {
      for (int64_t i = 0; i < n; ++i) largest[i] = largest[i] != largest[i] || largest[i] > x[i * stride] ? largest[i] : x[i * stride];
    } else {
      for (int64_t i = 0; i < n; ++i) sums[i] += term(x[i * stride]);
    }
  }

  Window window_;
  Kind kind_;
  bool with_pads_;
  double p_;
};

class MaxPoolWithIndices final : public Kernel {
 public:
  explicit MaxPoolWithIndices(const StepInfo& step)
      : window_(step.attributes), column_major_(step.attributes.integer("storageOrder", 0) == 1) {
    visit_number("maxPoolWithIndices", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    window_.check(inputs[0], outputs[0]);
    if (outputs.size() > 1) expect_same_dims("indices", outputs[1], outputs[0]);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_number("maxPoolWithIndices", inputs[0].dtype,
                 [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs[0], outputs); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, std::span<Tensor> outputs) const {
    const Tensor& y = outputs[0];
    const int rank = window_.rank();
    const int64_t plane = product(x.dims, 2, x.rank), out_plane = product(y.dims, 2, y.rank);
    int64_t numbering[kMaxRank];  // the step of the reported index along each spatial axis
    for (int i = 0; i < rank; ++i)
      numbering[i] = column_major_ ? product(x.dims, 2, 2 + i) : product(x.dims, 3 + i, x.rank);
    context.pool.parallel_ranges(y.dims[0] * y.dims[1], std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, out_plane)), [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const T* in = x.as<T>() + p * plane;
        Walk<1> out;
        for (int i = 0; i < rank; ++i) out.add(y.dims[i + 2], {0});
        out.seek(0);
        for (int64_t o = 0; o < out_plane; ++o, out.next()) {
          Walk<2> tap;
          int64_t at = 0, number = 0;
          for (int i = 0; i < rank; ++i) {
            const auto range = window_.taps(i, out.index[i], x.dims[i + 2]);
            const int64_t d = window_.dilations[static_cast<size_t>(i)], stride = product(x.dims, 3 + i, x.rank);
            at += (range.position + range.first * d) * stride;
            number += (range.position + range.first * d) * numbering[i];
            tap.add(range.end - range.first, {d * stride, d * numbering[i]});
          }
          T best = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
          int64_t index = -1;
          const int64_t count = tap.count();
          tap.seek(0);
          for (int64_t t = 0; t < count; ++t, tap.next()) {
            const T v = in[at + tap.offset[0]];
            if (index >= 0 && !(v > best) && v == v) continue;
            best = v;
            index = number + tap.offset[1];
            if (v != v) break;
          }
          if (y.data) y.as<T>()[p * out_plane + o] = best;
          if (wanted(outputs, 1)) outputs[1].as<int64_t>()[p * out_plane + o] = index < 0 ? -1 : p * plane + index;
        }
      }
    });
  }

  Window window_;
  bool column_major_;
};

}  // namespace

void register_pool() {
  register_kernel("pool", adapted<make<Pool>, kImageNumbers, Signature{}>);
  register_kernel("maxPoolWithIndices", adapted<make<MaxPoolWithIndices>, kDenseNumbers, Signature{.max_outputs = 2, .int64_outputs = 0b10}>);
}

}  // namespace tw
