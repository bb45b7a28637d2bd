// Every convolution tactic against a plain loop in double precision: kernels, strides, dilations, pads, groups, one to
// three spatial dims, channels-last, row-major and odd layouts, side operands, outputs that are slots of larger
// tensors.
#include "kernels/contraction/pack.h"
#include "support/contraction.h"

using namespace test;

namespace {

enum class Layout { kChannelsLast, kRowMajor, kOdd };

struct Case {
  std::string algorithm;
  int64_t batch, channels, outputs;  // in all groups
  std::vector<int64_t> in, kernel, strides, dilations, pads;
  int64_t group = 1;
  bool bias = true, packed = true;
  Layout x_layout = Layout::kChannelsLast, y_layout = Layout::kChannelsLast;
  enum {
    kPlain,
    kRelu,
    kResidualRelu,
    kTape,
    kSigmoid,
    kSwish,
    kHardSigmoid,
    kResidualHardSwish,
    kGelu
  } epilogue = kPlain;
  int threads = 2;
  double tolerance = 3e-6;  // of the sum of magnitudes; for winograd of all a tile's sums can be

  int64_t out_size(size_t i) const {
    const int64_t span = in[i] + pads[i] + pads[i + in.size()] - dilations[i] * (kernel[i] - 1) - 1;
    return span < 0 ? 0 : span / strides[i] + 1;
  }
  std::string text() const {
    std::string s =
        algorithm + " n=" + show(batch) + " c=" + show(channels) + " m=" + show(outputs) + " group=" + show(group);
    const auto list = [&](const char* name, const std::vector<int64_t>& v) {
      s += std::string(" ") + name + "=";
      for (const int64_t x : v) s += show(x) + ",";
    };
    list("in", in), list("kernel", kernel), list("strides", strides), list("dilations", dilations), list("pads", pads);
    return s + " layouts " + show(static_cast<int>(x_layout)) + show(static_cast<int>(y_layout)) + " epilogue " +
           show(static_cast<int>(epilogue)) + (bias ? " bias" : "") + (packed ? " packed" : "");
  }
};

Array<float> make(const std::vector<int64_t>& dims, Layout layout) {
  std::vector<int> order;
  if (layout == Layout::kChannelsLast) {
    order.push_back(0);
    for (size_t i = 2; i < dims.size(); ++i) order.push_back(static_cast<int>(i));
    order.push_back(1);
  } else if (layout == Layout::kOdd) {
    order = random_order(dims.size());
  }
  return Array<float>(dims, order, layout == Layout::kOdd ? pick(0, 5) : 0);
}

std::vector<double> numbers(const std::vector<int64_t>& v) { return {v.begin(), v.end()}; }

void check(const Case& c, const std::string& isa) {
  const size_t spatial = c.in.size();
  std::vector<int64_t> x_dims = {c.batch, c.channels}, w_dims = {c.outputs, c.channels / c.group},
                       y_dims = {c.batch, c.outputs};
  for (size_t i = 0; i < spatial; ++i)
    x_dims.push_back(c.in[i]), w_dims.push_back(c.kernel[i]), y_dims.push_back(c.out_size(i));
  Array<float> x = make(x_dims, c.x_layout), w(w_dims), y = make(y_dims, c.y_layout), bias({c.outputs}),
               residual = make(y_dims, c.y_layout);
  x.randomize(), w.randomize(), bias.randomize(), residual.randomize();

  tw::Attributes attributes;
  attributes.set("algorithm", c.algorithm);
  attributes.set("kernelShape", numbers(c.kernel));
  attributes.set("strides", numbers(c.strides));
  attributes.set("dilations", numbers(c.dilations));
  attributes.set("pads", numbers(c.pads));
  attributes.set("group", double(c.group));
  tw::Tensor weights = w.tensor, absent;
  absent.rank = -1;
  std::vector<std::byte> blob;
  if (c.packed) {
    attributes.set("packed", 1.0);
    const size_t bytes = tw::packed_bytes("conv." + c.algorithm, attributes, w_dims);
    blob.resize(bytes + 64);
    std::byte* aligned = blob.data() + (64 - reinterpret_cast<uintptr_t>(blob.data()) % 64);
    tw::ThreadPool pool(2);
    tw::pack("conv." + c.algorithm, attributes, w.tensor, aligned, pool);
    weights = {};
    weights.data = aligned;
    weights.dtype = tw::DType::kUInt8;
    weights.rank = 1;
    weights.dims[0] = static_cast<int64_t>(bytes);
    weights.strides[0] = 1;
  }
  std::vector<tw::Tensor> inputs = {x.tensor, weights, c.bias ? bias.tensor : absent};
  if (c.epilogue == Case::kRelu) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "const f32 0", "max f32 0 1"});
    attributes.set("results", std::vector<double>{2});
  } else if (c.epilogue == Case::kResidualRelu) {
    attributes.set("tape",
                   std::vector<std::string>{"in f32 0", "in f32 1", "add f32 0 1", "const f32 0", "max f32 2 3"});
    attributes.set("results", std::vector<double>{4});
    inputs.push_back(residual.tensor);
  } else if (c.epilogue == Case::kTape) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "in f32 1", "mul f32 0 1"});
    attributes.set("results", std::vector<double>{2});
    inputs.push_back(residual.tensor);
  } else if (c.epilogue == Case::kGelu) {
    attributes.set("tape", std::vector<std::string>{"in f32 0", "const f32 1.4142135", "div f32 0 1", "erf f32 2",
                                                    "const f32 1", "add f32 3 4", "mul f32 0 5", "const f32 0.5",
                                                    "mul f32 6 7"});
    attributes.set("results", std::vector<double>{8});
  } else if (c.epilogue >= Case::kSigmoid) {
    const bool residual_too = c.epilogue == Case::kResidualHardSwish, hard = c.epilogue >= Case::kHardSigmoid;
    std::vector<std::string> tape = {"in f32 0"};
    if (residual_too) tape.insert(tape.end(), {"in f32 1", "add f32 0 1"});
    const std::string x = std::to_string(tape.size() - 1);
    const auto last = [&] { return std::to_string(tape.size() - 1); };
    if (hard) {
      for (const auto& [op, number] : {std::pair{"mul", "0.25"}, {"add", "0.5"}, {"max", "0"}, {"min", "1"}}) {
        const std::string before = last();
        tape.push_back(std::string("const f32 ") + number);
        tape.push_back(std::string(op) + " f32 " + last() + " " + before);
      }
    } else {
      tape.push_back("sigmoid f32 " + x);
    }
    if (c.epilogue == Case::kSwish || residual_too) tape.push_back("mul f32 " + last() + " " + x);
    attributes.set("tape", tape);
    attributes.set("results", std::vector<double>{static_cast<double>(tape.size() - 1)});
    if (residual_too) inputs.push_back(residual.tensor);
  }
  run_kernel("conv_f32", attributes, inputs, {y.tensor}, c.threads);

  // Three spatial dims, the missing outer ones of extent one.
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1},
          pad[3] = {0, 0, 0};
  for (size_t i = 0; i < spatial; ++i) {
    const size_t j = 3 - spatial + i;
    in[j] = c.in[i], out[j] = c.out_size(i), kernel[j] = c.kernel[i], stride[j] = c.strides[i],
    dilation[j] = c.dilations[i], pad[j] = c.pads[i];
  }
  const int64_t group_channels = c.channels / c.group, group_outputs = c.outputs / c.group;
  int64_t at = 0;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t m = 0; m < c.outputs; ++m) {
      for (int64_t od = 0; od < out[0]; ++od) {
        for (int64_t oh = 0; oh < out[1]; ++oh) {
          for (int64_t ow = 0; ow < out[2]; ++ow, ++at) {
            double sum = c.bias ? bias[m] : 0, magnitude = 1;
            for (int64_t k = 0; k < group_channels; ++k) {
              for (int64_t d = 0; d < kernel[0]; ++d) {
                const int64_t id = od * stride[0] + d * dilation[0] - pad[0];
                if (id < 0 || id >= in[0]) continue;
                for (int64_t h = 0; h < kernel[1]; ++h) {
                  const int64_t ih = oh * stride[1] + h * dilation[1] - pad[1];
                  if (ih < 0 || ih >= in[1]) continue;
                  for (int64_t v = 0; v < kernel[2]; ++v) {
                    const int64_t iw = ow * stride[2] + v * dilation[2] - pad[2];
                    if (iw < 0 || iw >= in[2]) continue;
                    const int64_t channel = m / group_outputs * group_channels + k;
                    const double term =
                        double(x[(((n * c.channels + channel) * in[0] + id) * in[1] + ih) * in[2] + iw]) *
                        w[(((m * group_channels + k) * kernel[0] + d) * kernel[1] + h) * kernel[2] + v];
                    sum += term, magnitude += std::fabs(term);
                  }
                }
              }
            }
            if (c.algorithm.starts_with("winograd")) magnitude = 1 + 2.25 * double(c.channels);
            if (c.epilogue == Case::kRelu) sum = std::fmax(0, sum);
            if (c.epilogue == Case::kResidualRelu) sum = std::fmax(0, sum + residual[at]);
            if (c.epilogue == Case::kTape) sum *= residual[at];
            if (c.epilogue == Case::kResidualHardSwish) sum += residual[at];
            const double soft = 1 / (1 + std::exp(-sum)), hard = std::fmin(1, std::fmax(0, 0.25 * sum + 0.5));
            if (c.epilogue == Case::kSigmoid) sum = soft;
            if (c.epilogue == Case::kSwish) sum *= soft;
            if (c.epilogue == Case::kGelu) sum *= 0.5 * (1 + std::erf(sum / std::sqrt(2.0)));
            if (c.epilogue == Case::kHardSigmoid) sum = hard;
            if (c.epilogue == Case::kResidualHardSwish) sum *= hard;
            if (!(std::fabs(y[at] - sum) <= c.tolerance * magnitude)) {
              CHECK_MSG(false, isa + " " + c.text() + ": element " + show(at) + " is " + show(y[at]) + ", expected " +
                                   show(sum));
              return;
            }
          }
        }
      }
    }
  }
  CHECK_MSG(y.surroundings_intact(), isa + " " + c.text());
}

// Root of the mean squared error over the standard deviation, on data like a trained layer's: unit variance in and out.
double winograd_error(const std::string& algorithm) {
  constexpr int64_t kChannels = 128, kSize = 16;
  Array<float> x({1, kChannels, kSize, kSize}, {0, 2, 3, 1}), w({16, kChannels, 3, 3}),
      y({1, 16, kSize - 2, kSize - 2}, {0, 2, 3, 1});
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < x.tensor.count(); ++i) x[i] = normal(random_engine());
  for (int64_t i = 0; i < w.tensor.count(); ++i) w[i] = normal(random_engine()) / std::sqrt(9.0f * kChannels);
  tw::Attributes attributes;
  attributes.set("algorithm", algorithm);
  attributes.set("kernelShape", std::vector<double>{3, 3});
  attributes.set("packed", 1.0);
  tw::ThreadPool pool(1);
  std::vector<float> blob(tw::packed_bytes("conv." + algorithm, attributes, {w.tensor.dims, 4}) / 4 + 16);
  float* aligned = blob.data() + (64 - reinterpret_cast<uintptr_t>(blob.data()) % 64) / 4;
  tw::pack("conv." + algorithm, attributes, w.tensor, reinterpret_cast<std::byte*>(aligned), pool);
  tw::Tensor weights;
  weights.data = aligned, weights.dtype = tw::DType::kUInt8, weights.rank = 1, weights.strides[0] = 1;
  weights.dims[0] = static_cast<int64_t>(tw::packed_bytes("conv." + algorithm, attributes, {w.tensor.dims, 4}));
  run_kernel("conv_f32", attributes, {x.tensor, weights}, {y.tensor}, 1);
  double error = 0, square = 0;
  for (int64_t m = 0, at = 0; m < 16; ++m) {
    for (int64_t h = 0; h < kSize - 2; ++h) {
      for (int64_t v = 0; v < kSize - 2; ++v, ++at) {
        double sum = 0;
        for (int64_t c = 0; c < kChannels; ++c) {
          for (int64_t i = 0; i < 9; ++i)
            sum += double(x[(c * kSize + h + i / 3) * kSize + v + i % 3]) * w[(m * kChannels + c) * 9 + i];
        }
        error += (y[at] - sum) * (y[at] - sum), square += sum * sum;
      }
    }
  }
  return std::sqrt(error / square);
}

Case random_case(const std::string& algorithm, size_t spatial) {
  Case c;
  c.algorithm = algorithm;
  c.batch = pick(1, 2);
  c.group = pick(0, 2) ? 1 : pick(1, 4);
  c.channels = c.group * pick(1, pick(0, 1) ? 5 : 24);
  c.outputs = c.group * pick(1, pick(0, 1) ? 9 : 50);
  for (size_t i = 0; i < spatial; ++i) {
    c.kernel.push_back(pick(1, spatial == 3 ? 3 : 5));
    c.strides.push_back(pick(1, 3));
    c.dilations.push_back(pick(0, 2) ? 1 : pick(1, 3));
    c.in.push_back(pick(1, spatial == 3 ? 7 : spatial == 1 ? 40 : 13));
  }
  for (size_t i = 0; i < 2 * spatial; ++i) c.pads.push_back(pick(0, 3));
  for (size_t i = 0; i < spatial; ++i) {
    while (c.out_size(i) < 1) ++c.in[i];
  }
  c.bias = pick(0, 1);
  c.x_layout = static_cast<Layout>(pick(0, 2));
  c.y_layout = static_cast<Layout>(pick(0, 2));
  c.epilogue = static_cast<decltype(c.epilogue)>(pick(0, 8));
  c.threads = static_cast<int>(pick(1, 3));
  return c;
}

}  // namespace

TEST(random_products) {
  on_every_isa([](const std::string& isa) {
    for (const char* algorithm : {"indirect", "nchw"}) {
      for (int i = 0; i < 60; ++i) {
        Case c = random_case(algorithm, static_cast<size_t>(1 + i % 3));
        c.packed = i % 4 != 0;
        check(c, isa);
      }
    }
  });
}

TEST(layers_of_networks) {
  on_every_isa([](const std::string& isa) {
    // The first layer of a residual network, channels-last and row-major.
    Case stem{"indirect", 1, 3, 40, {30, 34}, {7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}};
    stem.epilogue = Case::kRelu;
    check(stem, isa);
    stem.algorithm = "nchw", stem.x_layout = Layout::kRowMajor;
    check(stem, isa);
    // Sums long enough for several blocks, over padded lines of taps.
    check({"indirect", 1, 130, 70, {6, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}}, isa);
    check({"indirect", 2, 130, 33, {7, 6}, {3, 3}, {2, 2}, {2, 2}, {2, 2, 2, 2}}, isa);
    check({"nchw", 1, 130, 70, {6, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1, true, true, Layout::kRowMajor}, isa);
    // Pointwise, with and without strides.
    check({"indirect", 2, 64, 70, {9, 5}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}, isa);
    check({"indirect", 2, 64, 70, {9, 5}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}}, isa);
    check({"indirect",
           2,
           64,
           64,
           {9, 5},
           {1, 1},
           {1, 1},
           {1, 1},
           {0, 0, 0, 0},
           1,
           true,
           true,
           Layout::kRowMajor,
           Layout::kRowMajor},
          isa);
  });
}

// Kernels so wide that most taps meet nothing but padding.
TEST(wide_dilations) {
  on_every_isa([](const std::string& isa) {
    const Case layers[] = {
        {"indirect", 1, 96, 70, {14, 13}, {3, 3}, {1, 1}, {12, 12}, {12, 12, 12, 12}},
        {"indirect", 2, 64, 33, {9, 17}, {3, 5}, {1, 2}, {7, 5}, {7, 11, 8, 9}},
        {"indirect", 1, 128, 96, {14, 14}, {3, 3}, {1, 1}, {24, 24}, {24, 24, 24, 24}},
        {"indirect", 2, 130, 96, {40}, {5}, {1}, {19}, {38, 38}},
        {"indirect", 1, 64, 40, {5, 6, 7}, {3, 3, 3}, {1, 1, 1}, {4, 5, 6}, {4, 5, 6, 4, 5, 6}},
        // A border from which no tap reaches the input.
        {"indirect", 1, 64, 64, {8, 9}, {3, 3}, {1, 1}, {1, 7}, {9, 9, 9, 9}},
        {"indirect", 1, 192, 66, {12, 12}, {3, 3}, {1, 1}, {10, 10}, {10, 10, 10, 10}, 2},
    };
    for (Case c : layers) {
      for (const auto epilogue : {Case::kPlain, Case::kResidualRelu, Case::kTape}) {
        c.epilogue = epilogue;
        for (const Layout y : {Layout::kChannelsLast, Layout::kRowMajor}) {
          c.y_layout = y;
          check(c, isa);
        }
      }
    }
  });
}

TEST(depthwise) {
  on_every_isa([](const std::string& isa) {
    for (int i = 0; i < 60; ++i) {
      Case c = random_case("depthwise", static_cast<size_t>(1 + i % 2));
      c.x_layout = Layout::kChannelsLast;
      c.group = c.channels = c.outputs = pick(0, 1) ? pick(1, 40) : pick(60, 300);
      c.packed = true;
      if (i % 3 == 0) {  // the forms with code of their own
        for (size_t j = 0; j < c.kernel.size(); ++j) {
          c.kernel[j] = 3 + 2 * pick(0, 2), c.strides[j] = c.kernel[j] == 7 ? 1 : pick(1, 2);
          c.dilations[j] = c.strides[j] == 1 ? pick(1, 3) : 1;
          while (c.out_size(j) < 1) ++c.in[j];
        }
      }
      check(c, isa);
    }
    for (const int64_t size : {3, 4, 7, 10, 14, 15, 25}) {
      Case c{"depthwise", 1, 72, 72, {5, size}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 72};
      c.epilogue = Case::kTape;
      check(c, isa);
    }
  });
}

TEST(winograd) {
  on_every_isa([](const std::string& isa) {
    for (const char* algorithm : {"winograd2", "winograd4"}) {
      for (int i = 0; i < 20; ++i) {
        Case c = random_case(algorithm, 2);
        c.group = 1;
        c.channels = pick(1, 70);
        c.kernel = {3, 3}, c.strides = {1, 1}, c.dilations = {1, 1};
        for (size_t j = 0; j < 2; ++j) {
          c.in[j] = pick(1, 14);
          while (c.out_size(j) < 1) ++c.in[j];
        }
        c.x_layout = Layout::kChannelsLast;
        c.packed = true;
        c.tolerance = 1.5e-6;
        check(c, isa);
      }
      // Enough tiles for several blocks.
      Case c{algorithm, 1, 9, 33, {50, 47}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
      c.epilogue = Case::kResidualRelu, c.tolerance = 1.5e-6, c.threads = 3;
      check(c, isa);
    }
  });
}

TEST(winograd_is_accurate) {
  on_every_isa([](const std::string& isa) {
    for (const char* algorithm : {"winograd2", "winograd4"}) {
      const double error = winograd_error(algorithm);
      CHECK_MSG(error < 3e-6, isa + " " + algorithm + ": " + show(error));
    }
  });
}

TEST(empty_batches) {
  on_every_isa([](const std::string& isa) {
    check({"indirect", 0, 4, 5, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}}, isa);
  });
}
