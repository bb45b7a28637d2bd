// Transposed convolution by phases, and the kernels of every dtype, against plain loops.
#include "kernels/contraction/pack.h"
#include "support/contraction.h"
#include "tape/tape.h"

using namespace test;

namespace {

std::vector<double> numbers(const std::vector<int64_t>& v) { return {v.begin(), v.end()}; }

struct Conv {
  int64_t batch, channels, outputs, group;                             // of all groups
  int64_t in[2], kernel[2], stride[2], dilation[2], pad[2], extra[2];  // extra: output padding less the pad at the end
  bool transposed;
  int64_t out(int i) const {
    if (transposed) return (in[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - pad[i] + extra[i];
    return (in[i] + 2 * pad[i] - (kernel[i] - 1) * dilation[i] - 1) / stride[i] + 1;
  }
  tw::Attributes attributes() const {
    tw::Attributes a;
    a.set("kernelShape", numbers({kernel[0], kernel[1]}));
    a.set("strides", numbers({stride[0], stride[1]}));
    a.set("dilations", numbers({dilation[0], dilation[1]}));
    a.set("pads", numbers({pad[0], pad[1], pad[0], pad[1]}));
    a.set("group", double(group));
    return a;
  }
  std::vector<int64_t> weight_dims() const {
    if (transposed) return {channels, outputs / group, kernel[0], kernel[1]};
    return {outputs, channels / group, kernel[0], kernel[1]};
  }
};

Conv random_conv(bool transposed) {
  for (;;) {
    Conv c;
    c.transposed = transposed;
    c.batch = pick(1, 2), c.group = pick(0, 2) ? 1 : pick(2, 3);
    c.channels = c.group * pick(1, 9), c.outputs = c.group * pick(1, 40);
    bool valid = true;
    for (int i = 0; i < 2; ++i) {
      c.in[i] = pick(1, 7), c.kernel[i] = pick(1, 5), c.stride[i] = pick(1, 4),
      c.dilation[i] = pick(0, 1) ? 1 : pick(1, 3);
      c.pad[i] = pick(0, 2), c.extra[i] = pick(-2, 2);
      valid &= c.in[i] + 2 * c.pad[i] >= (c.kernel[i] - 1) * c.dilation[i] + 1 && c.out(i) >= 1;
    }
    if (valid) return c;
  }
}

// Sums in `Sum`, by scattering (transposed) or gathering.
template <typename T, typename Sum>
std::vector<Sum> reference(const Conv& c, const Array<T>& x, const Array<T>& w, const Array<T>* bias) {
  const int64_t oh = c.out(0), ow = c.out(1), gc = c.channels / c.group, go = c.outputs / c.group;
  std::vector<Sum> y(static_cast<size_t>(c.batch * c.outputs * oh * ow));
  const auto at = [&](int64_t n, int64_t m, int64_t h, int64_t v) -> Sum& {
    return y[static_cast<size_t>(((n * c.outputs + m) * oh + h) * ow + v)];
  };
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t m = 0; m < c.outputs; ++m) {
      if (bias) {
        for (int64_t i = 0; i < oh * ow; ++i) (&at(n, m, 0, 0))[i] = static_cast<Sum>((*bias)[m]);
      }
      for (int64_t k = 0; k < gc; ++k) {
        const int64_t channel = m / go * gc + k;
        for (int64_t a = 0; a < c.kernel[0]; ++a) {
          for (int64_t b = 0; b < c.kernel[1]; ++b) {
            const Sum weight = c.transposed
                                   ? static_cast<Sum>(w[((channel * go + m % go) * c.kernel[0] + a) * c.kernel[1] + b])
                                   : static_cast<Sum>(w[((m * gc + k) * c.kernel[0] + a) * c.kernel[1] + b]);
            for (int64_t p = 0; p < (c.transposed ? c.in[0] : oh); ++p) {
              for (int64_t q = 0; q < (c.transposed ? c.in[1] : ow); ++q) {
                const int64_t h = p * c.stride[0] + a * c.dilation[0] - c.pad[0],
                              v = q * c.stride[1] + b * c.dilation[1] - c.pad[1];
                if (h < 0 || v < 0 || h >= (c.transposed ? oh : c.in[0]) || v >= (c.transposed ? ow : c.in[1]))
                  continue;
                const int64_t ih = c.transposed ? p : h, iw = c.transposed ? q : v;
                at(n, m, c.transposed ? h : p, c.transposed ? v : q) +=
                    static_cast<Sum>(x[((n * c.channels + channel) * c.in[0] + ih) * c.in[1] + iw]) * weight;
              }
            }
          }
        }
      }
    }
  }
  return y;
}

template <typename T, typename Out, typename Sum>
void check_conv(const Conv& c, const std::string& kernel, const std::string& isa, bool packed = false,
                double tolerance = 0) {
  const bool odd = pick(0, 1);
  const std::vector<int> last = {0, 2, 3, 1};
  Array<T> x({c.batch, c.channels, c.in[0], c.in[1]}, odd ? random_order(4) : last, odd ? 2 : 0), w(c.weight_dims()),
      bias({c.outputs});
  Array<Out> y({c.batch, c.outputs, c.out(0), c.out(1)}, odd ? random_order(4) : last), scale({c.outputs, 1, c.out(1)});
  x.randomize(), w.randomize(), bias.randomize(), scale.randomize();
  const bool with_bias = pick(0, 1), with_tape = pick(0, 1) && std::is_floating_point_v<T>;
  tw::Attributes attributes = c.attributes();
  tw::Tensor weights = w.tensor, absent;
  absent.rank = -1;
  std::vector<float> blob;
  if (packed) {
    attributes.set("packed", 1.0);
    const size_t bytes = tw::packed_bytes("convTranspose", attributes, c.weight_dims());
    blob.resize(bytes / 4 + 32);
    float* aligned = blob.data() + (64 - reinterpret_cast<uintptr_t>(blob.data()) % 64) / 4;
    tw::ThreadPool pool(1);
    tw::pack("convTranspose", attributes, w.tensor, reinterpret_cast<std::byte*>(aligned), pool);
    weights = {};
    weights.data = aligned, weights.dtype = tw::DType::kUInt8, weights.rank = 1,
    weights.dims[0] = static_cast<int64_t>(bytes), weights.strides[0] = 1;
  }
  std::vector<tw::Tensor> inputs = {x.tensor, weights, with_bias ? bias.tensor : absent};
  if (with_tape) {
    const std::string f = sizeof(T) == 8 ? "f64" : "f32";
    attributes.set("tape", std::vector<std::string>{"in " + f + " 0", "in " + f + " 1", "mul " + f + " 0 1"});
    attributes.set("results", std::vector<double>{2});
    inputs.push_back(scale.tensor);
  }
  run_kernel(kernel, attributes, inputs, {y.tensor}, static_cast<int>(pick(1, 3)));
  const auto expected = reference<T, Sum>(c, x, w, with_bias ? &bias : nullptr);
  for (int64_t i = 0; i < y.tensor.count(); ++i) {
    Sum want = expected[static_cast<size_t>(i)];
    if (with_tape) want *= static_cast<Sum>(scale[(i / (c.out(0) * c.out(1)) % c.outputs) * c.out(1) + i % c.out(1)]);
    const bool same = tolerance ? std::fabs(double(y[i]) - double(want)) <= tolerance * (1 + std::fabs(double(want)))
                                : y[i] == static_cast<Out>(want);
    if (!same) {
      CHECK_MSG(false, isa + " " + kernel + (packed ? " packed" : "") + ": element " + show(i) + " is " + show(y[i]) +
                           ", expected " + show(want));
      return;
    }
  }
  CHECK(y.surroundings_intact());
}

template <typename T, typename U, typename Out>
void check_dot() {
  const int64_t m = pick(1, 20), k = pick(0, 30), n = pick(1, 70);
  Array<T> a({2, m, k}, random_order(3));
  Array<U> b({2, k, n}, random_order(3));
  Array<Out> y({2, m, n}, random_order(3), 1);
  a.randomize(), b.randomize();
  tw::Attributes attributes;
  attributes.set("lhs", std::string("bmk"));
  attributes.set("rhs", std::string("bkn"));
  attributes.set("out", std::string("bmn"));
  run_kernel("dot_any", attributes, {a.tensor, b.tensor}, {y.tensor}, static_cast<int>(pick(1, 3)));
  for (int64_t i = 0; i < y.tensor.count(); ++i) {
    const int64_t batch = i / (m * n), row = i / n % m, column = i % n;
    Out sum = 0;
    for (int64_t j = 0; j < k; ++j)
      sum += static_cast<Out>(a[(batch * m + row) * k + j]) * static_cast<Out>(b[(batch * k + j) * n + column]);
    const bool same = std::is_integral_v<Out> ? y[i] == sum : std::fabs(double(y[i] - sum)) <= 1e-13 * double(k + 1);
    if (!same) {
      CHECK_MSG(false, "element " + show(i) + " is " + show(y[i]) + ", expected " + show(sum));
      return;
    }
  }
  CHECK(y.surroundings_intact());
}

void convert(tw::DType from, const void* src, tw::DType to, void* dst, int64_t count) {
  const tw::TapeOperand operand{src, from, 1};
  const tw::TapeResult result{dst, to, 1};
  tw::Tape::parse({"in f32 0"}, {0})->run(count, {&operand, 1}, {&result, 1});
}

}  // namespace

TEST(transposed_convolution) {
  on_every_isa([](const std::string& isa) {
    for (int i = 0; i < 80; ++i)
      check_conv<float, float, double>(random_conv(true), "conv_transpose_f32", isa, i % 2, 3e-5);
  });
}

TEST(convolution_of_other_types) {
  for (int i = 0; i < 40; ++i) {
    const bool transposed = i % 2;
    const std::string kernel = transposed ? "conv_transpose_any" : "conv_any";
    check_conv<double, double, double>(random_conv(transposed), kernel, "any", false, 1e-12);
    check_conv<int8_t, int32_t, int32_t>(random_conv(transposed), kernel, "any");
    check_conv<uint8_t, int32_t, int32_t>(random_conv(transposed), kernel, "any");
    check_conv<int64_t, int64_t, int64_t>(random_conv(transposed), kernel, "any");
  }
}

TEST(products_of_other_types) {
  for (int i = 0; i < 20; ++i) {
    check_dot<double, double, double>();
    check_dot<int8_t, int8_t, int32_t>();
    check_dot<uint8_t, int8_t, int32_t>();
    check_dot<int32_t, int32_t, int32_t>();
    check_dot<int64_t, int64_t, int64_t>();
    check_dot<uint64_t, uint64_t, uint64_t>();
  }
}

TEST(half_precision_is_summed_in_single) {
  // Whole numbers small enough to be exact in float16.
  constexpr int64_t kM = 5, kK = 40, kN = 9;
  std::vector<float> a(kM * kK), b(kK * kN);
  for (auto* list : {&a, &b}) {
    for (float& x : *list) x = static_cast<float>(pick(-3, 3));
  }
  Array<uint16_t> ha({kM, kK}), hb({kK, kN}), hy({kM, kN});
  ha.tensor.dtype = hb.tensor.dtype = hy.tensor.dtype = tw::DType::kFloat16;
  convert(tw::DType::kFloat32, a.data(), tw::DType::kFloat16, ha.tensor.data, kM * kK);
  convert(tw::DType::kFloat32, b.data(), tw::DType::kFloat16, hb.tensor.data, kK * kN);
  tw::Attributes attributes;
  attributes.set("lhs", std::string("mk"));
  attributes.set("rhs", std::string("kn"));
  attributes.set("out", std::string("mn"));
  run_kernel("dot_any", attributes, {ha.tensor, hb.tensor}, {hy.tensor}, 2);
  std::vector<float> y(kM * kN);
  convert(tw::DType::kFloat16, hy.tensor.data, tw::DType::kFloat32, y.data(), kM * kN);
  for (int64_t m = 0; m < kM; ++m) {
    for (int64_t n = 0; n < kN; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < kK; ++k) sum += a[static_cast<size_t>(m * kK + k)] * b[static_cast<size_t>(k * kN + n)];
      CHECK_EQ(y[static_cast<size_t>(m * kN + n)], sum);
    }
  }
}
