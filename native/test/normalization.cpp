// Softmax and the normalisations against plain loops in double, in several layouts and at each instruction set.
#include <cmath>

#include "base/isa.h"
#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

namespace {

using Orders = std::vector<std::vector<int>>;

template <typename F>
void at_each_level(F&& fn) {
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    fn();
  }
  limit_isa(Isa::kAmx);
}

void compare(const char* what, const Buffer& got, const std::vector<double>& want, double tolerance) {
  CHECK(got.guarded());
  const auto values = got.values<float>();
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(static_cast<double>(values[i]) - want[i]) <= tolerance * std::max(1.0, std::abs(want[i]))))
      return test::fail(what, static_cast<int>(i), "got " + test::show(values[i]) + ", expected " + test::show(want[i]));
}

}  // namespace

TEST(softmax_over_any_axis) {
  at_each_level([] {
    const std::vector<int64_t> dims = {3, 18, 5, 70};
    const auto x = test::random_floats(test::count_of(dims), 1, -9, 9);
    for (int axis = 0; axis < 4; ++axis)
      for (bool log : {false, true})
        for (const auto& order : Orders{{0, 1, 2, 3}, {0, 2, 3, 1}, {3, 2, 1, 0}}) {
          std::vector<double> want(x.size());
          int64_t step = 1;
          for (size_t k = static_cast<size_t>(axis) + 1; k < 4; ++k) step *= dims[k];
          const int64_t n = dims[static_cast<size_t>(axis)];
          for (int64_t i = 0; i < test::count_of(dims); ++i) {
            if (i / step % n != 0) continue;
            double sum = 0;
            for (int64_t k = 0; k < n; ++k) sum += std::exp(static_cast<double>(x[static_cast<size_t>(i + k * step)]));
            for (int64_t k = 0; k < n; ++k) {
              const double v = static_cast<double>(x[static_cast<size_t>(i + k * step)]);
              want[static_cast<size_t>(i + k * step)] = log ? v - std::log(sum) : std::exp(v) / sum;
            }
          }
          Attributes a;
          a.set("axis", static_cast<double>(axis));
          std::vector<Buffer> inputs, outputs(1);
          inputs.push_back(test::tensor<float>(dims, x, order));
          outputs[0].make(DType::kFloat32, dims, order);
          test::run_kernel(log ? "logSoftmax" : "softmax", a, inputs, outputs);
          compare(log ? "logSoftmax" : "softmax", outputs[0], want, 2e-6);
        }
  });
}

// A scale and a mask fused in front, as attention's scores have them.
TEST(softmax_of_a_program) {
  at_each_level([] {
    const std::vector<int64_t> dims = {2, 3, 7, 33};
    const auto x = test::random_floats(test::count_of(dims), 2), mask = test::random_floats(2 * 33, 3, -4, 0);
    for (int axis : {3, 2})
      for (const auto& order : Orders{{0, 1, 2, 3}, {0, 2, 1, 3}}) {
        std::vector<double> want(x.size());
        const int64_t step = axis == 3 ? 1 : 33, n = dims[static_cast<size_t>(axis)];
        const auto score = [&](int64_t i) {
          return 0.125 * static_cast<double>(x[static_cast<size_t>(i)]) + static_cast<double>(mask[static_cast<size_t>(i / (3 * 7 * 33) * 33 + i % 33)]);
        };
        for (int64_t i = 0; i < test::count_of(dims); ++i) {
          double sum = 0;
          const int64_t first = i - i / step % n * step;
          for (int64_t k = 0; k < n; ++k) sum += std::exp(score(first + k * step));
          want[static_cast<size_t>(i)] = std::exp(score(i)) / sum;
        }
        Attributes a;
        a.set("axis", static_cast<double>(axis));
        a.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "const f32 0.125", "mul f32 0 2", "add f32 3 1"});
        std::vector<Buffer> inputs, outputs(1);
        inputs.push_back(test::tensor<float>(dims, x, order));
        inputs.push_back(test::tensor<float>({2, 1, 1, 33}, mask));
        outputs[0].make(DType::kFloat32, dims, order);
        test::run_kernel("softmax", a, inputs, outputs);
        compare("softmax of a program", outputs[0], want, 2e-6);
      }
  });
}

TEST(layer_and_rms_norm_with_skip) {
  at_each_level([] {
    for (int64_t n : {1, 7, 64, 771})
      for (const auto& order : Orders{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}})
        for (bool rms : {false, true})
          for (bool skip : {false, true}) {
            const std::vector<int64_t> dims = {3, 5, n};
            const auto x = test::random_floats(15 * n, 4, 2, 5), s = test::random_floats(15 * n, 5), scale = test::random_floats(n, 6), bias = test::random_floats(n, 7);
            std::vector<double> want, sums, means;
            for (int64_t row = 0; row < 15; ++row) {
              std::vector<double> v;
              double mean = 0, variance = 0;
              for (int64_t i = 0; i < n; ++i) {
                const auto k = static_cast<size_t>(row * n + i);
                v.push_back(static_cast<double>(x[k]) + (skip ? static_cast<double>(s[k]) : 0));
                mean += v.back() / static_cast<double>(n);
              }
              if (rms) mean = 0;
              for (double e : v) variance += (e - mean) * (e - mean) / static_cast<double>(n);
              for (int64_t i = 0; i < n; ++i) {
                const auto k = static_cast<size_t>(i);
                want.push_back((v[k] - mean) / std::sqrt(variance + 1e-3) * static_cast<double>(scale[k]) + (rms ? 0 : static_cast<double>(bias[k])));
                sums.push_back(v[k]);
              }
              means.push_back(mean);
            }
            Attributes a;
            a.set("axis", -1.0), a.set("epsilon", 1e-3);
            std::vector<Buffer> inputs, outputs(rms ? 2 : 4);
            inputs.push_back(test::tensor<float>(dims, x, order));
            inputs.push_back(test::tensor<float>({n}, scale));
            if (!rms) inputs.push_back(test::tensor<float>({n}, bias));
            if (skip) inputs.push_back(test::tensor<float>(dims, s, {0, 1, 2}));
            outputs[0].make(DType::kFloat32, dims, order);
            if (!rms) outputs[1].make(DType::kFloat32, {3, 5, 1}), outputs[2].make(DType::kFloat32, {3, 5, 1});
            if (skip) outputs[rms ? 1 : 3].make(DType::kFloat32, dims, {1, 0, 2});
            test::run_kernel(rms ? "rmsNorm" : "layerNorm", a, inputs, outputs);
            compare("norm", outputs[0], want, 3e-5);
            if (!rms) compare("mean", outputs[1], means, 1e-5);
            if (skip) compare("sum", outputs[rms ? 1 : 3], sums, 1e-6);
          }
  });
}

TEST(group_and_instance_norm) {
  at_each_level([] {
    const std::vector<int64_t> dims = {2, 36, 41, 23};
    const int64_t plane = 41 * 23;
    const auto x = test::random_floats(test::count_of(dims), 8, 10, 12), scale = test::random_floats(36, 9), bias = test::random_floats(36, 10);
    for (int64_t groups : {1, 4, 36})
      for (const auto& order : Orders{{0, 1, 2, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}}) {
        std::vector<double> want(x.size());
        const int64_t per = 36 / groups;
        for (int64_t g = 0; g < 2 * groups; ++g) {
          double mean = 0, variance = 0;
          const int64_t first = g * per * plane, n = per * plane;
          for (int64_t i = first; i < first + n; ++i) mean += static_cast<double>(x[static_cast<size_t>(i)]) / static_cast<double>(n);
          for (int64_t i = first; i < first + n; ++i) variance += std::pow(static_cast<double>(x[static_cast<size_t>(i)]) - mean, 2) / static_cast<double>(n);
          for (int64_t i = first; i < first + n; ++i) {
            const auto c = static_cast<size_t>(i / plane % 36);
            want[static_cast<size_t>(i)] = (static_cast<double>(x[static_cast<size_t>(i)]) - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(scale[c]) + static_cast<double>(bias[c]);
          }
        }
        Attributes a;
        a.set("numGroups", static_cast<double>(groups)), a.set("epsilon", 1e-5);
        std::vector<Buffer> inputs, outputs(1);
        inputs.push_back(test::tensor<float>(dims, x, order));
        inputs.push_back(test::tensor<float>({36}, scale));
        inputs.push_back(test::tensor<float>({36}, bias));
        outputs[0].make(DType::kFloat32, dims, order);
        test::run_kernel(groups == 36 ? "instanceNorm" : "groupNorm", a, inputs, outputs);
        compare("groupNorm", outputs[0], want, 2e-4);
      }
  });
}
