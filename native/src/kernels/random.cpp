// randomUniform{low, high}, randomNormal{mean, scale} and multinomial(x){sampleSize}: Philox4x32-10 (Salmon et al., SC
// 2011). Number i of a stream is a function of the seed and i alone, so threads need not agree; @tensorwright/core draws
// the same numbers. Without a seed each run draws others.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <cmath>
#include <numbers>
#include <random>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class Stream {
 public:
  explicit Stream(double seed) {
    uint32_t words[2];
    std::memcpy(words, &seed, 8);
    key_[0] = words[0], key_[1] = words[1];
  }
  // Word i of the stream.
  uint32_t word(uint64_t i) const {
    const uint64_t block = i / 4;
    uint32_t c[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
      const uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
                                static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
      std::copy_n(next, 4, c);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return c[i % 4];
  }
  // In [0, 1), with 24 random bits.
  double uniform(uint64_t i) const { return static_cast<double>(word(i) >> 8) / 16777216.0; }
  // Box and Muller: two words make two numbers.
  double normal(uint64_t i) const {
    const uint64_t pair = i & ~uint64_t{1};
    const double radius = std::sqrt(-2 * std::log(1 - uniform(pair))), angle = 2 * std::numbers::pi * uniform(pair + 1);
    return radius * (i & 1 ? std::sin(angle) : std::cos(angle));
  }

 private:
  uint32_t key_[2];
};

// The seed of each run.
class Seeds {
 public:
  explicit Seeds(const Attributes& a) : fixed_(a.has("seed")), seed_(a.number("seed", 0)) {
    if (fixed_) return;
    std::random_device device;
    seed_ = static_cast<double>(device()) + std::ldexp(static_cast<double>(device()), -32);
  }
  double next() const { return fixed_ ? seed_ : seed_ + static_cast<double>(runs_.fetch_add(1)); }

 private:
  bool fixed_;
  double seed_;
  mutable std::atomic<uint64_t> runs_{0};
};

class Random final : public Kernel {
 public:
  Random(const StepInfo& step, bool normal) : normal_(normal), seeds_(step.attributes) {
    const Attributes& a = step.attributes;
    offset_ = normal ? a.number("mean", 0) : a.number("low", 0);
    factor_ = normal ? a.number("scale", 1) : a.number("high", 1) - offset_;
    visit_float("a random generator", step.outputs[0].dtype, [](auto) {});
  }

  void run(KernelContext& context, std::span<const Tensor>, std::span<Tensor> outputs) const override {
    const Stream stream(seeds_.next());
    visit_float("a random generator", outputs[0].dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* y = outputs[0].as<T>();
      context.pool.parallel_ranges(outputs[0].count(), 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const auto k = static_cast<uint64_t>(i);
          y[i] = static_cast<T>(offset_ + factor_ * (normal_ ? stream.normal(k) : stream.uniform(k)));
        }
      });
    });
  }

 private:
  bool normal_;
  Seeds seeds_;
  double offset_, factor_;
};

class Multinomial final : public Kernel {
 public:
  explicit Multinomial(const StepInfo& step) : samples_(step.attributes.integer("sampleSize", 1)), seeds_(step.attributes) {
    visit_float("multinomial", step.inputs[0].dtype, [](auto) {});
    visit_index("multinomial output", step.outputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    expect_rank("x", inputs[0], 2, 2);
    expect_dims("the output", outputs[0], {inputs[0].dims[0], samples_});
  }

  // x holds unnormalised logarithms of probabilities.
  void run(KernelContext&, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int64_t batch = x.dims[0], classes = x.dims[1];
    if (classes == 0 && batch * samples_ > 0) throw Error(Code::kInvalidArgument, "multinomial: x has no classes");
    const Stream stream(seeds_.next());
    std::vector<double> sums(static_cast<size_t>(classes));
    visit_float("multinomial", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t b = 0; b < batch; ++b) {
        const T* row = x.as<T>() + b * classes;
        const double top = static_cast<double>(*std::max_element(row, row + classes));
        double sum = 0;
        for (int64_t k = 0; k < classes; ++k) sums[static_cast<size_t>(k)] = sum += std::exp(static_cast<double>(row[k]) - top);
        for (int64_t s = 0; s < samples_; ++s) {
          const int64_t at = b * samples_ + s;
          const double target = stream.uniform(static_cast<uint64_t>(at)) * sum;
          const int64_t found = std::upper_bound(sums.begin(), sums.end(), target) - sums.begin();
          const int64_t chosen = std::min(found, classes - 1);
          if (outputs[0].dtype == DType::kInt32) outputs[0].as<int32_t>()[at] = static_cast<int32_t>(chosen);
          else outputs[0].as<int64_t>()[at] = chosen;
        }
      }
    });
  }

 private:
  int64_t samples_;
  Seeds seeds_;
};

template <bool normal>
std::unique_ptr<Kernel> make_random(const StepInfo& step) {
  return std::make_unique<Random>(step, normal);
}

// The shape is that of the output, whatever it comes from.
constexpr Signature kGenerator{.min_inputs = 0, .max_inputs = 1, .same_outputs = 0};

}  // namespace

void register_random() {
  register_kernel("randomUniform", adapted<make_random<false>, kDenseNumbers, kGenerator>);
  register_kernel("randomNormal", adapted<make_random<true>, kDenseNumbers, kGenerator>);
  register_kernel("multinomial", adapted<make<Multinomial>, kDenseNumbers, Signature{.same_outputs = 0}>);
}

}  // namespace tw
