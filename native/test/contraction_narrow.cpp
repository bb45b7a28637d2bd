// dot_narrow and conv_narrow: bfloat16 against sums in double precision of the same rounded numbers, 8-bit integers
// exactly, at every instruction set level with and without the extensions beside it; and the tile registers' tiles on
// tiles in plain C++.
#include <cmath>

#include "base/convert.h"
#include "base/isa_extensions.h"
#include "kernels/contraction/pack.h"
#include "kernels/contraction/tile.h"
#include "support/contraction.h"

#define TW_PORTABLE_TILES 1
#define TW_ISA_NAMESPACE isa_portable_tiles
#define TW_ISA_LEVEL 0
#include "kernels/contraction/amx_word_tile.h"

using namespace test;

namespace {

template <typename F>
void on_every_kernel(F&& body) {
  on_every_isa([&](const std::string& isa) {
    for (const bool extensions : {true, false}) {
      tw::limit_extensions(extensions);
      body(isa + (extensions ? "" : " without extensions"));
    }
  });
  tw::limit_extensions(true);
}

float number(uint16_t bits) { return tw::decode_bfloat16(bits); }

template <typename T>
double value(const Array<T>& a, int64_t i) {
  return a[i];
}
double bfloat(const Array<uint16_t>& a, int64_t i) { return number(a[i]); }

void randomize_bfloat(Array<uint16_t>& a) {
  a.tensor.dtype = tw::DType::kBFloat16;
  for (int64_t i = 0; i < a.tensor.count(); ++i) a[i] = static_cast<uint16_t>(tw::encode_bfloat16(uniform()));
}

template <typename T>
void randomize_bytes(Array<T>& a) {
  for (int64_t i = 0; i < a.tensor.count(); ++i)
    a[i] = static_cast<T>(pick(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

// Packed weights in a tensor of bytes.
struct Packed {
  std::vector<std::byte> memory;
  tw::Tensor tensor;
  Packed(const std::string& tactic, tw::Attributes& attributes, const tw::Tensor& weights) {
    attributes.set("packed", 1.0);
    attributes.set("weights", std::string(tw::info(weights.dtype).name));
    const size_t bytes = tw::packed_bytes(tactic, attributes, {weights.dims, static_cast<size_t>(weights.rank)});
    memory.resize(bytes + 64);
    tensor.data = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
    tensor.dtype = tw::DType::kUInt8, tensor.rank = 1;
    tensor.dims[0] = static_cast<int64_t>(bytes), tensor.strides[0] = 1;
    tw::ThreadPool pool(2);
    tw::pack(tactic, attributes, weights, tensor.as<std::byte>(), pool);
  }
};

struct DotCase {
  int64_t batch, m, n, k;
  bool packed, odd_layouts, transposed;
  std::string text() const {
    return std::to_string(batch) + "x" + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) +
           (packed ? " packed" : "") + (odd_layouts ? " strided" : "") + (transposed ? " transposed" : "");
  }
  std::vector<int> order() const { return odd_layouts ? random_order(3) : std::vector<int>{}; }
  tw::Attributes attributes() const {
    tw::Attributes a;
    a.set("lhs", std::string("bmk"));
    a.set("rhs", std::string(transposed ? "bnk" : "bkn"));
    a.set("out", std::string("bmn"));
    return a;
  }
  std::vector<int64_t> rhs() const {
    return transposed ? std::vector<int64_t>{batch, n, k} : std::vector<int64_t>{batch, k, n};
  }
  template <typename A, typename B>
  double sum(int64_t i, double* magnitude, A&& a, B&& b) const {
    const int64_t at = i / (m * n), row = i / n % m, column = i % n;
    double total = 0;
    for (int64_t j = 0; j < k; ++j) {
      const double term =
          a((at * m + row) * k + j) * (transposed ? b((at * n + column) * k + j) : b((at * k + j) * n + column));
      total += term, *magnitude += std::fabs(term);
    }
    return total;
  }
};

DotCase random_dot(int i) {
  return {i % 3 == 0 ? 2 : 1, pick(1, i % 5 ? 33 : 70), pick(1, 90), i % 7 ? pick(0, 70) : pick(1000, 2300),
          i % 2 == 0,         i % 4 >= 2,               i % 3 == 1};
}

// Epilogues: none, a bias and a clip, a residual, an activation of a biased sum, and a product, which only a tape does.
void check_bfloat_dot(const DotCase& c, int epilogue, bool narrow_out, const std::string& isa) {
  Array<uint16_t> a({c.batch, c.m, c.k}, c.order(), c.odd_layouts ? 1 : 0), b(c.rhs(), c.order()),
      residual({c.batch, c.m, c.n}, c.order()), narrow({c.batch, c.m, c.n}, c.order(), c.odd_layouts ? 3 : 0);
  Array<float> bias({c.n}), wide({c.batch, c.m, c.n}, c.order());
  randomize_bfloat(a), randomize_bfloat(b), randomize_bfloat(residual), bias.randomize();
  narrow.tensor.dtype = tw::DType::kBFloat16;
  tw::Attributes attributes = c.attributes();
  tw::Tensor weights = b.tensor, absent;
  absent.rank = -1;
  std::unique_ptr<Packed> packed;
  if (c.packed) {
    packed = std::make_unique<Packed>("dot.narrow", attributes, b.tensor);
    weights = packed->tensor;
  }
  std::vector<tw::Tensor> inputs = {a.tensor, weights, absent};
  std::vector<std::string> tape;
  if (epilogue == 1) tape = {"in f32 0", "in f32 1", "add f32 0 1", "const f32 0", "max f32 2 3"};
  if (epilogue == 2) tape = {"in f32 0", "in f32 1", "add f32 0 1"};
  if (epilogue == 3) tape = {"in f32 0", "in f32 1", "add f32 0 1", "sigmoid f32 2", "mul f32 2 3"};
  if (epilogue == 4) tape = {"in f32 0", "in f32 1", "mul f32 0 1"};
  if (!tape.empty()) {
    attributes.set("tape", tape);
    attributes.set("results", std::vector<double>{static_cast<double>(tape.size()) - 1});
    inputs.push_back(epilogue == 1 || epilogue == 3 ? bias.tensor : residual.tensor);
  }
  run_kernel("dot_narrow", attributes, inputs, {narrow_out ? narrow.tensor : wide.tensor},
             static_cast<int>(pick(1, 3)));
  for (int64_t i = 0; i < narrow.tensor.count(); ++i) {
    double magnitude = 1;
    double want =
        c.sum(i, &magnitude, [&](int64_t j) { return bfloat(a, j); }, [&](int64_t j) { return bfloat(b, j); });
    const double biased = want + bias[i % c.n];
    if (epilogue == 1) want = std::fmax(0, biased);
    if (epilogue == 2) want += bfloat(residual, i);
    if (epilogue == 3) want = biased / (1 + std::exp(-biased));
    if (epilogue == 4) want *= bfloat(residual, i);
    const double got = narrow_out ? number(narrow[i]) : wide[i];
    const double tolerance = 4e-6 * magnitude + (narrow_out ? std::fabs(want) / 256 : 0);
    if (!(std::fabs(got - want) <= tolerance)) {
      CHECK_MSG(false, isa + " " + c.text() + " epilogue " + std::to_string(epilogue) + ": element " +
                           std::to_string(i) + " is " + show(got) + ", expected " + show(want));
      return;
    }
  }
  CHECK_MSG(narrow_out ? narrow.surroundings_intact() : wide.surroundings_intact(), isa + " " + c.text());
}

template <typename A, typename B>
void check_integer_dot(const DotCase& c, bool requantized, const std::string& isa) {
  Array<A> a({c.batch, c.m, c.k}, c.order(), c.odd_layouts ? 1 : 0);
  Array<B> b(c.rhs(), c.order());
  Array<int32_t> bias({c.n}), sums({c.batch, c.m, c.n}, c.order());
  Array<uint8_t> levels({c.batch, c.m, c.n}, c.order());
  Array<float> scale({c.n});
  randomize_bytes(a), randomize_bytes(b), bias.randomize();
  for (int64_t i = 0; i < c.n; ++i) scale[i] = 1e-3f * (2 + uniform());
  tw::Attributes attributes = c.attributes();
  tw::Tensor weights = b.tensor;
  std::unique_ptr<Packed> packed;
  if (c.packed) {
    packed = std::make_unique<Packed>("dot.narrow", attributes, b.tensor);
    weights = packed->tensor;
  }
  std::vector<tw::Tensor> inputs = {a.tensor, weights, bias.tensor};
  attributes.set("biasSign", requantized ? -1.0 : 1.0);
  attributes.set("sums", std::string(requantized ? "float32" : "int32"));
  if (requantized) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "mul f32 0 1", "round f32 2",
                                                    "const f32 100", "add f32 3 4", "const f32 0", "max f32 5 6",
                                                    "const f32 255", "min f32 7 8", "convert i64 f32 9"});
    attributes.set("results", std::vector<double>{10});
    inputs.push_back(scale.tensor);
  }
  run_kernel("dot_narrow", attributes, inputs, {requantized ? levels.tensor : sums.tensor},
             static_cast<int>(pick(1, 3)));
  for (int64_t i = 0; i < sums.tensor.count(); ++i) {
    double unused = 0;
    const double sum =
        c.sum(i, &unused, [&](int64_t j) { return value(a, j); }, [&](int64_t j) { return value(b, j); });
    const auto whole = static_cast<int32_t>(sum) + (requantized ? -1 : 1) * bias[i % c.n];
    const float level = std::nearbyint(static_cast<float>(whole) * scale[i % c.n]) + 100;
    const int32_t want = requantized ? static_cast<int32_t>(std::fmin(255.0f, std::fmax(0.0f, level))) : whole;
    const int32_t got = requantized ? levels[i] : sums[i];
    if (got != want) {
      CHECK_MSG(false, isa + " " + c.text() + " of " + std::string(tw::info(a.tensor.dtype).name) + " and " +
                           std::string(tw::info(b.tensor.dtype).name) + ": element " + std::to_string(i) + " is " +
                           show(got) + ", expected " + show(want));
      return;
    }
  }
  CHECK_MSG(requantized ? levels.surroundings_intact() : sums.surroundings_intact(), isa + " " + c.text());
}

struct ConvCase {
  int64_t batch, groups, channels, outputs, size, kernel, stride, dilation, pad;
  int64_t out() const { return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1; }
};

template <typename T, typename W, typename Out, typename Load>
void check_conv(const ConvCase& c, bool packed, bool channels_last, const std::string& algorithm, tw::DType dtype,
                double tolerance, const std::string& isa, Load&& load) {
  const std::vector<int> order = channels_last ? std::vector<int>{0, 2, 3, 1} : std::vector<int>{};
  Array<T> x({c.batch, c.groups * c.channels, c.size, c.size}, order);
  Array<W> w({c.groups * c.outputs, c.channels, c.kernel, c.kernel});
  Array<Out> y({c.batch, c.groups * c.outputs, c.out(), c.out()}, order);
  if constexpr (std::is_same_v<T, uint16_t>) {
    randomize_bfloat(x), randomize_bfloat(w);
  } else {
    randomize_bytes(x), randomize_bytes(w);
  }
  CHECK(x.tensor.dtype == dtype);
  tw::Attributes attributes;
  attributes.set("kernelShape", std::vector<double>(2, static_cast<double>(c.kernel)));
  attributes.set("strides", std::vector<double>(2, static_cast<double>(c.stride)));
  attributes.set("dilations", std::vector<double>(2, static_cast<double>(c.dilation)));
  attributes.set("pads", std::vector<double>(4, static_cast<double>(c.pad)));
  attributes.set("group", static_cast<double>(c.groups));
  attributes.set("algorithm", algorithm);
  attributes.set("sums", std::string(std::is_same_v<Out, int32_t> ? "int32" : "float32"));
  tw::Tensor weights = w.tensor;
  std::unique_ptr<Packed> blob;
  if (packed) {
    blob = std::make_unique<Packed>("conv.narrow", attributes, w.tensor);
    weights = blob->tensor;
  }
  run_kernel("conv_narrow", attributes, {x.tensor, weights}, {y.tensor}, static_cast<int>(pick(1, 3)));
  int64_t i = 0;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t o = 0; o < c.groups * c.outputs; ++o) {
      for (int64_t h = 0; h < c.out(); ++h) {
        for (int64_t v = 0; v < c.out(); ++v, ++i) {
          double sum = 0, magnitude = 1;
          for (int64_t ch = 0; ch < c.channels; ++ch) {
            for (int64_t p = 0; p < c.kernel; ++p) {
              for (int64_t q = 0; q < c.kernel; ++q) {
                const int64_t row = h * c.stride - c.pad + p * c.dilation;
                const int64_t column = v * c.stride - c.pad + q * c.dilation;
                if (row < 0 || row >= c.size || column < 0 || column >= c.size) continue;
                const int64_t channel = o / c.outputs * c.channels + ch;
                const double term = load(x[((n * c.groups * c.channels + channel) * c.size + row) * c.size + column]) *
                                    load(w[((o * c.channels + ch) * c.kernel + p) * c.kernel + q]);
                sum += term, magnitude += std::fabs(term);
              }
            }
          }
          if (!(std::fabs(double(y[i]) - sum) <= tolerance * magnitude)) {
            CHECK_MSG(false, isa + " conv " + algorithm + ": element " + std::to_string(i) + " is " + show(y[i]) +
                                 ", expected " + show(sum));
            return;
          }
        }
      }
    }
  }
  CHECK(y.surroundings_intact());
}

}  // namespace

TEST(products_of_bfloat16) {
  on_every_kernel([](const std::string& isa) {
    for (int i = 0; i < 60; ++i) check_bfloat_dot(random_dot(i), i % 5, i % 3 != 0, isa);
  });
}

TEST(bfloat16_tiles_of_every_height) {
  on_every_kernel([](const std::string& isa) {
    for (int64_t m = 1; m <= 15; ++m) {
      for (const int64_t n : {1, 16, 17, 32, 33})
        check_bfloat_dot({1, m, n, pick(1, 40), true, false, false}, 0, m % 2, isa);
    }
  });
}

TEST(products_of_bytes) {
  on_every_kernel([](const std::string& isa) {
    for (int i = 0; i < 30; ++i) {
      check_integer_dot<uint8_t, int8_t>(random_dot(i), i % 3 == 0, isa);
      check_integer_dot<int8_t, int8_t>(random_dot(i), i % 3 == 1, isa);
      check_integer_dot<uint8_t, uint8_t>(random_dot(i), i % 3 == 2, isa);
      check_integer_dot<int8_t, uint8_t>(random_dot(i), i % 3 == 0, isa);
    }
  });
}

TEST(narrow_convolutions) {
  on_every_kernel([](const std::string& isa) {
    for (int i = 0; i < 24; ++i) {
      ConvCase c{pick(1, 2),  i % 4 == 3 ? 2 : 1, pick(1, 20), pick(1, 40), pick(5, 12),
                 pick(1, 3), pick(1, 2),         pick(1, 2),  0};
      if (c.kernel > 1) c.pad = pick(0, 2);
      const bool packed = i % 2 == 0, last = i % 3 != 0;
      const std::string algorithm = i % 5 == 4 ? "nchw" : "indirect";
      check_conv<uint16_t, uint16_t, float>(c, packed, last, algorithm, tw::DType::kBFloat16, 4e-6, isa,
                                            [](uint16_t bits) { return double(number(bits)); });
      check_conv<uint8_t, int8_t, int32_t>(c, packed, last, algorithm, tw::DType::kUInt8, 0, isa,
                                           [](auto n) { return double(n); });
      check_conv<int8_t, uint8_t, int32_t>(c, packed, last, algorithm, tw::DType::kInt8, 0, isa,
                                           [](auto n) { return double(n); });
    }
  });
}

TEST(narrow_products_that_do_not_fit) {
  Array<uint16_t> a({2, 3}), b({3, 4}), y({2, 4});
  for (auto* t : {&a, &b, &y}) t->tensor.dtype = tw::DType::kBFloat16;
  tw::Attributes attributes;
  attributes.set("lhs", std::string("mk"));
  attributes.set("rhs", std::string("kn"));
  attributes.set("out", std::string("mn"));
  Array<float> floats({3, 4}), bias({5});
  const auto rejects = [&](const tw::Attributes& with, std::vector<tw::Tensor> inputs) {
    bool thrown = false;
    try {
      run_kernel("dot_narrow", with, inputs, {y.tensor}, 1);
    } catch (const tw::Error&) {
      thrown = true;
    }
    CHECK(thrown);
  };
  rejects(attributes, {a.tensor, floats.tensor});
  rejects(attributes, {floats.tensor, b.tensor});
  rejects(attributes, {a.tensor, b.tensor, bias.tensor});
  tw::Attributes packed = attributes;
  packed.set("packed", 1.0);
  packed.set("weights", std::string("bfloat16"));
  Array<uint8_t> few({64});
  rejects(packed, {a.tensor, few.tensor});
  packed.set("weights", std::string("int8"));
  rejects(packed, {a.tensor, few.tensor});
  tw::Attributes whole = attributes;
  whole.set("sums", std::string("int32"));
  rejects(whole, {a.tensor, b.tensor});
}

// The tiles of the tile registers against those of the lowest level, on the same panels.
TEST(tiles_of_tile_registers) {
  using namespace tw::isa_portable_tiles;
  for (const tw::Words words : {tw::Words::kBFloat16, tw::Words::kInt8}) {
    for (int i = 0; i < 60; ++i) {
      const int rows = static_cast<int>(pick(1, 32)), columns = static_cast<int>(pick(1, 32));
      const int64_t k = pick(1, 50), lda = k + pick(0, 3), ldb = tw::panel_width(columns);
      std::vector<uint8_t> a(static_cast<size_t>(4 * lda * rows)), b(static_cast<size_t>(4 * ldb * k));
      for (auto* bytes : {&a, &b}) {
        for (size_t j = 0; j < bytes->size(); j += 2) {
          const uint16_t bits = words == tw::Words::kInt8 ? static_cast<uint16_t>(pick(0, 65535))
                                                          : static_cast<uint16_t>(tw::encode_bfloat16(uniform()));
          std::memcpy(bytes->data() + j, &bits, 2);
        }
      }
      std::vector<float> c[2];
      for (int kernel = 0; kernel < 2; ++kernel) {
        c[kernel].assign(static_cast<size_t>(rows * 40), 1.0f);
        float* pointers[tw::kMaxWordRows];
        for (int r = 0; r < rows; ++r) pointers[r] = c[kernel].data() + r * 40;
        tw::TileArgs args{};
        args.lda = lda, args.ldb = ldb, args.k = k, args.c = pointers + 0, args.column = 3;
        args.columns = columns, args.accumulate = i % 2;
        args.b = reinterpret_cast<const float*>(b.data());
        tw::limit_isa(tw::Isa::kV2);
        const tw::TileKernel lowest = tw::tile_kernel(words);
        tw::limit_isa(tw::Isa::kAmx);
        const int step = kernel ? rows : lowest.rows;
        for (int r = 0; r < rows; r += step) {
          args.rows = std::min(step, rows - r);
          args.c = pointers + r;
          args.a = reinterpret_cast<const float*>(a.data()) + r * lda;
          if (!kernel) {
            lowest.tile(args);
          } else if (words == tw::Words::kBFloat16) {
            run_amx_tile<BFloat16Pairs>(args);
          } else {
            run_amx_tile<ByteQuadruples>(args);
          }
        }
      }
      CHECK(portable_tiles().uses_of_unshaped == 0);
      leave_tiles();
      for (size_t j = 0; j < c[0].size(); ++j) {
        const bool same = words == tw::Words::kInt8 ? std::memcmp(&c[0][j], &c[1][j], 4) == 0
                                                    : std::fabs(c[0][j] - c[1][j]) <= 1e-5f * static_cast<float>(k);
        if (!same) {
          CHECK_MSG(false, "a tile of " + std::to_string(rows) + " x " + std::to_string(columns) + ", k = " +
                               std::to_string(k) + ": " + show(c[1][j]) + ", expected " + show(c[0][j]));
          return;
        }
      }
    }
  }
}
