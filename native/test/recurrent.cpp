// lstm and gru against plain loops in double: sizes beyond one tile, directions, sequence lengths, constant weights.
#include <cmath>

#include "base/isa.h"
#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

namespace {

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

struct Sizes { int64_t steps, batch, inputs, hidden; };

void run(bool lstm, const Sizes& s, const std::string& direction, bool lengths, bool linear_first, bool constants) {
  const int64_t directions = direction == "bidirectional" ? 2 : 1, gates = lstm ? 4 : 3, rows = gates * s.hidden;
  const auto x = test::random_floats(s.steps * s.batch * s.inputs, 1), w = test::random_floats(directions * rows * s.inputs, 2, -0.3f, 0.3f),
             r = test::random_floats(directions * rows * s.hidden, 3, -0.3f, 0.3f), bias = test::random_floats(directions * 2 * rows, 4),
             h0 = test::random_floats(directions * s.batch * s.hidden, 5), c0 = test::random_floats(directions * s.batch * s.hidden, 6),
             peephole = test::random_floats(directions * 3 * s.hidden, 7);
  std::vector<int64_t> length(static_cast<size_t>(s.batch), s.steps);
  if (lengths)
    for (int64_t b = 0; b < s.batch; ++b) length[static_cast<size_t>(b)] = (b * 3 + 1) % (s.steps + 1);
  Attributes a;
  a.set("hiddenSize", static_cast<double>(s.hidden)), a.set("direction", direction), a.set("linearBeforeReset", linear_first ? 1.0 : 0.0);
  std::vector<Buffer> in(lstm ? 8 : 6), out(lstm ? 3 : 2);
  in[0] = test::tensor<float>({s.steps, s.batch, s.inputs}, x), in[1] = test::tensor<float>({directions, rows, s.inputs}, w), in[2] = test::tensor<float>({directions, rows, s.hidden}, r);
  in[3] = test::tensor<float>({directions, 2 * rows}, bias), in[5] = test::tensor<float>({directions, s.batch, s.hidden}, h0);
  if (lengths) {
    std::vector<int32_t> narrow(length.begin(), length.end());
    in[4] = test::tensor<int32_t>({s.batch}, narrow);
  }
  if (lstm) in[6] = test::tensor<float>({directions, s.batch, s.hidden}, c0), in[7] = test::tensor<float>({directions, 3 * s.hidden}, peephole);
  out[0].make(DType::kFloat32, {s.steps, directions, s.batch, s.hidden});
  for (size_t k = 1; k < out.size(); ++k) out[k].make(DType::kFloat32, {directions, s.batch, s.hidden});
  test::run_kernel(lstm ? "lstm" : "gru", a, in, out, constants);
  for (const Buffer& b : out) CHECK(b.guarded());
  const auto y = out[0].values<float>(), yh = out[1].values<float>();

  const auto n = s.hidden;
  for (int64_t d = 0; d < directions; ++d)
    for (int64_t b = 0; b < s.batch; ++b) {
      const auto state = static_cast<size_t>((d * s.batch + b) * n);
      std::vector<double> h(h0.begin() + static_cast<int64_t>(state), h0.begin() + static_cast<int64_t>(state) + n), c(c0.begin() + static_cast<int64_t>(state), c0.begin() + static_cast<int64_t>(state) + n);
      const auto number = [](float v) { return static_cast<double>(v); };
      for (int64_t step = 0; step < s.steps; ++step) {
        const int64_t len = length[static_cast<size_t>(b)], t = direction == "reverse" || d == 1 ? len - 1 - step : step;
        if (step >= len) {
          for (int64_t i = 0; i < n; ++i) CHECK_EQ(y[static_cast<size_t>(((step * directions + d) * s.batch + b) * n + i)], 0.0f);
          continue;
        }
        const auto from_x = [&](int64_t g) {
          double sum = number(bias[static_cast<size_t>(d * 2 * rows + g)]);
          for (int64_t k = 0; k < s.inputs; ++k) sum += number(w[static_cast<size_t>((d * rows + g) * s.inputs + k)]) * number(x[static_cast<size_t>((t * s.batch + b) * s.inputs + k)]);
          return sum;
        };
        const auto from_h = [&](int64_t g, const std::vector<double>& v) {
          double sum = number(bias[static_cast<size_t>((d * 2 + 1) * rows + g)]);
          for (int64_t k = 0; k < n; ++k) sum += number(r[static_cast<size_t>((d * rows + g) * n + k)]) * v[static_cast<size_t>(k)];
          return sum;
        };
        std::vector<double> next(h), reset(h);
        for (int64_t i = 0; i < n && !lstm; ++i) reset[static_cast<size_t>(i)] *= sigmoid(from_x(n + i) + from_h(n + i, h));
        for (int64_t i = 0; i < n; ++i) {
          const auto k = static_cast<size_t>(i);
          if (lstm) {
            const auto p = [&](int64_t g) { return number(peephole[static_cast<size_t>((d * 3 + g) * n + i)]); };
            const double in_gate = sigmoid(from_x(i) + from_h(i, h) + p(0) * c[k]), forget = sigmoid(from_x(2 * n + i) + from_h(2 * n + i, h) + p(2) * c[k]);
            c[k] = forget * c[k] + in_gate * std::tanh(from_x(3 * n + i) + from_h(3 * n + i, h));
            next[k] = sigmoid(from_x(n + i) + from_h(n + i, h) + p(1) * c[k]) * std::tanh(c[k]);
          } else {
            const double update = sigmoid(from_x(i) + from_h(i, h)), r_gate = sigmoid(from_x(n + i) + from_h(n + i, h));
            const double inner = linear_first ? r_gate * from_h(2 * n + i, h) : from_h(2 * n + i, reset);
            next[k] = (1 - update) * std::tanh(from_x(2 * n + i) + inner) + update * h[k];
          }
        }
        h = next;
        for (int64_t i = 0; i < n; ++i) {
          const double got = number(y[static_cast<size_t>(((t * directions + d) * s.batch + b) * n + i)]);
          if (!(std::abs(got - h[static_cast<size_t>(i)]) < 2e-5)) return test::fail(lstm ? "lstm" : "gru", static_cast<int>(step), "got " + test::show(got) + ", expected " + test::show(h[static_cast<size_t>(i)]));
        }
      }
      for (int64_t i = 0; i < n; ++i) CHECK(std::abs(number(yh[state + static_cast<size_t>(i)]) - h[static_cast<size_t>(i)]) < 2e-5);
    }
}

}  // namespace

TEST(against_plain_loops) {
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    for (bool lstm : {true, false})
      for (const char* direction : {"forward", "reverse", "bidirectional"})
        for (bool lengths : {false, true}) {
          run(lstm, {6, 5, 11, 37}, direction, lengths, false, true);
          run(lstm, {3, 17, 40, 16}, direction, lengths, true, false);
        }
    run(true, {2, 20, 9, 130}, "forward", false, false, true);  // steps large enough to be shared by threads
    run(false, {2, 24, 9, 130}, "forward", false, true, true);
  }
  limit_isa(Isa::kAmx);
}

TEST(bad_lengths_are_refused) {
  Attributes a;
  std::vector<Buffer> in(5), out(1);
  in[0] = test::tensor<float>({2, 1, 1}, {1, 2}), in[1] = test::tensor<float>({1, 1, 1}, {1}), in[2] = test::tensor<float>({1, 1, 1}, {1});
  in[4] = test::tensor<int32_t>({1}, {3});
  out[0].make(DType::kFloat32, {2, 1, 1, 1});
  CHECK_THROWS(test::run_kernel("rnn", a, in, out), Error);
}
