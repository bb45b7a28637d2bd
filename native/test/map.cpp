// The map kernel on random broadcast views of every layout against a plain loop over logical indices.
#include <cmath>
#include <functional>
#include <random>

#include "base/isa.h"
#include "support/array.h"
#include "support/check.h"

using namespace tw;
using test::Array;
using test::run_kernel;

namespace {

Attributes program(const std::vector<std::string>& tape, const std::vector<double>& results) {
  Attributes a;
  a.set("tape", tape);
  a.set("results", results);
  return a;
}

// Small whole numbers, exact in every dtype used here.
void fill(Array& a, std::mt19937& random) {
  a.each([&](std::vector<int64_t> i) {
    const int v = static_cast<int>(random() % 8);
    const int64_t at = a.offset(i);
    switch (a.view.dtype) {
      case DType::kFloat32:
        a.view.as<float>()[at] = static_cast<float>(v);
        break;
      case DType::kFloat16:
        a.view.as<uint16_t>()[at] =
            static_cast<uint16_t>(encode_small_float<kFloat16Format>(static_cast<float>(v), false));
        break;
      case DType::kInt32:
        a.view.as<int32_t>()[at] = v;
        break;
      case DType::kUInt8:
        a.view.as<uint8_t>()[at] = static_cast<uint8_t>(v);
        break;
      case DType::kUInt4:
        set_packed<4>(a.view.as<uint8_t>(), at, static_cast<uint32_t>(v));
        break;
      default:
        a.view.as<int64_t>()[at] = v;
        break;
    }
  });
}
double value(const Array& a, const std::vector<int64_t>& i) {
  const int64_t at = a.offset(i);
  switch (a.view.dtype) {
    case DType::kFloat32:
      return a.view.as<float>()[at];
    case DType::kFloat16:
      return decode_small_float<kFloat16Format>(a.view.as<uint16_t>()[at]);
    case DType::kInt32:
      return a.view.as<int32_t>()[at];
    case DType::kUInt8:
      return a.view.as<uint8_t>()[at];
    case DType::kUInt4:
      return get_packed<4>(a.view.as<uint8_t>(), at);
    default:
      return static_cast<double>(a.view.as<int64_t>()[at]);
  }
}
bool is_float(DType t) { return t == DType::kFloat32 || t == DType::kFloat16; }

}  // namespace

TEST(random_views_match_a_plain_loop) {
  std::mt19937 random(21);
  const DType dtypes[] = {DType::kFloat32, DType::kFloat16, DType::kInt32, DType::kUInt8, DType::kUInt4, DType::kInt64};
  const int64_t sizes[] = {1, 2, 3, 7, 20, 65};
  for (int round = 0; round < 600; ++round) {
    std::vector<int64_t> dims(random() % 5);
    for (auto& d : dims) d = sizes[random() % 6];
    if (std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()) > 60000) continue;
    std::vector<Array> in;
    std::vector<std::string> tape;
    for (int k = 0; k < 3; ++k) {
      auto own = dims;
      if (random() % 2)
        for (auto& d : own)
          if (random() % 3 == 0) d = 1;
      const DType dtype = dtypes[random() % 6];
      in.emplace_back(dtype, own);
      if (dtype != DType::kUInt4 && random() % 2) in.back().lay_out(random);
      fill(in.back(), random);
      tape.push_back(std::string(is_float(dtype) ? "in f32 " : "in i64 ") + std::to_string(k));
    }
    // (a * b + c) and max(a, c) in f32; the second stored as an integer.
    for (int k = 0; k < 3; ++k)
      tape.push_back(is_float(in[k].view.dtype) ? "neg f32 " + std::to_string(k)
                                                : "convert f32 i64 " + std::to_string(k));
    tape.insert(tape.end(), {"mul f32 3 4", "add f32 6 5", "max f32 3 5"});
    Array y(DType::kFloat32, dims), z(DType::kInt32, dims);
    if (random() % 2) y.lay_out(random);
    if (random() % 2) z.lay_out(random);
    const auto gaps = y.bytes;
    run_kernel("map", program(tape, {7, 8}), {in[0].view, in[1].view, in[2].view}, {y.view, z.view}, 1 + round % 3);
    bool ok = true;
    y.each([&](std::vector<int64_t> i) {
      double v[3];
      for (int k = 0; k < 3; ++k) {
        auto own = i;
        for (size_t a = 0; a < own.size(); ++a)
          if (in[k].view.dims[a] == 1) own[a] = 0;
        v[k] = value(in[k], own) * (is_float(in[k].view.dtype) ? -1 : 1);
      }
      ok &= value(y, i) == v[0] * v[1] + v[2] && value(z, i) == std::max(v[0], v[2]);
    });
    CHECK_MSG(ok, std::to_string(round));
    CHECK_MSG(y.gaps_equal(gaps), "wrote between the elements");
  }
}

TEST(packed_operands_and_results) {
  std::mt19937 random(22);
  for (auto dims : {std::vector<int64_t>{1, 1, 1}, {3, 5, 7}, {40, 33, 11}}) {
    Array x(DType::kUInt4, dims), row(DType::kUInt4, {1, 1, dims[2]}), y(DType::kUInt4, dims);
    fill(x, random), fill(row, random);
    run_kernel("map", program({"in i64 0", "in i64 1", "add i64 0 1"}, {2}), {x.view, row.view}, {y.view});
    y.each([&](std::vector<int64_t> i) { CHECK_EQ(value(y, i), value(x, i) + value(row, {0, 0, i[2]})); });
  }
}

TEST(large_maps_in_pieces) {
  std::mt19937 random(23);
  for (auto dims : {std::vector<int64_t>{300000}, {3, 100001}, {70000, 3}, {600, 500}}) {
    Array x(DType::kFloat32, dims), bias(DType::kFloat32, std::vector<int64_t>(dims.size(), 1)), y(DType::kUInt8, dims);
    if (dims.size() == 2) bias = Array(DType::kFloat32, {1, dims[1]});
    fill(x, random), fill(bias, random);
    run_kernel("map", program({"in f32 0", "in f32 1", "lt f32 0 1"}, {2}), {x.view, bias.view}, {y.view}, 4);
    bool ok = true;
    const auto* p = x.view.as<float>();
    for (int64_t i = 0; i < y.view.count(); ++i)
      ok &= y.view.as<uint8_t>()[i] == (p[i] < bias.view.as<float>()[dims.size() == 2 ? i % dims[1] : 0]);
    CHECK(ok);
  }
}

TEST(empty_and_scalar_maps) {
  Array x(DType::kFloat32, {0, 5}), y(DType::kFloat32, {0, 5}), s(DType::kFloat32, {}), t(DType::kFloat32, {});
  *s.view.as<float>() = 3;
  run_kernel("map", program({"in f32 0", "neg f32 0"}, {1}), {x.view}, {y.view});
  run_kernel("map", program({"in f32 0", "neg f32 0"}, {1}), {s.view}, {t.view});
  CHECK_EQ(*t.view.as<float>(), -3.0f);
}

TEST(wrong_programs_are_invalid_plans) {
  Array x(DType::kFloat32, {4}), y(DType::kFloat32, {4}), other(DType::kFloat32, {2, 2});
  CHECK_THROWS(run_kernel("map", program({"in f32 0", "neg f32 1"}, {1}), {x.view}, {y.view}), Error);
  CHECK_THROWS(run_kernel("map", program({"in f32 1"}, {0}), {x.view}, {y.view}), Error);
  CHECK_THROWS(run_kernel("map", program({"in f32 0"}, {0}), {other.view}, {y.view}), Error);
}
