// dft(x, dftLength?){axis, inverse, onesided}, stft(signal, frameStep, window?, frameLength?){onesided} and
// melWeightMatrix. Complex numbers are pairs in a last dimension of 2; real input may have 1.
#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

using Complex = std::complex<double>;

// Transforms of one length. Factors out twos, threes and fives; what remains is done by Bluestein's convolution
// (Rabiner, Schafer, Rader 1969) where it is long.
class Transform {
 public:
  explicit Transform(int64_t n, bool inverse) : n_(n), sign_(inverse ? 1 : -1), roots_(static_cast<size_t>(std::max<int64_t>(n, 1))) {
    for (int64_t i = 0; i < n; ++i)
      roots_[static_cast<size_t>(i)] = std::polar(1.0, sign_ * 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
    int64_t rest = n;
    for (int64_t p : {2, 3, 5})
      while (rest > 1 && rest % p == 0) rest /= p;
    if (rest > 64) prepare_chirp();
  }

  // Unscaled.
  void run(std::vector<Complex>& x) const {
    if (n_ <= 1) return;
    if (!chirp_.empty()) return bluestein(x);
    std::vector<Complex> scratch(x.size());
    recurse(x.data(), scratch.data(), n_, 1);
  }

 private:
  // In place on n elements; `step` is the distance of this length's roots in the table.
  void recurse(Complex* x, Complex* scratch, int64_t n, int64_t step) const {
    if (n == 1) return;
    int64_t p = n;
    for (int64_t candidate : {2, 3, 5})
      if (n % candidate == 0) { p = candidate; break; }
    const int64_t m = n / p;
    for (int64_t r = 0; r < p; ++r)
      for (int64_t i = 0; i < m; ++i) scratch[r * m + i] = x[i * p + r];
    if (m > 1) {
      for (int64_t r = 0; r < p; ++r) recurse(scratch + r * m, x + r * m, m, step * p);
    }
    for (int64_t k = 0; k < n; ++k) {
      Complex sum = scratch[k % m];
      for (int64_t r = 1; r < p; ++r) sum += scratch[r * m + k % m] * roots_[static_cast<size_t>(r * k % n * step)];
      x[k] = sum;
    }
  }

  void prepare_chirp() {
    int64_t size = 1;
    while (size < 2 * n_ - 1) size *= 2;
    inner_ = std::make_unique<Transform>(size, false);
    chirp_.resize(static_cast<size_t>(n_));
    for (int64_t i = 0; i < n_; ++i)  // i * i modulo 2 n keeps the angle small
      chirp_[static_cast<size_t>(i)] = std::polar(1.0, sign_ * std::numbers::pi * static_cast<double>(i * i % (2 * n_)) / static_cast<double>(n_));
    filter_.assign(static_cast<size_t>(size), 0);
    for (int64_t i = 0; i < n_; ++i) {
      filter_[static_cast<size_t>(i)] = std::conj(chirp_[static_cast<size_t>(i)]);
      if (i) filter_[static_cast<size_t>(size - i)] = filter_[static_cast<size_t>(i)];
    }
    inner_->run(filter_);
  }

  void bluestein(std::vector<Complex>& x) const {
    std::vector<Complex> a(filter_.size());
    for (size_t i = 0; i < x.size(); ++i) a[i] = x[i] * chirp_[i];
    inner_->run(a);
    // The inverse transform is the forward one of the conjugate.
    for (size_t i = 0; i < a.size(); ++i) a[i] = std::conj(a[i] * filter_[i]);
    inner_->run(a);
    const double factor = 1.0 / static_cast<double>(a.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::conj(a[i]) * factor * chirp_[i];
  }

  int64_t n_;
  double sign_;
  std::vector<Complex> roots_, chirp_, filter_;
  std::unique_ptr<Transform> inner_;
};

int64_t one_sided(int64_t n) { return n / 2 + 1; }

class Dft final : public Kernel {
 public:
  explicit Dft(const StepInfo& step)
      : axis_(step.attributes.integer("axis", -2)), inverse_(step.attributes.flag("inverse")), onesided_(step.attributes.flag("onesided")) {
    visit_float("dft", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], 2, kMaxRank);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("dft", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs, outputs); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
    const Tensor& x = inputs[0];
    const int64_t asked = present(inputs, 2) ? read_integer(inputs[2], "dft axis") : axis_;
    const int axis = normalize_axis(asked, x.rank, "dft axis");
    const int64_t parts = x.dims[x.rank - 1], extent = x.dims[axis];
    if (axis == x.rank - 1 || (parts != 1 && parts != 2))
      throw Error(Code::kShapeMismatch, "dft: the last axis holds the parts of complex numbers, expected 1 or 2 of them and another axis");
    const bool mirror = onesided_ && inverse_;  // a one-sided spectrum stands for its mirror image as well
    const int64_t length = present(inputs, 1) ? read_integer(inputs[1], "dftLength") : mirror ? 2 * (extent - 1) : extent;
    if (length < 1) throw Error(Code::kInvalidArgument, "dft: the length is " + std::to_string(length) + ", expected at least 1");
    const int64_t out_extent = onesided_ && !inverse_ ? one_sided(length) : length, out_parts = mirror ? 1 : 2;
    std::vector<int64_t> dims(x.dims, x.dims + x.rank);
    dims[static_cast<size_t>(axis)] = out_extent;
    dims.back() = out_parts;
    resolve_output(context, outputs, 0, dims);
    const int64_t outer = product(x.dims, 0, axis), inner = product(x.dims, axis + 1, x.rank - 1);
    const int64_t given = std::min(extent, mirror ? one_sided(length) : length);
    const Transform transform(length, inverse_);
    const double factor = inverse_ ? 1.0 / static_cast<double>(length) : 1.0;
    const T* in = x.as<T>();
    T* out = outputs[0].as<T>();
    context.pool.parallel_ranges(outer * inner, std::max<int64_t>(1, 4096 / length), [&](int64_t begin, int64_t end, int) {
      std::vector<Complex> row(static_cast<size_t>(length));
      for (int64_t lane = begin; lane < end; ++lane) {
        const int64_t o = lane / inner, k = lane % inner;
        std::fill(row.begin(), row.end(), Complex(0));
        for (int64_t i = 0; i < given; ++i) {
          const T* p = in + ((o * extent + i) * inner + k) * parts;
          row[static_cast<size_t>(i)] = Complex(static_cast<double>(p[0]), parts == 2 ? static_cast<double>(p[1]) : 0);
          if (mirror && i > 0 && length - i != i) row[static_cast<size_t>(length - i)] = std::conj(row[static_cast<size_t>(i)]);
        }
        transform.run(row);
        for (int64_t i = 0; i < out_extent; ++i) {
          T* q = out + ((o * out_extent + i) * inner + k) * out_parts;
          q[0] = static_cast<T>(row[static_cast<size_t>(i)].real() * factor);
          if (out_parts == 2) q[1] = static_cast<T>(row[static_cast<size_t>(i)].imag() * factor);
        }
      }
    });
  }

  int64_t axis_;
  bool inverse_, onesided_;
};

class Stft final : public Kernel {
 public:
  explicit Stft(const StepInfo& step) : onesided_(step.attributes.flag("onesided", true)) {
    visit_float("stft", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("the signal", inputs[0], 2, 3);
    expect(inputs[0].rank < 3 || inputs[0].dims[2] == 1 || inputs[0].dims[2] == 2, "the signal's last axis must be 1 or 2");
    if (present(inputs, 2)) expect_rank("the window", inputs[2], 1, 1);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    visit_float("stft", inputs[0].dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, inputs, outputs); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const {
    const Tensor& x = inputs[0];
    const int64_t batch = x.dims[0], extent = x.dims[1], parts = x.rank == 3 ? x.dims[2] : 1;
    const int64_t step = read_integer(inputs[1], "frameStep");
    const T* window = present(inputs, 2) ? inputs[2].as<T>() : nullptr;
    const int64_t frame = window ? inputs[2].dims[0] : present(inputs, 3) ? read_integer(inputs[3], "frameLength") : extent;
    if (step < 1 || frame < 1)
      throw Error(Code::kInvalidArgument, "stft: frameStep is " + std::to_string(step) + " and the frame " + std::to_string(frame) + ", expected at least 1");
    const int64_t frames = extent < frame ? 0 : (extent - frame) / step + 1, bins = onesided_ ? one_sided(frame) : frame;
    resolve_output(context, outputs, 0, {batch, frames, bins, 2});
    const Transform transform(frame, false);
    context.pool.parallel_ranges(batch * frames, std::max<int64_t>(1, 4096 / frame), [&](int64_t begin, int64_t end, int) {
      std::vector<Complex> row(static_cast<size_t>(frame));
      for (int64_t f = begin; f < end; ++f) {
        const T* p = x.as<T>() + (f / frames * extent + f % frames * step) * parts;
        for (int64_t i = 0; i < frame; ++i) {
          const double w = window ? static_cast<double>(window[i]) : 1;
          row[static_cast<size_t>(i)] = Complex(static_cast<double>(p[i * parts]) * w, parts == 2 ? static_cast<double>(p[i * parts + 1]) * w : 0);
        }
        transform.run(row);
        for (int64_t i = 0; i < bins; ++i) {
          T* q = outputs[0].as<T>() + (f * bins + i) * 2;
          q[0] = static_cast<T>(row[static_cast<size_t>(i)].real());
          q[1] = static_cast<T>(row[static_cast<size_t>(i)].imag());
        }
      }
    });
  }

  bool onesided_;
};

class MelWeightMatrix final : public Kernel {
 public:
  explicit MelWeightMatrix(const StepInfo& step) { visit_number("melWeightMatrix", step.outputs[0].dtype, [](auto) {}); }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const int64_t bands = read_integer(inputs[0], "numMelBins"), length = read_integer(inputs[1], "dftLength"), rate = read_integer(inputs[2], "sampleRate");
    const double low = read_number(inputs[3], "lowerEdgeHertz"), high = read_number(inputs[4], "upperEdgeHertz");
    if (bands < 1 || length < 0 || rate < 1) throw Error(Code::kInvalidArgument, "melWeightMatrix: expected positive bins, length and rate");
    const int64_t bins = one_sided(length);
    const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
    const double step = (mel(high) - mel(low)) / static_cast<double>(bands + 2);
    std::vector<int64_t> points;
    for (int64_t i = 0; i < bands + 2; ++i) {
      const double hertz = 700 * (std::pow(10.0, (static_cast<double>(i) * step + mel(low)) / 2595) - 1);
      const double point = std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate));
      points.push_back(static_cast<int64_t>(std::clamp(point, -1e15, 1e15)));
    }
    resolve_output(context, outputs, 0, {bins, bands});
    visit_number("melWeightMatrix", outputs[0].dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* y = outputs[0].as<T>();
      std::fill_n(y, bins * bands, T(0));
      const auto put = [&](int64_t bin, int64_t band, double value) {
        if (bin >= 0 && bin < bins) y[bin * bands + band] = static_cast<T>(value);
      };
      for (int64_t band = 0; band < bands; ++band) {
        const int64_t left = points[static_cast<size_t>(band)], centre = points[static_cast<size_t>(band) + 1], right = points[static_cast<size_t>(band) + 2];
        if (left == centre) put(centre, band, 1);
        for (int64_t bin = std::max<int64_t>(left, 0); bin <= std::min(centre, bins - 1) && left != centre; ++bin) put(bin, band, static_cast<double>(bin - left) / static_cast<double>(centre - left));
        for (int64_t bin = std::max<int64_t>(centre, 0); bin < std::min(right, bins); ++bin) put(bin, band, static_cast<double>(right - bin) / static_cast<double>(right - centre));
      }
    });
  }
};

}  // namespace

void register_fourier() {
  register_kernel("dft", adapted<make<Dft>, kDenseNumbers, Signature{.max_inputs = 3, .sizes_outputs = true}>);
  register_kernel("stft", adapted<make<Stft>, kDenseNumbers, Signature{.min_inputs = 2, .max_inputs = 4, .same_inputs = 0b100, .sizes_outputs = true}>);
  register_kernel("melWeightMatrix", adapted<make<MelWeightMatrix>, kDenseNumbers, Signature{.min_inputs = 5, .max_inputs = 5, .same_outputs = 0, .sizes_outputs = true}>);
}

}  // namespace tw
