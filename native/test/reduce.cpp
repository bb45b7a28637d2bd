// reduce against plain loops: random shapes, layouts, axes and monoids, long reductions, programs, at each instruction set.
#include <cmath>
#include <limits>

#include "base/isa.h"
#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

namespace {

const char* const kMonoids[] = {"sum", "prod", "max", "min"};

double combine(int monoid, double a, double b) {
  if (monoid == 0) return a + b;
  if (monoid == 1) return a * b;
  if (a != a || b != b) return std::numeric_limits<double>::quiet_NaN();
  return monoid == 2 ? std::max(a, b) : std::min(a, b);
}

std::vector<double> naive(const std::vector<double>& x, const std::vector<int64_t>& dims, const std::vector<bool>& reduced, int monoid, double identity) {
  int64_t outputs = 1;
  for (size_t k = 0; k < dims.size(); ++k) outputs *= reduced[k] ? 1 : dims[k];
  std::vector<double> y(static_cast<size_t>(outputs), identity);
  for (int64_t i = 0; i < test::count_of(dims); ++i) {
    int64_t rest = i, at = 0, step = 1;
    for (size_t k = dims.size(); k-- > 0;) {
      if (!reduced[k]) at += rest % dims[k] * step, step *= dims[k];
      rest /= dims[k];
    }
    double& to = y[static_cast<size_t>(at)];
    to = combine(monoid, to, x[static_cast<size_t>(i)]);
  }
  return y;
}

template <typename T>
void check(const std::vector<int64_t>& dims, const std::vector<bool>& reduced, int monoid, const std::vector<T>& x, std::vector<int> in_order, int64_t stride, bool keepdims, bool reverse_output) {
  Attributes a;
  std::vector<double> axes;
  std::vector<int64_t> out_dims;
  for (size_t k = 0; k < dims.size(); ++k) {
    if (reduced[k]) axes.push_back(static_cast<double>(k));
    if (!reduced[k]) out_dims.push_back(dims[k]);
    else if (keepdims) out_dims.push_back(1);
  }
  a.set("axes", axes), a.set("monoid", kMonoids[monoid]), a.set("keepdims", keepdims ? 1.0 : 0.0);
  using L = std::numeric_limits<T>;
  const double lowest = L::has_infinity ? -L::infinity() : static_cast<double>(L::lowest()), highest = L::has_infinity ? L::infinity() : static_cast<double>(L::max());
  const double identity = monoid == 0 ? 0 : monoid == 1 ? 1 : monoid == 2 ? lowest : highest;
  const auto want = naive({x.begin(), x.end()}, dims, reduced, monoid, identity);
  std::vector<Buffer> inputs, outputs(1);
  inputs.push_back(test::tensor<T>(dims, x, std::move(in_order), stride));
  std::vector<int> out_order(out_dims.size());
  for (size_t k = 0; k < out_order.size(); ++k) out_order[k] = static_cast<int>(reverse_output ? out_order.size() - 1 - k : k);
  outputs[0].make(DTypeOf<T>::value, out_dims, out_order);
  test::run_kernel("reduce", a, inputs, outputs);
  CHECK(outputs[0].guarded());
  const auto got = outputs[0].values<T>();
  for (size_t i = 0; i < want.size(); ++i) {
    const double g = static_cast<double>(got[i]);
    const bool same = g == want[i] || (g != g && want[i] != want[i]) || std::abs(g - want[i]) <= 1e-4 * std::max(1.0, std::abs(want[i]));
    if (!same) return test::fail(kMonoids[monoid], static_cast<int>(i), "got " + test::show(g) + ", expected " + test::show(want[i]));
  }
}

template <typename F>
void at_each_level(F&& fn) {
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    fn();
  }
  limit_isa(Isa::kAmx);
}

}  // namespace

TEST(random_shapes_and_layouts) {
  at_each_level([] {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
      const size_t rank = random() % 5;
      std::vector<int64_t> dims;
      std::vector<bool> reduced;
      std::vector<int> order;
      for (size_t k = 0; k < rank; ++k) {
        static constexpr int64_t kSizes[] = {1, 2, 3, 7, 16, 19, 65, 0};
        dims.push_back(kSizes[random() % (round % 10 == 0 ? 8 : rank > 3 ? 5 : 7)]);
        reduced.push_back(random() % 2);
        order.push_back(static_cast<int>(k));
      }
      std::shuffle(order.begin(), order.end(), random);
      const int monoid = static_cast<int>(random() % 4);
      const int64_t n = test::count_of(dims);
      const auto x = monoid == 1 ? test::random_floats(n, random(), 0.9f, 1.1f) : test::random_floats(n, random());
      const bool keepdims = random() % 2, reverse = random() % 2;
      check<float>(dims, reduced, monoid, x, order, 1 + random() % 2, keepdims, reverse);
      if (monoid == 1) continue;
      check<double>(dims, reduced, monoid, {x.begin(), x.end()}, order, 1, keepdims, reverse);
      std::vector<int32_t> whole;
      for (float v : x) whole.push_back(static_cast<int32_t>(v * 100));
      check<int32_t>(dims, reduced, monoid, whole, order, 1, keepdims, reverse);
    }
  });
}

TEST(long_reductions) {
  at_each_level([] {
    const auto x = test::random_floats(700001, 3);
    for (int monoid : {0, 2, 3}) check<float>({700001}, {true}, monoid, x, {}, 1, false, false);
    const auto matrix = test::random_floats(3 * 90001, 4);
    check<float>({90001, 3}, {true, false}, 0, matrix, {}, 1, true, false);
    check<float>({3, 90001}, {false, true}, 0, matrix, {}, 1, true, false);
    const auto image = test::random_floats(2 * 67 * 31 * 29, 5);
    check<float>({2, 67, 31, 29}, {false, false, true, true}, 0, image, {0, 2, 3, 1}, 1, true, false);
  });
}

TEST(nan_is_kept) {
  at_each_level([] {
    for (size_t at : {0u, 5u, 16u, 40u, 99u}) {
      auto x = test::random_floats(100, 9);
      x[at] = std::numeric_limits<float>::quiet_NaN();
      for (int monoid = 0; monoid < 4; ++monoid) check<float>({100}, {true}, monoid, x, {}, 1, false, false);
      for (int monoid = 0; monoid < 4; ++monoid) check<float>({5, 20}, {true, false}, monoid, x, {}, 1, false, false);
    }
  });
}

// The mean of squares of x - y with y broadcast along the channels, plus a side tensor.
TEST(prologue_and_epilogue) {
  at_each_level([] {
    for (const auto& order : std::vector<std::vector<int>>{{0, 1, 2, 3}, {0, 2, 3, 1}}) {
      const std::vector<int64_t> dims = {2, 37, 9, 600};
      const auto x = test::random_floats(test::count_of(dims), 1), y = test::random_floats(2 * 9 * 600, 2), side = test::random_floats(37, 3);
      Attributes a;
      a.set("axes", std::vector<double>{2, 3}), a.set("monoid", "sum"), a.set("keepdims", 0.0);
      a.set("prologue", std::vector<std::string>{"in f32 0", "in f32 1", "sub f32 0 1", "mul f32 2 2"});
      a.set("epilogue", std::vector<std::string>{"in f32 0", "in f32 1", "const f32 0.5", "mul f32 0 2", "add f32 3 1"});
      std::vector<Buffer> inputs, outputs(1);
      inputs.push_back(test::tensor<float>(dims, x, order));
      inputs.push_back(test::tensor<float>({2, 1, 9, 600}, y));
      inputs.push_back(test::tensor<float>({37}, side));
      outputs[0].make(DType::kFloat32, {2, 37});
      test::run_kernel("reduce", a, inputs, outputs);
      const auto got = outputs[0].values<float>();
      for (int64_t n = 0; n < 2; ++n)
        for (int64_t c = 0; c < 37; ++c) {
          double sum = 0;
          for (int64_t i = 0; i < 5400; ++i) {
            const double d = static_cast<double>(x[static_cast<size_t>((n * 37 + c) * 5400 + i)]) - static_cast<double>(y[static_cast<size_t>(n * 5400 + i)]);
            sum += d * d;
          }
          const double want = sum * 0.5 + static_cast<double>(side[static_cast<size_t>(c)]);
          CHECK_MSG(std::abs(static_cast<double>(got[static_cast<size_t>(n * 37 + c)]) - want) < 1e-3 * want, test::show(want));
        }
    }
  });
}

TEST(bad_axes_are_refused) {
  Attributes a;
  a.set("axes", std::vector<double>{3}), a.set("monoid", "sum");
  std::vector<Buffer> inputs, outputs(1);
  inputs.push_back(test::tensor<float>({2, 2}, {1, 2, 3, 4}));
  outputs[0].make(DType::kFloat32, {2, 2});
  CHECK_THROWS(test::run_kernel("reduce", a, inputs, outputs), Error);
}
