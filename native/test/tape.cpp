// Tapes against the C library in double precision and plain loops, at every instruction set level this machine has.
#include "tape/tape.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "base/convert.h"
#include "base/error.h"
#include "base/isa.h"
#include "support/check.h"

using namespace tw;

namespace {

using Lines = std::vector<std::string>;
constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

void at_every_level(const std::function<void()>& body) {
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    body();
  }
  limit_isa(Isa::kAmx);
}

template <typename T>
DType dtype_of() {
  return DTypeOf<T>::value;
}

template <typename T>
TapeOperand operand(const std::vector<T>& v, int64_t stride = 1) {
  return {v.data(), dtype_of<T>(), stride};
}
template <typename T>
TapeResult result(std::vector<T>& v, int64_t stride = 1) {
  return {v.data(), dtype_of<T>(), stride};
}

template <typename R, typename... Operands>
std::vector<R> compute(const Lines& lines, int64_t count, const Operands&... operands) {
  std::vector<R> out(static_cast<size_t>(count));
  const std::vector<TapeOperand> in = {operands...};
  const std::vector<TapeResult> results = {result(out)};
  Tape::parse(lines, {static_cast<int64_t>(lines.size()) - 1})->run(count, in, results);
  return out;
}

// Distance in units of the last place of the exact value's float neighbourhood.
double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded) || std::isinf(got))
    return rounded == got || std::fabs(exact) > 3.4028e38 ? (std::isinf(got) ? 0 : 1) : 1e9;
  int exponent;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(static_cast<double>(got) - exact) / ulp;
}

// Floats of every magnitude, dense in [-20, 20], and the special ones.
const std::vector<float>& interesting_floats() {
  static const std::vector<float> list = [] {
    std::vector<float> v = {0.0f,
                            -0.0f,
                            1,
                            -1,
                            kInf,
                            -kInf,
                            kNaN,
                            1e-45f,
                            -1e-45f,
                            1.17549435e-38f,
                            1e-39f,
                            3.4028235e38f,
                            -3.4028235e38f,
                            88.72f,
                            88.73f,
                            89,
                            -87.3f,
                            -87.4f,
                            -103.9f,
                            -104,
                            -200,
                            0.5f,
                            2.5f,
                            1.5f,
                            -2.5f,
                            0.625f,
                            0.6249999f,
                            0.9277344f,
                            4,
                            3.9f,
                            1.5707964f,
                            3.1415927f,
                            1e8f,
                            1e9f,
                            1e30f,
                            16777216};
    std::mt19937 random(11);
    for (int i = 0; i < 200000; ++i) v.push_back(float_of(static_cast<uint32_t>(random())));
    for (int i = 0; i < 300000; ++i)
      v.push_back(static_cast<float>((static_cast<double>(random()) / 4294967296.0 - 0.5) * 40));
    for (int i = 0; i < 100000; ++i)
      v.push_back(static_cast<float>((static_cast<double>(random()) / 4294967296.0 - 0.5) * 4));
    for (float& x : v)
      if (std::isnan(x)) x = kNaN;
    return v;
  }();
  return list;
}

}  // namespace

TEST(float_functions_are_accurate) {
  struct Function {
    const char* name;
    double (*exact)(double);
    double bound;
  };
  const Function functions[] = {
      {"exp", std::exp, 2},
      {"log", std::log, 2},
      {"tanh", std::tanh, 4},
      {"erf", std::erf, 4},
      {"sin", std::sin, 4},
      {"cos", std::cos, 4},
      {"tan", std::tan, 4},
      {"asin", std::asin, 4},
      {"acos", std::acos, 4},
      {"atan", std::atan, 4},
      {"sinh", std::sinh, 4},
      {"cosh", std::cosh, 4},
      {"asinh", std::asinh, 4},
      {"acosh", std::acosh, 4},
      {"atanh", std::atanh, 4},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, 4},
      {"sqrt", std::sqrt, 0.5},
      {"reciprocal", [](double x) { return 1 / x; }, 0.5},
      {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1.5},
      {"floor", std::floor, 0},
      {"ceil", std::ceil, 0},
      {"trunc", std::trunc, 0},
      {"round", std::nearbyint, 0},
      {"abs", std::fabs, 0},
      {"neg", [](double x) { return -x; }, 0},
      {"sign", [](double x) { return std::isnan(x) ? x : double((x > 0) - (x < 0)); }, 0},
  };
  const auto& x = interesting_floats();
  at_every_level([&] {
    for (const Function& f : functions) {
      const auto y =
          compute<float>({"in f32 0", std::string(f.name) + " f32 0"}, static_cast<int64_t>(x.size()), operand(x));
      double worst = 0;
      size_t where = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double error = ulps(y[i], f.exact(x[i]));
        if (!(error <= worst)) worst = error, where = i;
      }
      CHECK_MSG(worst <= f.bound + 1e-7, std::string(f.name) + " is off by " + test::show(worst) + " ulp at " +
                                             test::show(x[where]) + ": " + test::show(y[where]) + " at " +
                                             std::string(name(isa())));
      // The sign of zero where the function is odd.
      if (std::signbit(f.exact(-0.0)) && f.exact(-0.0) == 0) CHECK_MSG(std::signbit(y[1]) && y[1] == 0, f.name);
    }
  });
}

TEST(every_level_gives_the_same_bits) {
  const auto& x = interesting_floats();
  for (const char* f : {"exp", "log", "tanh", "erf", "sin", "cos", "tan", "sigmoid", "rsqrt"}) {
    std::vector<float> first;
    at_every_level([&] {
      const auto y =
          compute<float>({"in f32 0", std::string(f) + " f32 0"}, static_cast<int64_t>(x.size()), operand(x));
      if (first.empty()) first = y;
      bool same = true;
      for (size_t i = 0; i < x.size(); ++i)
        same &= bits_of(y[i]) == bits_of(first[i]) || (std::isnan(y[i]) && std::isnan(first[i]));
      CHECK_MSG(same, f);
    });
  }
}

TEST(fused_chains_give_the_same_bits) {
  const auto& x = interesting_floats();
  const auto n = static_cast<int64_t>(x.size());
  const Lines swish = {"in f32 0", "sigmoid f32 0", "mul f32 1 0"};
  const Lines clipped = {"in f32 0",   "const f32 0.16666667", "mul f32 0 1", "const f32 0.5", "add f32 3 2",
                         "const f32 1", "min f32 5 4",          "const f32 0", "max f32 7 6"};
  const Lines other_order = {"in f32 0",    "const f32 3",  "mul f32 1 0", "const f32 -2", "add f32 2 3",
                             "const f32 -4", "max f32 4 5", "const f32 9", "min f32 6 7",  "mul f32 8 0"};
  Lines gated = clipped;
  gated.push_back("mul f32 0 8");
  const Lines gelu = {"in f32 0",    "const f32 1.41421356", "div f32 0 1",   "erf f32 2",  "const f32 1",
                      "add f32 3 4", "mul f32 0 5",          "const f32 0.5", "mul f32 6 7"};
  const Lines scaled_gelu = {"in f32 0",    "const f32 0.7", "mul f32 0 1",   "erf f32 2",  "const f32 1",
                             "add f32 4 3", "mul f32 5 0",   "const f32 0.5", "mul f32 7 6"};
  for (const Lines& lines : {swish, clipped, other_order, gated, gelu, scaled_gelu}) {
    // Storing what is between keeps a chain in pieces.
    std::vector<int64_t> all;
    for (size_t i = 1; i < lines.size(); ++i)
      if (lines[i].rfind("const", 0) != 0) all.push_back(static_cast<int64_t>(i));
    std::vector<float> first;
    at_every_level([&] {
      std::vector<std::vector<float>> parts(all.size(), std::vector<float>(x.size()));
      std::vector<TapeResult> results;
      for (auto& part : parts) results.push_back(result(part));
      const auto pieces = Tape::parse(lines, all), whole = Tape::parse(lines, {all.back()});
      CHECK(whole->instructions() == 2);
      CHECK(pieces->instructions() > 2);
      pieces->run(n, std::vector{operand(x)}, results);
      std::vector<float> y(x.size());
      whole->run(n, std::vector{operand(x)}, std::vector{result(y)});
      if (first.empty()) first = y;
      bool same = true;
      for (size_t i = 0; i < x.size(); ++i)
        same &= (y[i] == parts.back()[i] && bits_of(y[i]) == bits_of(first[i])) ||
                (std::isnan(y[i]) && std::isnan(parts.back()[i]));
      CHECK_MSG(same, lines.back());
    });
  }
}

TEST(double_functions) {
  std::vector<double> x;
  for (float f : interesting_floats()) x.push_back(x.size() < 3000 ? f : 0.5);
  for (auto [name, exact] : std::initializer_list<std::pair<const char*, double (*)(double)>>{{"exp", std::exp},
                                                                                              {"log", std::log},
                                                                                              {"sin", std::sin},
                                                                                              {"erf", std::erf},
                                                                                              {"tanh", std::tanh},
                                                                                              {"atanh", std::atanh}}) {
    const auto y = compute<double>({"in f64 0", std::string(name) + " f64 0"}, 3000, operand(x));
    for (int i = 0; i < 3000; ++i)
      CHECK_MSG(y[i] == exact(x[i]) || (std::isnan(y[i]) && std::isnan(exact(x[i]))), name);
  }
}

namespace {

// All pairs of a few values, by blocks and by single values on either side.
template <typename T, typename R>
void check_binary(const std::string& domain, const std::string& op, const std::vector<T>& values,
                  const std::function<R(T, T)>& exact, bool exactly = true) {
  const auto same = [&](R got, R want) {
    if constexpr (std::is_floating_point_v<R>) {
      if (std::isnan(want)) return std::isnan(got);
      if (!exactly) return got == want || std::fabs(got - want) <= 1e-6 * std::fabs(want);
    }
    return got == want;
  };
  std::vector<T> a, b;
  for (T x : values)
    for (T y : values) a.push_back(x), b.push_back(y);
  const auto n = static_cast<int64_t>(a.size());
  const Lines lines = {"in " + domain + " 0", "in " + domain + " 1", op + " " + domain + " 0 1"};
  const auto y = compute<R>(lines, n, operand(a), operand(b));
  for (size_t i = 0; i < a.size(); ++i)
    CHECK_MSG(same(y[i], exact(a[i], b[i])),
              op + " " + domain + " of " + test::show(a[i]) + " and " + test::show(b[i]) + ": got " + test::show(y[i]));
  for (const T& single : values) {
    const std::vector<T> one = {single};
    const auto left = compute<R>(lines, n, operand(one, 0), operand(b)),
               right = compute<R>(lines, n, operand(a), operand(one, 0));
    for (size_t i = 0; i < a.size(); ++i)
      CHECK_MSG(same(left[i], exact(single, b[i])) && same(right[i], exact(a[i], single)), op + " with one value");
  }
}

int64_t wrap(unsigned __int128 x) { return static_cast<int64_t>(static_cast<uint64_t>(x)); }
int64_t python_mod(int64_t a, int64_t b) {
  if (b == 0) return 0;
  const __int128 r = static_cast<__int128>(a) % b;
  return static_cast<int64_t>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}

}  // namespace

TEST(binary_operations) {
  const std::vector<float> f = {0, -0.0f, 1, -1, 2.5f, -3.5f, 7, kInf, -kInf, kNaN, 1e-40f, 3e38f};
  const std::vector<double> d(f.begin(), f.end());
  const std::vector<int64_t> i = {0, 1, -1, 2, 3, -7, 63, 64, 1000, INT64_MAX, INT64_MIN, 5000000000};
  const std::vector<uint64_t> u = {0, 1, 2, 3, 63, 64, 1000, UINT64_MAX, 1ull << 63};
  at_every_level([&] {
    const auto floats = [&](const std::string& op, auto exact, bool exactly = true) {
      check_binary<float, float>(
          "f32", op, f, [&](float a, float b) { return static_cast<float>(exact(a, b)); }, exactly);
      check_binary<double, double>(
          "f64", op, d, [&](double a, double b) { return static_cast<double>(exact(a, b)); }, exactly);
    };
    floats("add", [](auto a, auto b) { return a + b; });
    floats("sub", [](auto a, auto b) { return a - b; });
    floats("mul", [](auto a, auto b) { return a * b; });
    floats("div", [](auto a, auto b) { return a / b; });
    floats("fmod", [](auto a, auto b) { return std::fmod(a, b); });
    floats(
        "pow", [](auto a, auto b) { return std::pow(static_cast<double>(a), static_cast<double>(b)); }, false);
    floats("min", [](auto a, auto b) { return std::isnan(a) ? a : std::isnan(b) ? b : std::min(a, b); });
    floats("max", [](auto a, auto b) { return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b); });
    const auto integers = [&](const std::string& op, std::function<int64_t(int64_t, int64_t)> exact) {
      check_binary<int64_t, int64_t>("i64", op, i, exact);
    };
    const auto naturals = [&](const std::string& op, std::function<uint64_t(uint64_t, uint64_t)> exact) {
      check_binary<uint64_t, uint64_t>("u64", op, u, exact);
    };
    using Wide = __int128;
    integers("add", [](int64_t a, int64_t b) { return wrap(Wide(a) + b); });
    integers("sub", [](int64_t a, int64_t b) { return wrap(Wide(a) - b); });
    integers("mul", [](int64_t a, int64_t b) { return wrap(Wide(a) * b); });
    integers("div", [](int64_t a, int64_t b) { return b ? wrap(Wide(a) / b) : 0; });
    integers("fmod", [](int64_t a, int64_t b) { return b ? wrap(Wide(a) % b) : 0; });
    integers("mod", python_mod);
    integers("min", [](int64_t a, int64_t b) { return std::min(a, b); });
    integers("max", [](int64_t a, int64_t b) { return std::max(a, b); });
    integers("bitand", [](int64_t a, int64_t b) { return a & b; });
    integers("bitor", [](int64_t a, int64_t b) { return a | b; });
    integers("bitxor", [](int64_t a, int64_t b) { return a ^ b; });
    naturals("div", [](uint64_t a, uint64_t b) { return b ? a / b : 0; });
    naturals("mod", [](uint64_t a, uint64_t b) { return b ? a % b : 0; });
    naturals("mul", [](uint64_t a, uint64_t b) { return a * b; });
    naturals("shl", [](uint64_t a, uint64_t b) { return b < 64 ? a << b : 0; });
    naturals("shr", [](uint64_t a, uint64_t b) { return b < 64 ? a >> b : 0; });
    naturals("max", [](uint64_t a, uint64_t b) { return std::max(a, b); });
    check_binary<int64_t, int64_t>("i64", "shr", {-8, 9, 0, 1, 3, 70},
                                   [](int64_t a, int64_t b) { return b < 0 || b > 63 ? (a < 0 ? -1 : 0) : a >> b; });
    const auto comparison = [&](const std::string& op, auto exact) {
      check_binary<float, int64_t>("f32", op, f, [&](float a, float b) { return static_cast<int64_t>(exact(a, b)); });
      check_binary<double, int64_t>("f64", op, d,
                                    [&](double a, double b) { return static_cast<int64_t>(exact(a, b)); });
      check_binary<int64_t, int64_t>("i64", op, i,
                                     [&](int64_t a, int64_t b) { return static_cast<int64_t>(exact(a, b)); });
      check_binary<uint64_t, int64_t>("u64", op, u,
                                      [&](uint64_t a, uint64_t b) { return static_cast<int64_t>(exact(a, b)); });
    };
    comparison("eq", [](auto a, auto b) { return a == b; });
    comparison("ne", [](auto a, auto b) { return a != b; });
    comparison("lt", [](auto a, auto b) { return a < b; });
    comparison("le", [](auto a, auto b) { return a <= b; });
    comparison("gt", [](auto a, auto b) { return a > b; });
    comparison("ge", [](auto a, auto b) { return a >= b; });
    check_binary<int64_t, int64_t>("i64", "and", i, [](int64_t a, int64_t b) { return a && b; });
    check_binary<int64_t, int64_t>("i64", "or", i, [](int64_t a, int64_t b) { return a || b; });
    check_binary<int64_t, int64_t>("i64", "xor", i, [](int64_t a, int64_t b) { return !a != !b; });
    check_binary<int64_t, int64_t>("i64", "pow", {0, 1, -1, 2, -3, 5}, [](int64_t a, int64_t b) {
      return b < 0 ? (a == 1 || a == -1 ? static_cast<int64_t>(std::pow(a, b)) : 0)
                   : static_cast<int64_t>(std::pow(a, b));
    });
  });
  // The sign of a float's mod follows the divisor.
  const std::vector<float> a = {5, -5, 5, -5, 6}, b = {3, 3, -3, -3, -3};
  const auto y = compute<float>({"in f32 0", "in f32 1", "mod f32 0 1"}, 5, operand(a), operand(b));
  CHECK(y == (std::vector<float>{2, 1, -1, -2, -0.0f}));
}

TEST(predicates_and_logic) {
  const std::vector<float> x = {1, kNaN, kInf, -kInf, 0};
  at_every_level([&] {
    CHECK(compute<int64_t>({"in f32 0", "isnan f32 0"}, 5, operand(x)) == (std::vector<int64_t>{0, 1, 0, 0, 0}));
    CHECK(compute<int64_t>({"in f32 0", "isposinf f32 0"}, 5, operand(x)) == (std::vector<int64_t>{0, 0, 1, 0, 0}));
    CHECK(compute<int32_t>({"in f32 0", "isneginf f32 0"}, 5, operand(x)) == (std::vector<int32_t>{0, 0, 0, 1, 0}));
    CHECK(compute<uint8_t>({"in f32 0", "narrow bool 0"}, 5, operand(x)) == (std::vector<uint8_t>{1, 1, 1, 1, 0}));
    const std::vector<int64_t> i = {0, 1, -5, 256, int64_t{1} << 40};
    CHECK(compute<int64_t>({"in i64 0", "not i64 0"}, 5, operand(i)) == (std::vector<int64_t>{1, 0, 0, 0, 0}));
    CHECK(compute<int64_t>({"in i64 0", "bitnot i64 0"}, 5, operand(i)) ==
          (std::vector<int64_t>{-1, -2, 4, -257, ~(int64_t{1} << 40)}));
    // A comparison's result used as an integer.
    CHECK(compute<int64_t>({"in i64 0", "const i64 1", "gt i64 0 1", "add i64 2 2", "sub i64 3 1"}, 5, operand(i)) ==
          (std::vector<int64_t>{-1, -1, -1, 1, 1}));
    CHECK(compute<float>({"in i64 0", "const i64 1", "gt i64 0 1", "convert f32 i64 2"}, 5, operand(i)) ==
          (std::vector<float>{0, 0, 0, 1, 1}));
    const std::vector<float> p = {1, 2, 3, 4, 5}, q = {-1, -2, -3, -4, -5};
    const std::vector<float> one = {9};
    const std::vector<int64_t> yes = {7};
    const Lines select = {"in i64 0", "in f32 1", "in f32 2", "select f32 0 1 2"};
    CHECK(compute<float>(select, 5, operand(i), operand(p), operand(q)) == (std::vector<float>{-1, 2, 3, 4, 5}));
    CHECK(compute<float>(select, 5, operand(i), operand(one, 0), operand(q)) == (std::vector<float>{-1, 9, 9, 9, 9}));
    CHECK(compute<float>(select, 5, operand(i), operand(p), operand(one, 0)) == (std::vector<float>{9, 2, 3, 4, 5}));
    CHECK(compute<float>(select, 5, operand(yes, 0), operand(p), operand(q)) == p);
    CHECK(compute<float>(select, 5, operand(yes, 0), operand(one, 0), operand(q)) ==
          (std::vector<float>{9, 9, 9, 9, 9}));
    CHECK(compute<float>(select, 5, operand(yes, 0), operand(one, 0), operand(one, 0)) ==
          (std::vector<float>{9, 9, 9, 9, 9}));
  });
}

TEST(conversions_between_domains) {
  const std::vector<float> f = {1.9f, -1.9f, 3e9f, -3e9f, 1e30f, -1e30f, kNaN, kInf};
  at_every_level([&] {
    CHECK(compute<int64_t>({"in f32 0", "convert i64 f32 0"}, 8, operand(f)) ==
          (std::vector<int64_t>{1, -1, 3000000000, -3000000000, INT64_MAX, INT64_MIN, 0, INT64_MAX}));
    CHECK(compute<uint64_t>({"in f32 0", "convert u64 f32 0"}, 3, operand(f)) ==
          (std::vector<uint64_t>{1, UINT64_MAX, 3000000000}));
    CHECK(compute<uint64_t>({"in f32 0", "convert u64 f32 0 saturate"}, 3, operand(f)) ==
          (std::vector<uint64_t>{1, 0, 3000000000}));
    CHECK(compute<int32_t>({"in f32 0", "convert i64 f32 0", "narrow int32 1"}, 3, operand(f)) ==
          (std::vector<int32_t>{1, -1, -1294967296}));
    CHECK(compute<int32_t>({"in f32 0", "convert i64 f32 0", "narrow int32 1 saturate"}, 7, operand(f)) ==
          (std::vector<int32_t>{1, -1, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0}));
    CHECK(compute<int8_t>({"in f32 0", "convert i64 f32 0", "narrow int8 1 saturate"}, 8, operand(f)) ==
          (std::vector<int8_t>{1, -1, 127, -128, 127, -128, 0, 127}));
    // Clamped in floats before, as quantisation is written.
    CHECK(compute<int8_t>({"in f32 0", "const f32 -128", "const f32 127", "max f32 0 1", "min f32 2 3",
                           "convert i64 f32 4", "narrow int8 5"},
                          8, operand(f)) == (std::vector<int8_t>{1, -1, 127, -128, 127, -128, 0, 127}));
    CHECK(compute<int8_t>({"in f32 0", "const f32 -100", "const f32 127", "max f32 0 1", "min f32 2 3",
                           "convert i64 f32 4", "narrow int8 5"},
                          8, operand(f)) == (std::vector<int8_t>{1, -1, 127, -100, 127, -100, 0, 127}));
    // The narrowed value also used otherwise: no shortcut to the store.
    CHECK(compute<int8_t>({"in f32 0", "convert i64 f32 0", "narrow int8 1 saturate", "neg i64 2", "sub i64 2 3"}, 3,
                          operand(f)) == (std::vector<int8_t>{2, -2, -2}));
    const std::vector<uint64_t> u = {UINT64_MAX, 5};
    CHECK(compute<int64_t>({"in u64 0", "convert i64 u64 0 saturate"}, 2, operand(u)) ==
          (std::vector<int64_t>{INT64_MAX, 5}));
    CHECK(compute<int64_t>({"in u64 0", "convert i64 u64 0"}, 2, operand(u)) == (std::vector<int64_t>{-1, 5}));
    CHECK(compute<float>({"in u64 0", "convert f32 u64 0"}, 2, operand(u)) ==
          (std::vector<float>{18446744073709551616.0f, 5}));
    const std::vector<uint8_t> bytes = {0, 200, 255};
    CHECK(compute<float>({"in i64 0", "convert f32 i64 0"}, 3, operand(bytes)) == (std::vector<float>{0, 200, 255}));
    CHECK(compute<int8_t>({"in i64 0", "narrow int8 0"}, 3, operand(bytes)) == (std::vector<int8_t>{0, -56, -1}));
  });
}

TEST(every_dtype_loads_and_stores) {
  struct Case {
    DType dtype;
    const char* domain;
    std::function<double(uint32_t)> decode;
  };
  const Case cases[] = {
      {DType::kFloat16, "f32", [](uint32_t b) { return decode_small_float<kFloat16Format>(b); }},
      {DType::kBFloat16, "f32", [](uint32_t b) { return decode_bfloat16(b); }},
      {DType::kFloat8E4M3FN, "f32", [](uint32_t b) { return decode_small_float<kE4M3FNFormat>(b); }},
      {DType::kFloat8E4M3FNUZ, "f32", [](uint32_t b) { return decode_small_float<kE4M3FNUZFormat>(b); }},
      {DType::kFloat8E5M2, "f32", [](uint32_t b) { return decode_small_float<kE5M2Format>(b); }},
      {DType::kFloat8E5M2FNUZ, "f32", [](uint32_t b) { return decode_small_float<kE5M2FNUZFormat>(b); }},
      {DType::kFloat8E8M0, "f32", [](uint32_t b) { return decode_e8m0(b); }},
      {DType::kFloat4E2M1, "f32", [](uint32_t b) { return decode_small_float<kE2M1Format>(b); }},
      {DType::kInt2, "i64", [](uint32_t b) { return b > 1 ? b - 4.0 : b; }},
      {DType::kUInt2, "i64", [](uint32_t b) { return b; }},
      {DType::kInt4, "i64", [](uint32_t b) { return b > 7 ? b - 16.0 : b; }},
      {DType::kUInt4, "i64", [](uint32_t b) { return b; }},
      {DType::kInt8, "i64", [](uint32_t b) { return static_cast<int8_t>(b); }},
      {DType::kUInt8, "i64", [](uint32_t b) { return b; }},
      {DType::kInt16, "i64", [](uint32_t b) { return static_cast<int16_t>(b); }},
      {DType::kUInt16, "i64", [](uint32_t b) { return b; }},
  };
  at_every_level([&] {
    for (const Case& c : cases) {
      const int bits = info(c.dtype).bits;
      const std::string type(info(c.dtype).name);
      const int64_t n = std::max<int64_t>(int64_t{1} << bits, 700);
      std::vector<uint8_t> in(static_cast<size_t>(n) * 2 + 8), out(in.size());
      const auto code_of = [&](int64_t i) { return static_cast<uint32_t>(i) & ((1u << bits) - 1); };
      for (int64_t i = 0; i < n; ++i) {
        if (bits == 2)
          set_packed<2>(in.data(), i, code_of(i));
        else if (bits == 4)
          set_packed<4>(in.data(), i, code_of(i));
        else if (bits == 8)
          in[static_cast<size_t>(i)] = static_cast<uint8_t>(i);
        else
          reinterpret_cast<uint16_t*>(in.data())[i] = static_cast<uint16_t>(i);
      }
      const TapeOperand from{in.data(), c.dtype, 1};
      const std::string read = std::string("in ") + c.domain + " 0";
      // Widening, in the natural domain and as other types.
      std::vector<double> wide(static_cast<size_t>(n));
      const TapeResult to_double{wide.data(), DType::kFloat64, 1};
      Tape::parse({read}, {0})->run(n, std::vector{from}, std::vector{to_double});
      for (int64_t i = 0; i < n; ++i) {
        const double want = c.decode(code_of(i));
        CHECK_MSG(wide[i] == want || (std::isnan(wide[i]) && std::isnan(want)),
                  type + " code " + std::to_string(code_of(i)));
      }
      // There and back: identity but for the bits of NaNs, through a store and through a narrow in the middle.
      for (const Lines& lines :
           {Lines{read}, Lines{read, "narrow " + type + " 0"}, Lines{read, "narrow " + type + " 0 saturate"},
            Lines{read, "narrow " + type + " 0", "abs " + std::string(c.domain) + " 1",
                  "max " + std::string(c.domain) + " 1 2", "min " + std::string(c.domain) + " 1 3"}}) {
        std::fill(out.begin(), out.end(), 0);
        const TapeResult to{out.data(), c.dtype, 1};
        Tape::parse(lines, {static_cast<int64_t>(lines.size()) - 1})->run(n, std::vector{from}, std::vector{to});
        for (int64_t i = 0; i < n; ++i) {
          const double want = c.decode(code_of(i));
          if (std::isnan(want) || want == 0 ||
              (std::isinf(want) && lines.size() == 2 && lines[1].ends_with("saturate")))
            continue;
          const uint32_t got = bits == 2   ? get_packed<2>(out.data(), i)
                               : bits == 4 ? get_packed<4>(out.data(), i)
                               : bits == 8 ? out[static_cast<size_t>(i)]
                                           : reinterpret_cast<uint16_t*>(out.data())[i];
          CHECK_MSG(got == code_of(i),
                    type + " code " + std::to_string(code_of(i)) + " came back as " + std::to_string(got));
        }
        CHECK(std::all_of(out.begin() + static_cast<int64_t>(packed_bytes(c.dtype, n)), out.end(),
                          [](uint8_t b) { return b == 0; }));
      }
    }
  });
}

TEST(narrowing_matches_single_conversions) {
  const auto& x = interesting_floats();
  const auto n = static_cast<int64_t>(x.size());
  at_every_level([&] {
    const auto check = [&](const char* type, const char* how, auto convert) {
      const std::string narrow = std::string("narrow ") + type + " 0" + how;
      const auto y = compute<float>({"in f32 0", narrow, "neg f32 1"}, n, operand(x));
      int wrong = 0;
      for (int64_t i = 0; i < n; ++i) {
        const float want = -convert(x[i]);
        wrong += !(bits_of(y[i]) == bits_of(want) || (std::isnan(y[i]) && std::isnan(want)));
      }
      CHECK_MSG(wrong == 0, narrow);
    };
    check("float16", "",
          [](float v) { return decode_small_float<kFloat16Format>(encode_small_float<kFloat16Format>(v, false)); });
    check("bfloat16", "", [](float v) { return decode_bfloat16(encode_bfloat16(v)); });
    check("float8e4m3fn", "",
          [](float v) { return decode_small_float<kE4M3FNFormat>(encode_small_float<kE4M3FNFormat>(v, false)); });
    check("float8e4m3fn", " saturate",
          [](float v) { return decode_small_float<kE4M3FNFormat>(encode_small_float<kE4M3FNFormat>(v, true)); });
    check("float8e5m2", " saturate",
          [](float v) { return decode_small_float<kE5M2Format>(encode_small_float<kE5M2Format>(v, true)); });
    check("float8e8m0", " saturate down", [](float v) { return decode_e8m0(encode_e8m0(v, true, RoundMode::kDown)); });
    check("float8e8m0", " nearest", [](float v) { return decode_e8m0(encode_e8m0(v, false, RoundMode::kNearest)); });
    // Straight to memory, by the processor's own instruction where there is one.
    std::vector<uint16_t> halves(x.size());
    Tape::parse({"in f32 0"}, {0})
        ->run(n, std::vector{operand(x)}, std::vector{TapeResult{halves.data(), DType::kFloat16, 1}});
    int wrong = 0;
    for (int64_t i = 0; i < n; ++i) wrong += halves[i] != encode_small_float<kFloat16Format>(x[i], false);
    CHECK_EQ(wrong, 0);
  });
}

TEST(strides_in_place_and_several_results) {
  at_every_level([&] {
    for (int64_t n : {1, 2, 31, 511, 512, 513, 1700}) {
      std::vector<float> a(static_cast<size_t>(n) * 3), b(static_cast<size_t>(n)), y(static_cast<size_t>(n) * 2, -1),
          z(static_cast<size_t>(n));
      for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i) * 0.5f;
      for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i) - 7;
      const std::vector<float> a0 = a, b0 = b;
      const auto tape = Tape::parse({"in f32 0", "in f32 1", "mul f32 0 1", "add f32 2 1", "sub f32 2 0"}, {3, 4, 3});
      // Operand 0 strided, operand 1 backwards; results strided, dense, and in place of operand 1.
      const TapeOperand backwards{b.data() + n - 1, DType::kFloat32, -1};
      const TapeResult over{b.data() + n - 1, DType::kFloat32, -1};
      tape->run(n, std::vector{operand(a, 3), backwards}, std::vector{result(y, 2), result(z), over});
      bool ok = true;
      for (int64_t i = 0; i < n; ++i) {
        const float p = a0[i * 3], q = b0[n - 1 - i];
        ok &= y[i * 2] == p * q + q && z[i] == p * q - p && b[n - 1 - i] == p * q + q && y[i * 2 + 1] == -1;
      }
      CHECK_MSG(ok, std::to_string(n));
      // The output lies over an operand that is read again after the output's register is computed.
      std::vector<float> c = b0;
      std::vector<float> other(static_cast<size_t>(n));
      Tape::parse({"in f32 0", "neg f32 0", "sub f32 0 1"}, {1, 2})
          ->run(n, std::vector{operand(c)}, std::vector{result(c), result(other)});
      ok = true;
      for (int64_t i = 0; i < n; ++i) ok &= c[i] == -b0[i] && other[i] == 2 * b0[i];
      CHECK_MSG(ok, std::to_string(n));
      // Constants and single values alone.
      std::vector<int32_t> filled(static_cast<size_t>(n));
      const std::vector<float> single = {2.75f};
      Tape::parse({"in f32 0", "const f32 1", "add f32 0 1"}, {2})
          ->run(n, std::vector{operand(single, 0)}, std::vector{result(filled)});
      CHECK(std::all_of(filled.begin(), filled.end(), [](int32_t v) { return v == 3; }));
    }
  });
}

TEST(random_programs_match_plain_evaluation) {
  // f32 programs over exact operations: a plain evaluation of the text gives the same bits.
  std::mt19937 random(5);
  for (int round = 0; round < 150; ++round) {
    const int operands = 1 + static_cast<int>(random() % 3), length = 1 + static_cast<int>(random() % 40);
    const int64_t n = 1 + random() % 1500;
    std::vector<std::vector<float>> data;
    std::vector<TapeOperand> in;
    Lines lines;
    for (int k = 0; k < operands; ++k) {
      std::vector<float> v(static_cast<size_t>(n));
      for (float& x : v) x = static_cast<float>(static_cast<int>(random() % 200) - 100) / 8;
      data.push_back(std::move(v));
      lines.push_back("in f32 " + std::to_string(k));
    }
    for (int k = 0; k < operands; ++k) in.push_back(operand(data[k], random() % 4 ? 1 : 0));
    lines.push_back("const f32 0.75");
    struct Line {
      int op, a, b, c;
    };
    std::vector<Line> code;
    const char* names[] = {"add", "sub", "mul", "min", "max", "neg", "floor", "abs", "select", "trunc"};
    // Registers: of text; a select takes a comparison made just before it.
    std::vector<int> values;
    for (int k = 0; k <= operands; ++k) values.push_back(k);
    for (int k = 0; k < length; ++k) {
      const int op = static_cast<int>(random() % 10);
      const auto any = [&] { return static_cast<int>(random() % values.size()); };
      const Line l{op, any(), any(), any()};
      const auto reg = [&](int v) { return " " + std::to_string(values[v]); };
      if (op == 8) {
        lines.push_back("lt f32" + reg(l.a) + reg(l.b));
        lines.push_back("select f32 " + std::to_string(lines.size() - 1) + reg(l.b) + reg(l.c));
      } else {
        lines.push_back(std::string(names[op]) + " f32" + reg(l.a) + (op < 5 ? reg(l.b) : ""));
      }
      code.push_back(l);
      values.push_back(static_cast<int>(lines.size()) - 1);
    }
    std::vector<float> expected(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      std::vector<float> v;
      for (int k = 0; k < operands; ++k) v.push_back(data[k][static_cast<size_t>(i * in[k].stride)]);
      v.push_back(0.75f);
      for (const Line& l : code) {
        const float a = v[l.a], b = v[l.b], c = v[l.c];
        const float results[] = {a + b, a - b,         a * b,        a < b || a != a ? a : b, a > b || a != a ? a : b,
                                 -a,    std::floor(a), std::fabs(a), a < b ? b : c,           std::trunc(a)};
        v.push_back(results[l.op]);
      }
      expected[i] = v.back();
    }
    at_every_level([&] {
      std::vector<float> out(static_cast<size_t>(n));
      Tape::parse(lines, {static_cast<int64_t>(lines.size()) - 1})->run(n, in, std::vector{result(out)});
      CHECK_MSG(std::equal(out.begin(), out.end(), expected.begin(),
                           [](float p, float q) { return p == q || (p != p && q != q); }),
                std::to_string(round));
    });
  }
}

TEST(malformed_tapes_are_invalid_plans) {
  const std::pair<Lines, std::vector<int64_t>> cases[] = {
      {{"in f32"}, {0}},
      {{"in f16 0"}, {0}},
      {{"frobnicate f32 0"}, {0}},
      {{"in f32 0", "add f32 0 1"}, {1}},
      {{"in f32 0", "add f32 0 -1"}, {1}},
      {{"in f32 0"}, {1}},
      {{"in f32 0"}, {-1}},
      {{"in f32 -1"}, {0}},
      {{"in i64 0", "exp i64 0"}, {1}},
      {{"in f32 0", "in i64 1", "add f32 0 1"}, {2}},
      {{"const f32 abc"}, {0}},
      {{"const i64 1.5"}, {0}},
      {{"const i64 99999999999999999999"}, {0}},
      {{"in f32 0", "bitand f32 0 0"}, {1}},
      {{"in f32 0", "narrow float7 0"}, {1}},
      {{"in f32 0", "narrow int8 0"}, {1}},
      {{"in f32 0", "select f32 0 0 0"}, {1}},
      {{"in f32 0", "neg f32 0 0"}, {1}},
      {{""}, {0}},
      {{"in f32 0", "narrow float16 0 sideways"}, {1}},
      {{"in f32 99999"}, {0}},
  };
  for (const auto& [lines, results] : cases) {
    try {
      Tape::parse(lines, results);
      test::fail(__FILE__, __LINE__, "accepted: " + lines.back());
    } catch (const Error& e) {
      CHECK_EQ(e.code, Code::kInvalidPlan);
    }
  }
  const std::vector<float> x = {1};
  std::vector<float> y(1);
  CHECK_THROWS(Tape::parse({"in i64 0"}, {0})->run(1, std::vector{operand(x)}, std::vector{result(y)}), Error);
  CHECK_THROWS(Tape::parse({"in f32 1"}, {0})->run(1, std::vector{operand(x)}, std::vector{result(y)}), Error);
}

TEST(many_live_registers) {
  // More than the scratch holds at full block length, all alive until the end.
  Lines lines = {"in f64 0"};
  for (int i = 1; i <= 150; ++i)
    lines.push_back("const f64 " + std::to_string(i)), lines.push_back("add f64 0 " + std::to_string(2 * i - 1));
  std::string sum = "2";
  for (int i = 2; i <= 150; ++i) {
    lines.push_back("add f64 " + sum + " " + std::to_string(2 * i));
    sum = std::to_string(lines.size() - 1);
  }
  std::vector<double> x(777, 1.0);
  const auto y = compute<double>(lines, 777, operand(x));
  CHECK(std::all_of(y.begin(), y.end(), [](double v) { return v == 150 + 150 * 151 / 2; }));
}
