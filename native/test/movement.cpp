// Copying, padding, slicing and the other movements against plain loops over logical indices.
#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

#include "base/convert.h"
#include "base/isa.h"
#include "kernels/copy.h"
#include "support/array.h"
#include "support/check.h"

using namespace tw;
using test::Array;
using test::run_kernel;

namespace {

// Any way of laying the dims out: permuted, with gaps, reversed axes.
Array random_view(DType dtype, const std::vector<int64_t>& dims, std::mt19937& random, bool plain) {
  Array a(dtype, dims);
  if (!plain) a.lay_out(random);
  return a;
}

std::vector<int64_t> random_dims(std::mt19937& random, int most_rank) {
  std::vector<int64_t> dims(random() % (most_rank + 1));
  const int64_t sizes[] = {1, 2, 3, 5, 8, 17, 33};
  for (auto& d : dims) d = sizes[random() % 7];
  return dims;
}

}  // namespace

TEST(copies_between_any_views) {
  std::mt19937 random(1);
  ThreadPool pool(3);
  const DType dtypes[] = {DType::kInt8, DType::kFloat16, DType::kFloat32, DType::kFloat64, DType::kComplex128};
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    for (int round = 0; round < 400; ++round) {
      const auto dims = random_dims(random, 4);
      const DType dtype = dtypes[random() % 5];
      Array from = random_view(dtype, dims, random, random() % 3 == 0),
            to = random_view(dtype, dims, random, random() % 3 == 0);
      from.randomize(random);
      if (random() % 4 == 0)
        for (int i = 0; i < from.view.rank; ++i)
          if (random() % 2) from.view.strides[i] = 0;
      const auto untouched = to.bytes;
      copy_tensor(pool, from.view, to.view);
      CHECK_MSG(to.same_elements(from), std::string(info(dtype).name) + " round " + std::to_string(round));
      CHECK_MSG(to.gaps_equal(untouched), "wrote between the elements");
    }
  }
  limit_isa(Isa::kAmx);
}

TEST(copies_large_transposes_with_threads) {
  std::mt19937 random(2);
  ThreadPool pool(4);
  for (DType dtype : {DType::kUInt8, DType::kBFloat16, DType::kFloat32, DType::kInt64})
    for (auto dims : {std::vector<int64_t>{2, 67, 35, 41}, {1, 3, 211, 97}, {301, 207}, {40000, 3}}) {
      Array from(dtype, dims), to(dtype, dims);
      from.randomize(random);
      to.channels_last();
      copy_tensor(pool, from.view, to.view);
      CHECK(to.same_elements(from));
      Array back(dtype, dims);
      copy_tensor(pool, to.view, back.view);
      CHECK(back.bytes == from.bytes);
    }
}

TEST(copies_packed_elements) {
  std::mt19937 random(3);
  ThreadPool pool(2);
  for (DType dtype : {DType::kInt4, DType::kUInt2, DType::kFloat4E2M1}) {
    Array from(dtype, {3, 5}), to(dtype, {5, 3}), same(dtype, {3, 5});
    from.randomize(random);
    copy_tensor(pool, from.view, same.view);
    CHECK(same.same_elements(from));
    Tensor transposed = from.view;
    std::swap(transposed.dims[0], transposed.dims[1]);
    std::swap(transposed.strides[0], transposed.strides[1]);
    copy_tensor(pool, transposed, to.view);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 5; ++j) CHECK_EQ(to.code({j, i}), from.code({i, j}));
  }
}

TEST(different_shapes_do_not_copy) {
  ThreadPool pool(1);
  Array a(DType::kFloat32, {2, 3}), b(DType::kFloat32, {3, 2}), c(DType::kInt32, {2, 3});
  CHECK_THROWS(copy_tensor(pool, a.view, b.view), Error);
  CHECK_THROWS(copy_tensor(pool, a.view, c.view), Error);
}

TEST(concat_along_every_axis) {
  std::mt19937 random(4);
  for (DType dtype : {DType::kFloat32, DType::kInt4, DType::kBool})
    for (int axis = -3; axis < 3; ++axis) {
      const int a = (axis + 3) % 3;
      std::vector<Array> parts;
      std::vector<int64_t> dims = {3, 4, 5};
      int64_t total = 0;
      for (int64_t size : {2, 0, 7, 1}) {
        dims[a] = size;
        total += size;
        parts.push_back(random_view(dtype, dims, random, dtype == DType::kInt4));
        parts.back().randomize(random);
      }
      dims[a] = total;
      Array y(dtype, dims);
      Attributes attributes;
      attributes.set("axis", static_cast<double>(axis));
      std::vector<Tensor> inputs;
      for (auto& p : parts) inputs.push_back(p.view);
      run_kernel("concat", attributes, inputs, {y.view});
      y.each([&](std::vector<int64_t> index) {
        auto inside = index;
        for (auto& p : parts) {
          if (inside[a] < p.view.dims[a]) {
            CHECK_EQ(y.code(index), p.code(inside));
            return;
          }
          inside[a] -= p.view.dims[a];
        }
      });
    }
}

TEST(fill_any_view) {
  std::mt19937 random(5);
  for (DType dtype : {DType::kFloat32, DType::kUInt4, DType::kInt64}) {
    Array value(dtype, {}), y = random_view(dtype, {4, 5, 3}, random, dtype == DType::kUInt4);
    value.randomize(random);
    run_kernel("fill", {}, {value.view}, {y.view});
    y.each([&](std::vector<int64_t> index) { CHECK_EQ(y.code(index), value.code({})); });
  }
}

namespace {

// numpy.pad's rules for one position outside the axis.
int64_t numpy_source(int64_t i, int64_t n, const std::string& mode) {
  while (i < 0 || i >= n) {
    if (mode == "edge" || n == 1) return i < 0 ? 0 : n - 1;
    if (mode == "wrap")
      i += i < 0 ? n : -n;
    else
      i = i < 0 ? -i : 2 * (n - 1) - i;
  }
  return i;
}

}  // namespace

TEST(pad_in_every_mode) {
  std::mt19937 random(6);
  for (const char* mode : {"constant", "reflect", "edge", "wrap"})
    for (int round = 0; round < 60; ++round) {
      const DType dtype = round % 5 == 0 ? DType::kInt4 : round % 2 ? DType::kFloat32 : DType::kUInt16;
      std::vector<int64_t> dims = random_dims(random, 3), low, high, out;
      for (int64_t d : dims) {
        low.push_back(static_cast<int64_t>(random() % 9) - 2);
        high.push_back(static_cast<int64_t>(random() % 9) - 2);
        if (d + low.back() + high.back() < 0) high.back() = 0, low.back() = 0;
        out.push_back(d + low.back() + high.back());
      }
      Array x = random_view(dtype, dims, random, dtype == DType::kInt4), y(dtype, out), value(dtype, {});
      x.randomize(random);
      value.randomize(random);
      Attributes attributes;
      attributes.set("mode", std::string(mode));
      const bool dynamic = round % 3 == 0, with_value = round % 4 != 0;
      Array l = Array::integers(low), h = Array::integers(high);
      Tensor omitted;
      omitted.rank = -1;
      omitted.dtype = dtype;
      if (dynamic) {
        auto pads = low;
        pads.insert(pads.end(), high.begin(), high.end());
        Array p = Array::integers(pads);
        Tensor unknown = y.view;
        unknown.rank = -1, unknown.data = nullptr;
        auto result =
            run_kernel("padDynamic", attributes, {x.view, p.view, with_value ? value.view : omitted}, {unknown});
        CHECK_EQ(result[0].view.rank, y.view.rank);
        CHECK(std::equal(out.begin(), out.end(), result[0].view.dims));
        y = std::move(result[0]);
      } else {
        run_kernel("pad", attributes, {x.view, l.view, h.view, with_value ? value.view : omitted}, {y.view});
      }
      y.each([&](std::vector<int64_t> index) {
        auto source = index;
        bool inside = true;
        for (size_t a = 0; a < dims.size(); ++a) {
          source[a] -= low[a];
          inside &= source[a] >= 0 && source[a] < dims[a];
          if (std::string(mode) != "constant") source[a] = numpy_source(source[a], dims[a], mode);
        }
        const auto expected = inside || std::string(mode) != "constant" ? x.code(source)
                              : with_value                              ? value.code({})
                                                                        : Array(dtype, {}).code({});
        CHECK_MSG(y.code(index) == expected, mode);
      });
    }
}

namespace {

Array run_unknown(const std::string& kernel, const std::vector<Tensor>& inputs, const Attributes& attributes = {}) {
  Tensor y = inputs[0];
  y.rank = -1, y.data = nullptr;
  return std::move(run_kernel(kernel, attributes, inputs, {y})[0]);
}
std::vector<int64_t> dims_of(const Array& a) { return {a.view.dims, a.view.dims + a.view.rank}; }
using Dims = std::vector<int64_t>;

}  // namespace

TEST(reshape_dynamic) {
  std::mt19937 random(7);
  Array x = random_view(DType::kFloat32, {2, 3, 4}, random, false);
  x.randomize(random);
  const auto reshaped = [&](const Dims& target, bool allow_zero = false) {
    Attributes attributes;
    attributes.set("allowzero", allow_zero ? 1.0 : 0.0);
    Array shape = Array::integers(target);
    return run_unknown("reshapeDynamic", {x.view, shape.view}, attributes);
  };
  CHECK(dims_of(reshaped({4, -1})) == (Dims{4, 6}));
  CHECK(dims_of(reshaped({0, -1})) == (Dims{2, 12}));
  const Array y = reshaped({24});
  int64_t i = 0;
  x.each([&](std::vector<int64_t> index) { CHECK_EQ(y.code({i++}), x.code(index)); });
  for (const Dims& bad : {Dims{5, -1}, Dims{-1, -1}, Dims{2, 3}, Dims{-2, 12}, Dims{1, 1, 1, 0}})
    CHECK_THROWS(reshaped(bad), Error);
  CHECK_THROWS(reshaped({0, 24}, true), Error);
  Array empty(DType::kFloat32, {0, 3}), shape = Array::integers({3, 0});
  Attributes attributes;
  attributes.set("allowzero", 1.0);
  CHECK(dims_of(run_unknown("reshapeDynamic", {empty.view, shape.view}, attributes)) == (Dims{3, 0}));
  Array thin(DType::kInt8, {2, 1, 3, 1}), one = Array::integers({-1}), places = Array::integers({0, -1});
  CHECK(dims_of(run_unknown("squeezeDynamic", {thin.view})) == (Dims{2, 3}));
  CHECK(dims_of(run_unknown("squeezeDynamic", {thin.view, one.view})) == (Dims{2, 1, 3}));
  CHECK(dims_of(run_unknown("unsqueezeDynamic", {x.view, places.view})) == (Dims{1, 2, 3, 4, 1}));
}

TEST(expand_and_tile_dynamic) {
  std::mt19937 random(8);
  for (DType dtype : {DType::kFloat32, DType::kInt4}) {
    Array x = random_view(dtype, {3, 1, 2}, random, dtype == DType::kInt4), shape = Array::integers({4, 1, 5, 2}),
          repeats = Array::integers({2, 5, 3});
    x.randomize(random);
    const Array expanded = run_unknown("expandDynamic", {x.view, shape.view}),
                tiled = run_unknown("tileDynamic", {x.view, repeats.view});
    CHECK(dims_of(expanded) == (Dims{4, 3, 5, 2}));
    expanded.each([&](std::vector<int64_t> i) { CHECK_EQ(expanded.code(i), x.code({i[1], 0, i[3]})); });
    CHECK(dims_of(tiled) == (Dims{6, 5, 6}));
    tiled.each([&](std::vector<int64_t> i) { CHECK_EQ(tiled.code(i), x.code({i[0] % 3, 0, i[2] % 2})); });
    Array bad = Array::integers({3, 4, 5}), negative = Array::integers({1, -1, 1}),
          huge = Array::integers({int64_t{1} << 40, int64_t{1} << 40, 2});
    CHECK_THROWS(run_unknown("expandDynamic", {x.view, bad.view}), Error);
    CHECK_THROWS(run_unknown("tileDynamic", {x.view, negative.view}), Error);
    CHECK_THROWS(run_unknown("tileDynamic", {x.view, huge.view}), Error);
  }
}

TEST(slice_dynamic_follows_python) {
  std::mt19937 random(9);
  Array x = random_view(DType::kInt32, {7, 6}, random, false);
  x.randomize(random);
  for (int round = 0; round < 500; ++round) {
    const int64_t far[] = {INT64_MIN, INT64_MAX, -100, 100};
    const auto bound = [&] { return random() % 5 == 0 ? far[random() % 4] : static_cast<int64_t>(random() % 20) - 10; };
    const int64_t steps[] = {1, 2, 3, -1, -2, -7, 100, INT64_MIN, INT64_MAX};
    const int64_t start = bound(), end = bound(), step = steps[random() % 9];
    const int axis = static_cast<int>(random() % 2);
    // Python's own words: clamp, then count up or down.
    const __int128 n = x.view.dims[axis];
    const auto clamped = [&](__int128 i) {
      return i < 0 ? (i += n, i < 0 ? (step < 0 ? -1 : 0) : i) : i >= n ? (step < 0 ? n - 1 : n) : i;
    };
    std::vector<int64_t> picked;
    for (__int128 i = clamped(start); step > 0 ? i < clamped(end) : i > clamped(end); i += step)
      picked.push_back(static_cast<int64_t>(i));
    Array s = Array::integers({start}), e = Array::integers({end}),
          a = Array::integers({random() % 2 ? axis : axis - 2}), t = Array::integers({step});
    const Array y = run_unknown("sliceDynamic", {x.view, s.view, e.view, a.view, t.view});
    CHECK_EQ(y.view.dims[axis], static_cast<int64_t>(picked.size()));
    CHECK_EQ(y.view.dims[1 - axis], x.view.dims[1 - axis]);
    y.each([&](std::vector<int64_t> i) {
      auto source = i;
      source[axis] = picked[static_cast<size_t>(i[axis])];
      CHECK_EQ(y.code(i), x.code(source));
    });
  }
  Array zero = Array::integers({0}), ten = Array::integers({10}), far = Array::integers({2});
  CHECK_THROWS(run_unknown("sliceDynamic", {x.view, zero.view, ten.view, zero.view, zero.view}), Error);
  CHECK_THROWS(run_unknown("sliceDynamic", {x.view, zero.view, ten.view, far.view}), Error);
}

TEST(range_of_integers_and_floats) {
  const auto integers = [](int64_t start, int64_t limit, int64_t delta) {
    Array a = Array::integers({start}), b = Array::integers({limit}), c = Array::integers({delta});
    for (Array* s : {&a, &b, &c}) s->view.rank = 0;
    const Array y = run_unknown("range", {a.view, b.view, c.view});
    return std::vector<int64_t>(y.view.as<int64_t>(), y.view.as<int64_t>() + y.view.dims[0]);
  };
  CHECK(integers(1, 10, 3) == (Dims{1, 4, 7}));
  CHECK(integers(10, 1, -4) == (Dims{10, 6, 2}));
  CHECK(integers(1, 1, 1).empty());
  CHECK(integers(5, 1, 1).empty());
  CHECK(integers(INT64_MAX - 3, INT64_MAX, 2) == (Dims{INT64_MAX - 3, INT64_MAX - 1}));
  CHECK_THROWS(integers(0, 1, 0), Error);
  CHECK_THROWS(integers(INT64_MIN, INT64_MAX, 1), Error);
  Array a(DType::kFloat32, {}), b(DType::kFloat32, {}), c(DType::kFloat32, {});
  *a.view.as<float>() = 1, *b.view.as<float>() = 2, *c.view.as<float>() = 0.3f;
  const Array y = run_unknown("range", {a.view, b.view, c.view});
  CHECK_EQ(y.view.dims[0], 4);
  for (int i = 0; i < 4; ++i) CHECK_EQ(y.view.as<float>()[i], static_cast<float>(1.0 + i * static_cast<double>(0.3f)));
}
