#include "kernels/contraction/conv_rows.h"

namespace tw {

ConvRuns::ConvRuns(const ConvGeometry& g, ConvOrder order) {
  gather_.geometry = &g;
  const bool taps_first = order == ConvOrder::kTapsThenChannels;
  // Along a line of taps, channels first need nothing; taps first need the channels of neighbours to touch.
  const bool lines = !taps_first || (g.dilation[2] == 1 && g.x_channel == 1 && g.x[2] == g.channels);
  gather_.positions = lines ? g.kernel[2] : 1;
  gather_.unit = taps_first ? g.channels : 1;
  gather_.element = taps_first ? g.x_channel : g.x[2] * g.dilation[2];
  const int64_t channels = taps_first ? 1 : g.channels, width = lines ? 1 : g.kernel[2];
  runs_.reserve(static_cast<size_t>(channels * g.kernel[0] * g.kernel[1] * width));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t d = 0; d < g.kernel[0]; ++d) {
      for (int64_t h = 0; h < g.kernel[1]; ++h) {
        for (int64_t w = 0; w < width; ++w) {
          const ConvRun run{d * g.dilation[0], h * g.dilation[1], w * g.dilation[2], 0};
          runs_.push_back({run.d, run.h, run.w, c * g.x_channel + run.d * g.x[0] + run.h * g.x[1] + run.w * g.x[2]});
        }
      }
    }
  }
  gather_.runs = runs_.data();
}

const float* ConvRows::rows(int64_t group, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                            int64_t& ld) const {
  const float* x = x_ + group * geometry_.channels * geometry_.x_channel;
  conv_rows_table().gather(runs_.gather(), x, m, rows, k, kc, scratch, ld);
  return scratch;
}

}  // namespace tw
