// Pooling, resizing and regions of interest: random geometry against plain loops, and channels-last against row-major.
#include <array>
#include <cmath>
#include <limits>

#include "base/isa.h"
#include "support/check.h"
#include "support/kernels.h"

using namespace tw;
using test::Buffer;

namespace {

template <typename F>
void at_each_level(F&& fn) {
  for (int level = 0; level <= static_cast<int>(detected_isa()); ++level) {
    limit_isa(static_cast<Isa>(level));
    fn();
  }
  limit_isa(Isa::kAmx);
}

std::vector<double> numbers(const std::vector<int64_t>& list) { return {list.begin(), list.end()}; }

const std::vector<int> kChannelsLast = {0, 2, 3, 1};

}  // namespace

TEST(pool_of_random_geometry) {
  at_each_level([] {
    std::mt19937 random(11);
    for (int round = 0; round < 120; ++round) {
      const int64_t n = 1 + random() % 2, c = 1 + random() % 40;
      std::vector<int64_t> in, kernel, strides, dilations, pads(4), out;
      for (size_t k = 0; k < 2; ++k) {
        kernel.push_back(1 + random() % 4), strides.push_back(1 + random() % 3), dilations.push_back(1 + random() % 2);
        const int64_t span = (kernel[k] - 1) * dilations[k] + 1;
        pads[k] = random() % span, pads[k + 2] = random() % span;
        in.push_back(span + random() % 30);
        out.push_back((in[k] + pads[k] + pads[k + 2] - span) / strides[k] + 1);
      }
      const char* const kind = std::array{"max", "average", "lp"}[random() % 3];
      const bool with_pads = random() % 2, last = random() % 2;
      const auto x = test::random_floats(n * c * in[0] * in[1], random());
      Attributes a;
      a.set("kind", kind), a.set("kernelShape", numbers(kernel)), a.set("strides", numbers(strides)), a.set("dilations", numbers(dilations)), a.set("pads", numbers(pads));
      a.set("countIncludePad", with_pads ? 1.0 : 0.0), a.set("p", 2.0);
      std::vector<Buffer> inputs, outputs(1);
      inputs.push_back(test::tensor<float>({n, c, in[0], in[1]}, x, last ? kChannelsLast : std::vector<int>{}));
      outputs[0].make(DType::kFloat32, {n, c, out[0], out[1]}, last ? kChannelsLast : std::vector<int>{});
      test::run_kernel("pool", a, inputs, outputs);
      CHECK(outputs[0].guarded());
      const auto got = outputs[0].values<float>();
      size_t at = 0;
      for (int64_t p = 0; p < n * c; ++p)
        for (int64_t oy = 0; oy < out[0]; ++oy)
          for (int64_t ox = 0; ox < out[1]; ++ox, ++at) {
            double best = -std::numeric_limits<double>::infinity(), sum = 0, squares = 0, taps = 0;
            for (int64_t ky = 0; ky < kernel[0]; ++ky)
              for (int64_t kx = 0; kx < kernel[1]; ++kx) {
                const int64_t y = oy * strides[0] - pads[0] + ky * dilations[0], xx = ox * strides[1] - pads[1] + kx * dilations[1];
                const bool inside = y >= 0 && y < in[0] && xx >= 0 && xx < in[1];
                taps += inside || with_pads;
                if (!inside) continue;
                const double v = static_cast<double>(x[static_cast<size_t>((p * in[0] + y) * in[1] + xx)]);
                best = std::max(best, v), sum += v, squares += v * v;
              }
            const double want = kind[0] == 'm' ? best : kind[0] == 'l' ? std::sqrt(squares) : taps ? sum / taps : 0;
            if (!(std::abs(static_cast<double>(got[at]) - want) < 1e-5) && static_cast<double>(got[at]) != want)
              return test::fail(kind, round, "got " + test::show(got[at]) + ", expected " + test::show(want));
          }
    }
  });
}

TEST(resize_is_the_same_in_every_layout) {
  at_each_level([] {
    std::mt19937 random(12);
    for (const char* mode : {"nearest", "linear", "cubic"})
      for (const char* coordinates : {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"})
        for (int round = 0; round < 6; ++round) {
          const int64_t c = 1 + random() % 20, h = 1 + random() % 12, w = 1 + random() % 12, oh = 1 + random() % 25, ow = 1 + random() % 25;
          const auto x = test::random_floats(2 * c * h * w, random());
          Attributes a;
          a.set("mode", mode), a.set("coordinateTransformationMode", coordinates), a.set("antialias", round % 2 && mode[0] != 'n' ? 1.0 : 0.0);
          std::vector<std::vector<float>> results;
          for (bool last : {false, true}) {
            std::vector<Buffer> inputs(4), outputs(1);
            inputs[0] = test::tensor<float>({2, c, h, w}, x, last ? kChannelsLast : std::vector<int>{});
            inputs[3] = test::tensor<int64_t>({4}, {2, c, oh, ow});
            outputs[0].make(DType::kFloat32, {2, c, oh, ow}, last ? kChannelsLast : std::vector<int>{});
            test::run_kernel("resize", a, inputs, outputs);
            CHECK(outputs[0].guarded());
            results.push_back(outputs[0].values<float>());
          }
          for (size_t i = 0; i < results[0].size(); ++i)
            if (!(std::abs(results[0][i] - results[1][i]) < 1e-5f)) return test::fail(mode, round, "layouts differ at " + std::to_string(i));
          // The bilinear definition, written out.
          if (std::string(mode) != "linear" || std::string(coordinates) != "half_pixel" || round % 2) continue;
          for (int64_t p = 0; p < 2 * c; ++p)
            for (int64_t i = 0; i < oh * ow; ++i) {
              const auto axis = [](int64_t o, int64_t out, int64_t in, int64_t& low, int64_t& high) {
                const double at = std::clamp((static_cast<double>(o) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5, 0.0, static_cast<double>(in - 1));
                low = static_cast<int64_t>(at), high = std::min(low + 1, in - 1);
                return at - static_cast<double>(low);
              };
              int64_t y0, y1, x0, x1;
              const double fy = axis(i / ow, oh, h, y0, y1), fx = axis(i % ow, ow, w, x0, x1);
              const auto v = [&](int64_t yy, int64_t xx) { return static_cast<double>(x[static_cast<size_t>((p * h + yy) * w + xx)]); };
              const double want = (1 - fy) * ((1 - fx) * v(y0, x0) + fx * v(y0, x1)) + fy * ((1 - fx) * v(y1, x0) + fx * v(y1, x1));
              CHECK(std::abs(static_cast<double>(results[0][static_cast<size_t>(p * oh * ow + i)]) - want) < 1e-4);
            }
        }
  });
}

// Floats are sampled with channels innermost, doubles plane by plane.
TEST(regions_agree_between_types_and_layouts) {
  at_each_level([] {
    const int64_t c = 19, h = 13, w = 17, regions = 12;
    const auto x = test::random_floats(2 * c * h * w, 13);
    std::vector<float> rois;
    std::vector<int64_t> images;
    std::mt19937 random(14);
    for (int64_t r = 0; r < regions; ++r) {
      const float x0 = static_cast<float>(random() % 20) - 3, y0 = static_cast<float>(random() % 16) - 3;
      for (float v : {x0, y0, x0 + static_cast<float>(random() % 9), y0 + static_cast<float>(random() % 9)}) rois.push_back(v);
      images.push_back(random() % 2);
    }
    for (const char* mode : {"avg", "max"})
      for (double ratio : {0.0, 2.0}) {
        Attributes a;
        a.set("mode", mode), a.set("outputHeight", 5.0), a.set("outputWidth", 3.0), a.set("samplingRatio", ratio), a.set("spatialScale", 0.75);
        std::vector<Buffer> inputs(3), outputs(1);
        inputs[0] = test::tensor<double>({2, c, h, w}, {x.begin(), x.end()});
        inputs[1] = test::tensor<double>({regions, 4}, {rois.begin(), rois.end()});
        inputs[2] = test::tensor<int64_t>({regions}, images);
        outputs[0].make(DType::kFloat64, {regions, c, 5, 3});
        test::run_kernel("roiAlign", a, inputs, outputs);
        const auto want = outputs[0].values<double>();
        for (bool last : {false, true}) {
          inputs[0] = test::tensor<float>({2, c, h, w}, x, last ? kChannelsLast : std::vector<int>{});
          inputs[1] = test::tensor<float>({regions, 4}, rois);
          outputs[0].make(DType::kFloat32, {regions, c, 5, 3}, last ? kChannelsLast : std::vector<int>{});
          test::run_kernel("roiAlign", a, inputs, outputs);
          CHECK(outputs[0].guarded());
          const auto got = outputs[0].values<float>();
          for (size_t i = 0; i < want.size(); ++i) CHECK_MSG(std::abs(static_cast<double>(got[i]) - want[i]) < 1e-5, test::show(want[i]));
        }
      }
  });
}
