// Kernels that choose elements: top k, suppression of boxes, what is not zero, gathers of any layout; and their refusals.
#include <cmath>
#include <limits>

#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

TEST(top_k_is_a_sort) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const int64_t n = 1 + random() % 200, k = random() % (n + 1), rows = 3;
    auto x = test::random_floats(rows * n, random());
    for (float& v : x) v = std::round(v * 20);  // many ties
    if (round % 5 == 0) x[random() % x.size()] = std::numeric_limits<float>::quiet_NaN();
    const bool largest = random() % 2, inner = random() % 2;
    Attributes a;
    a.set("axis", inner ? 1.0 : 0.0), a.set("largest", largest ? 1.0 : 0.0);
    std::vector<Buffer> in(2), out(2);
    in[0] = test::tensor<float>(inner ? std::vector<int64_t>{rows, n} : std::vector<int64_t>{n, rows}, x);
    in[1] = test::tensor<int64_t>({1}, {k});
    out[1].tensor.dtype = DType::kInt64;
    test::run_kernel("topK", a, in, out);
    const auto values = out[0].values<float>();
    const auto indices = out[1].values<int64_t>();
    for (int64_t row = 0; row < rows; ++row) {
      const auto at = [&](int64_t i) { return x[static_cast<size_t>(inner ? row * n + i : i * rows + row)]; };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        const bool ni = std::isnan(at(i)), nj = std::isnan(at(j));
        if (ni || nj) return largest ? ni && !nj : nj && !ni;
        return largest ? at(i) > at(j) : at(i) < at(j);
      });
      for (int64_t i = 0; i < k; ++i) {
        const auto place = static_cast<size_t>(inner ? row * k + i : i * rows + row);
        CHECK_EQ(indices[place], order[static_cast<size_t>(i)]);
        CHECK(values[place] == at(order[static_cast<size_t>(i)]) || std::isnan(values[place]));
      }
    }
  }
}

// `apart`: between the boxes of eight sets, along x or both axes; `size`: of the boxes.
void check_suppression(float apart_y, float apart_x, unsigned size) {
  std::mt19937 random(2);
  const int64_t n = 700;
  std::vector<float> boxes;
  for (int64_t i = 0; i < n; ++i) {
    const auto draw = [&](unsigned range) { return static_cast<float>(random() % range); };
    const auto set = static_cast<float>(i % 8);
    const float y = draw(5 * size) + set * apart_y, x = draw(5 * size) + set * apart_x;
    const float least = static_cast<float>(size) / 6;
    for (float v : {y, x, y + least + draw(size), x + least + draw(size)}) boxes.push_back(v);
    // Without an area, or with one that is no number: never suppressed.
    if (i % 90 == 7) boxes[static_cast<size_t>(i * 4 + 2)] = y;
    if (i % 90 == 11) boxes[static_cast<size_t>(i * 4 + 3)] = std::numeric_limits<float>::infinity();
  }
  const auto scores = test::random_floats(2 * n, 3, 0, 1);
  std::vector<Buffer> in(5), out(1);
  in[0] = test::tensor<float>({1, n, 4}, boxes), in[1] = test::tensor<float>({1, 2, n}, scores);
  in[2] = test::tensor<int64_t>({1}, {120}), in[3] = test::tensor<float>({1}, {0.4f}), in[4] = test::tensor<float>({1}, {0.1f});
  out[0].tensor.dtype = DType::kInt64;
  test::run_kernel("nonMaxSuppression", {}, in, out);
  std::vector<int64_t> want;
  for (int64_t c = 0; c < 2; ++c) {
    std::vector<int64_t> order, kept;
    for (int64_t i = 0; i < n; ++i)
      if (scores[static_cast<size_t>(c * n + i)] > 0.1f) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return scores[static_cast<size_t>(c * n + i)] > scores[static_cast<size_t>(c * n + j)]; });
    for (int64_t i : order) {
      bool keep = kept.size() < 120;
      for (int64_t j : kept) {
        const float *p = &boxes[static_cast<size_t>(i * 4)], *q = &boxes[static_cast<size_t>(j * 4)];
        const float h = std::min(p[2], q[2]) - std::max(p[0], q[0]), w = std::min(p[3], q[3]) - std::max(p[1], q[1]);
        if (h <= 0 || w <= 0 || std::isinf(p[3]) || std::isinf(q[3])) continue;
        const float both = h * w, all = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - both;
        keep &= !(both / all > 0.4f);
      }
      if (!keep) continue;
      kept.push_back(i);
      for (int64_t v : {int64_t{0}, c, i}) want.push_back(v);
    }
  }
  CHECK(out[0].values<int64_t>() == want);
}

TEST(boxes_are_suppressed_one_by_one) {
  check_suppression(0, 0, 60);
  check_suppression(0, 500, 60);
  check_suppression(700, 0, 60);
  check_suppression(1000, 1000, 6);
  check_suppression(-40, 30, 18);
}

TEST(non_zero_of_many_elements) {
  auto x = test::random_floats(3 * 50000, 4);
  for (float& v : x) v = v > 0.9f ? v : 0;
  std::vector<Buffer> in(1), out(1);
  in[0] = test::tensor<float>({3, 50000}, x);
  out[0].tensor.dtype = DType::kInt64;
  test::run_kernel("nonZero", {}, in, out);
  const auto got = out[0].values<int64_t>();
  size_t at = 0;
  for (int64_t i = 0; i < 150000; ++i)
    if (x[static_cast<size_t>(i)] != 0) {
      CHECK_EQ(got[at], i / 50000);
      CHECK_EQ(got[got.size() / 2 + at], i % 50000);
      ++at;
    }
  CHECK_EQ(at * 2, got.size());
}

TEST(gather_of_any_layout) {
  const std::vector<int64_t> dims = {4, 6, 5};
  const auto x = test::random_floats(120, 5);
  const std::vector<int64_t> indices = {5, -6, 0, 3};
  for (const auto& order : std::vector<std::vector<int>>{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
    Attributes a;
    a.set("axis", 1.0);
    std::vector<Buffer> in(2), out(1);
    in[0] = test::tensor<float>(dims, x, order), in[1] = test::tensor<int64_t>({2, 2}, indices);
    out[0].make(DType::kFloat32, {4, 2, 2, 5}, {3, 0, 1, 2});
    test::run_kernel("gather", a, in, out);
    const auto got = out[0].values<float>();
    for (int64_t i = 0; i < 80; ++i) {
      const int64_t index = indices[static_cast<size_t>(i / 5 % 4)];
      CHECK_EQ(got[static_cast<size_t>(i)], x[static_cast<size_t>((i / 20 * 6 + (index < 0 ? index + 6 : index)) * 5 + i % 5)]);
    }
  }
}

TEST(packed_and_narrow_elements_are_gathered) {
  std::vector<Buffer> in(2), out(1);
  in[0].make(DType::kInt4, {5});
  const uint8_t packed[] = {0x21, 0x43, 0x05};
  std::memcpy(in[0].tensor.data, packed, 3);
  in[1] = test::tensor<int64_t>({3}, {4, 0, 3});
  out[0].make(DType::kInt4, {3});
  test::run_kernel("gather", {}, in, out);
  CHECK_EQ(out[0].tensor.as<uint8_t>()[0], 0x15);
  CHECK_EQ(out[0].tensor.as<uint8_t>()[1], 0x04);
}

TEST(indices_out_of_range_are_refused) {
  const char* const kernels[] = {"gather", "gatherElements", "gatherND", "scatterElements", "scatterND"};
  for (const char* kernel : kernels)
    for (int64_t bad : {3, -4}) {
      std::vector<Buffer> in(3), out(1);
      in[0] = test::tensor<float>({3}, {1, 2, 3});
      in[1] = std::string(kernel).ends_with("ND") ? test::tensor<int64_t>({1, 1}, {bad}) : test::tensor<int64_t>({1}, {bad});
      in[2] = test::tensor<float>({1}, {9});
      if (std::string(kernel).starts_with("gather")) in.pop_back();
      out[0].make(DType::kFloat32, {std::string(kernel).starts_with("gather") ? 1 : 3});
      CHECK_THROWS(test::run_kernel(kernel, {}, in, out), Error);
    }
}
