// attention against plain loops in double: head sharing, masks, windows, key lengths, programs, layouts, NaN behind masks.
#include <cmath>
#include <limits>

#include "base/isa.h"
#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  int64_t batch, heads, key_heads, queries, keys, d, dv;
  bool causal = false;
  int64_t offset = 0, left = -1, right = -1;
  double softcap = 0;
  int mask = 0;  // 1: float [L, S], 2: bool [B, 1, L, S], 3: float [1, H, 1, S - 1]
  bool lengths = false, tape = false, bshd = false, poison = false;
};

void run(const Case& t, uint32_t seed) {
  const std::vector<int64_t> qd = {t.batch, t.heads, t.queries, t.d}, kd = {t.batch, t.key_heads, t.keys, t.d}, vd = {t.batch, t.key_heads, t.keys, t.dv};
  auto q = test::random_floats(test::count_of(qd), seed, -2, 2), k = test::random_floats(test::count_of(kd), seed + 1, -2, 2), v = test::random_floats(test::count_of(vd), seed + 2);
  std::vector<int64_t> mask_dims;
  if (t.mask == 1) mask_dims = {t.queries, t.keys};
  if (t.mask == 2) mask_dims = {t.batch, 1, t.queries, t.keys};
  if (t.mask == 3) mask_dims = {1, t.heads, 1, t.keys - 1};
  auto mask = test::random_floats(test::count_of(mask_dims), seed + 3);
  if (t.mask == 1)
    for (size_t i = 0; i < mask.size(); i += 3) mask[i] = -std::numeric_limits<float>::infinity();
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < t.batch; ++b) lengths.push_back(std::max<int64_t>(0, t.keys - 2 * b - 1));
  if (t.poison) {  // the last key is never seen
    for (int64_t h = 0; h < t.batch * t.key_heads; ++h)
      for (int64_t i = 0; i < t.dv; ++i) v[static_cast<size_t>(((h + 1) * t.keys - 1) * t.dv + i)] = std::numeric_limits<float>::quiet_NaN();
    for (int64_t h = 0; h < t.batch * t.key_heads; ++h) k[static_cast<size_t>(((h + 1) * t.keys - 1) * t.d)] = std::numeric_limits<float>::quiet_NaN();
  }

  Attributes a;
  a.set("scale", 0.3), a.set("isCausal", t.causal ? 1.0 : 0.0), a.set("causalOffset", static_cast<double>(t.offset)), a.set("softcap", t.softcap);
  a.set("leftWindow", static_cast<double>(t.left)), a.set("rightWindow", static_cast<double>(t.right));
  if (t.tape) a.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "mul f32 0 1"});
  const std::vector<int> order = t.bshd ? std::vector<int>{0, 2, 1, 3} : std::vector<int>{0, 1, 2, 3};
  std::vector<Buffer> inputs(t.tape ? 6 : 5), outputs(1);
  inputs[0] = test::tensor<float>(qd, q, order), inputs[1] = test::tensor<float>(kd, k, order), inputs[2] = test::tensor<float>(vd, v, order);
  std::vector<uint8_t> allowed;
  if (t.mask == 2) {
    for (float m : mask) allowed.push_back(m > -0.3f);
    inputs[3].make(DType::kBool, mask_dims);
    inputs[3].fill(allowed);
  } else if (t.mask) {
    inputs[3] = test::tensor<float>(mask_dims, mask);
  }
  if (t.lengths) inputs[4] = test::tensor<int64_t>({t.batch}, lengths);
  const auto side = test::random_floats(t.heads * t.keys, seed + 4, 0.5f, 1.5f);
  if (t.tape) inputs[5] = test::tensor<float>({t.heads, 1, t.keys}, side);
  outputs[0].make(DType::kFloat32, {t.batch, t.heads, t.queries, t.dv}, order);
  test::run_kernel("attention", a, inputs, outputs);
  CHECK(outputs[0].guarded());
  const auto got = outputs[0].values<float>();

  size_t at = 0;
  for (int64_t b = 0; b < t.batch; ++b)
    for (int64_t h = 0; h < t.heads; ++h)
      for (int64_t i = 0; i < t.queries; ++i) {
        const int64_t kh = h / (t.heads / t.key_heads), position = i + (t.lengths ? lengths[static_cast<size_t>(b)] - t.queries : t.offset);
        std::vector<double> s(static_cast<size_t>(t.keys));
        double top = -kInfinity, total = 0;
        for (int64_t j = 0; j < t.keys; ++j) {
          double sum = 0;
          for (int64_t c = 0; c < t.d; ++c)
            sum += static_cast<double>(q[static_cast<size_t>(((b * t.heads + h) * t.queries + i) * t.d + c)]) * static_cast<double>(k[static_cast<size_t>(((b * t.key_heads + kh) * t.keys + j) * t.d + c)]);
          sum *= 0.3;
          if (t.tape) sum *= static_cast<double>(side[static_cast<size_t>(h * t.keys + j)]);
          if (t.softcap > 0) sum = t.softcap * std::tanh(sum / t.softcap);
          double bias = 0;
          if (t.mask == 1) bias = static_cast<double>(mask[static_cast<size_t>(i * t.keys + j)]);
          if (t.mask == 2) bias = allowed[static_cast<size_t>((b * t.queries + i) * t.keys + j)] ? 0 : -kInfinity;
          if (t.mask == 3) bias = j < t.keys - 1 ? static_cast<double>(mask[static_cast<size_t>(h * (t.keys - 1) + j)]) : -kInfinity;
          if ((t.causal && j > position) || (t.left >= 0 && position - j > t.left) || (t.right >= 0 && j - position > t.right) ||
              (t.lengths && j >= lengths[static_cast<size_t>(b)]))
            bias = -kInfinity;
          s[static_cast<size_t>(j)] = bias == -kInfinity ? -kInfinity : sum + bias;
          if (s[static_cast<size_t>(j)] > top) top = s[static_cast<size_t>(j)];
        }
        for (double& p : s) total += p = p == -kInfinity ? 0 : std::exp(p - top);
        for (int64_t c = 0; c < t.dv; ++c, ++at) {
          double want = 0;
          for (int64_t j = 0; j < t.keys; ++j)
            if (s[static_cast<size_t>(j)] != 0) want += s[static_cast<size_t>(j)] / total * static_cast<double>(v[static_cast<size_t>(((b * t.key_heads + kh) * t.keys + j) * t.dv + c)]);
          if (!(std::abs(static_cast<double>(got[at]) - want) < 2e-5))
            return test::fail("attention", static_cast<int>(seed), "element " + std::to_string(at) + ": got " + test::show(got[at]) + ", expected " + test::show(want));
        }
      }
}

}  // namespace

TEST(against_plain_loops) {
  const Case cases[] = {
      {.batch = 2, .heads = 3, .key_heads = 3, .queries = 37, .keys = 37, .d = 16, .dv = 16},
      {.batch = 1, .heads = 2, .key_heads = 1, .queries = 70, .keys = 1100, .d = 33, .dv = 40, .causal = true, .offset = 1030},
      {.batch = 2, .heads = 4, .key_heads = 2, .queries = 20, .keys = 77, .d = 64, .dv = 64, .mask = 1, .bshd = true},
      {.batch = 2, .heads = 2, .key_heads = 2, .queries = 65, .keys = 130, .d = 8, .dv = 5, .mask = 2, .bshd = true},
      {.batch = 2, .heads = 6, .key_heads = 3, .queries = 9, .keys = 50, .d = 24, .dv = 24, .softcap = 3, .mask = 3},
      {.batch = 3, .heads = 4, .key_heads = 4, .queries = 10, .keys = 40, .d = 16, .dv = 48, .causal = true, .lengths = true},
      {.batch = 1, .heads = 2, .key_heads = 2, .queries = 600, .keys = 600, .d = 16, .dv = 16, .causal = true, .left = 20},
      {.batch = 1, .heads = 2, .key_heads = 2, .queries = 40, .keys = 600, .d = 16, .dv = 16, .offset = 300, .left = 7, .right = 5},
      {.batch = 1, .heads = 3, .key_heads = 3, .queries = 50, .keys = 60, .d = 16, .dv = 16, .tape = true},
      {.batch = 2, .heads = 4, .key_heads = 1, .queries = 1, .keys = 333, .d = 64, .dv = 64},
      {.batch = 1, .heads = 3, .key_heads = 3, .queries = 1, .keys = 1, .d = 7, .dv = 3},
      {.batch = 2, .heads = 2, .key_heads = 2, .queries = 2, .keys = 45, .d = 19, .dv = 21, .mask = 1, .lengths = true, .bshd = true},
      {.batch = 1, .heads = 2, .key_heads = 2, .queries = 30, .keys = 31, .d = 16, .dv = 16, .mask = 3, .poison = true},
      {.batch = 1, .heads = 2, .key_heads = 2, .queries = 2, .keys = 31, .d = 16, .dv = 16, .mask = 3, .poison = true},
      {.batch = 1, .heads = 1, .key_heads = 1, .queries = 5, .keys = 6, .d = 4, .dv = 4, .causal = true, .offset = -3},
  };
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    uint32_t seed = 10;
    for (const Case& t : cases) run(t, seed += 10);
  }
  limit_isa(Isa::kAmx);
}

TEST(empty_extents) {
  for (int64_t queries : {0, 3}) {
    Attributes a;
    std::vector<Buffer> inputs(3), outputs(1);
    inputs[0] = test::tensor<float>({1, 2, queries, 4}, test::random_floats(8 * queries, 1));
    inputs[1] = test::tensor<float>({1, 2, 0, 4}, {});
    inputs[2] = test::tensor<float>({1, 2, 0, 5}, {});
    outputs[0].make(DType::kFloat32, {1, 2, queries, 5});
    test::run_kernel("attention", a, inputs, outputs);
    for (float y : outputs[0].values<float>()) CHECK_EQ(y, 0.0f);
  }
}

TEST(shapes_that_do_not_fit_are_refused) {
  Attributes a;
  std::vector<Buffer> inputs(3), outputs(1);
  inputs[0] = test::tensor<float>({1, 3, 2, 4}, test::random_floats(24, 1));
  inputs[1] = test::tensor<float>({1, 2, 2, 4}, test::random_floats(16, 1));
  inputs[2] = test::tensor<float>({1, 2, 2, 4}, test::random_floats(16, 1));
  outputs[0].make(DType::kFloat32, {1, 3, 2, 4});
  CHECK_THROWS(test::run_kernel("attention", a, inputs, outputs), Error);
}
