#include "kernels/contraction/conv_direct.h"

#include <algorithm>
#include <cstring>

namespace tw {
namespace {

constexpr int64_t kShortRun = 24;       // elements
constexpr int64_t kLongestSum = 2048;   // beyond, the panels need blocking over k
constexpr int64_t kTaskWork = 1 << 18;  // multiply-adds

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The geometry after padding: what of the input the taps reach, zeros included, in x's own order of dims.
ConvGeometry padded(const ConvGeometry& g) {
  if (g.unpadded()) return g;
  ConvGeometry p = g;
  const int64_t channels = g.groups * g.channels;
  int64_t stride = 1;
  if (g.x_channel == 1) p.x_channel = 1, stride = channels;
  for (int i = 2; i >= 0; --i) {
    p.pad[i] = 0;
    p.in[i] = (g.out[i] - 1) * g.stride[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
    p.x[i] = stride;
    stride *= p.in[i];
  }
  if (g.x_channel != 1) p.x_channel = stride, stride *= channels;
  p.x_batch = stride;
  return p;
}

int64_t padded_floats(const ConvGeometry& g) { return g.unpadded() ? 0 : (padded(g).x_batch * g.batch + 15) / 16 * 16; }
size_t lane_floats(const ConvGeometry& g) { return static_cast<size_t>((kMaxTileRows * g.outputs + 15) / 16 * 16); }

void copy_padded(ThreadPool& pool, const ConvGeometry& g, const ConvGeometry& p, const float* x, float* to) {
  const bool channels_last = g.x_channel == 1;
  const int64_t channels = channels_last ? 1 : g.groups * g.channels, unit = channels_last ? g.groups * g.channels : 1;
  const int64_t left = std::min(g.pad[2], p.in[2]), inner = std::clamp<int64_t>(g.in[2], 0, p.in[2] - left);
  const int64_t lines = g.batch * channels * p.in[0] * p.in[1];
  pool.parallel_ranges(lines, std::max<int64_t>(1, 8192 / (p.in[2] * unit)), [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      int64_t rest = line;
      const int64_t h = rest % p.in[1] - g.pad[1];
      rest /= p.in[1];
      const int64_t d = rest % p.in[0] - g.pad[0];
      rest /= p.in[0];
      const int64_t c = rest % channels, n = rest / channels;
      float* out = to + line * p.in[2] * unit;
      if (h < 0 || h >= g.in[1] || d < 0 || d >= g.in[0]) {
        std::memset(out, 0, static_cast<size_t>(p.in[2] * unit) * sizeof(float));
        continue;
      }
      const float* from = x + n * g.x_batch + c * g.x_channel + d * g.x[0] + h * g.x[1];
      std::memset(out, 0, static_cast<size_t>(left * unit) * sizeof(float));
      const auto& copy = tile_table().gather_rows;
      if (unit == 1)
        copy(from, 0, g.x[2], 1, inner, out + left, 0);
      else if (g.x[2] == unit)
        copy(from, 0, 1, 1, inner * unit, out + left * unit, 0);
      else
        copy(from, g.x[2], 1, inner, unit, out + left * unit, unit);
      std::memset(out + (left + inner) * unit, 0, static_cast<size_t>((p.in[2] - left - inner) * unit) * sizeof(float));
    }
  });
}

std::vector<int32_t> element_offsets(const ConvGeometry& g, ConvOrder order) {
  std::vector<int32_t> offsets;
  offsets.reserve(static_cast<size_t>(g.taps() * g.channels));
  const auto taps = [&](auto&& fn) {
    for (int64_t d = 0; d < g.kernel[0]; ++d) {
      for (int64_t h = 0; h < g.kernel[1]; ++h) {
        for (int64_t w = 0; w < g.kernel[2]; ++w)
          fn(d * g.dilation[0] * g.x[0] + h * g.dilation[1] * g.x[1] + w * g.dilation[2] * g.x[2]);
      }
    }
  };
  if (order == ConvOrder::kChannelsThenTaps) {
    for (int64_t c = 0; c < g.channels; ++c)
      taps([&](int64_t tap) { offsets.push_back(static_cast<int32_t>(c * g.x_channel + tap)); });
  } else {
    taps([&](int64_t tap) {
      for (int64_t c = 0; c < g.channels; ++c) offsets.push_back(static_cast<int32_t>(tap + c * g.x_channel));
    });
  }
  return offsets;
}

}  // namespace

bool prefers_direct(const ConvGeometry& g, ConvOrder order) {
  const bool lines = order == ConvOrder::kChannelsThenTaps || (g.groups == 1 && g.x_channel == 1 && g.dilation[2] == 1);
  const int64_t run = order == ConvOrder::kChannelsThenTaps ? g.kernel[2]
                      : lines                               ? g.kernel[2] * g.channels
                                                            : g.channels;
  if (g.taps() * g.channels > kLongestSum || run > kShortRun || g.out[2] < 4) return false;
  const ConvGeometry p = padded(g);
  return p.channels * std::max(std::abs(p.x_channel), int64_t{1}) < (int64_t{1} << 30) &&
         p.in[0] * std::abs(p.x[0]) < (int64_t{1} << 30);
}

size_t conv_direct_bytes(const ConvGeometry& g, int threads, bool direct_output) {
  return (static_cast<size_t>(padded_floats(g)) + (direct_output ? 0 : static_cast<size_t>(threads) * lane_floats(g))) *
         sizeof(float);
}

void run_conv_direct(ThreadPool& pool, std::byte* workspace, const ConvGeometry& original, ConvOrder order,
                     const float* x, const float* panels, int64_t group_floats, const Sink& sink) {
  if (original.batch * original.out_points() == 0 || original.outputs == 0) return;
  const ConvGeometry g = padded(original);
  float* scratch = reinterpret_cast<float*>(workspace) + padded_floats(original);
  if (!original.unpadded()) {
    copy_padded(pool, original, g, x, reinterpret_cast<float*>(workspace));
    x = reinterpret_cast<const float*>(workspace);
  }
  const std::vector<int32_t> offsets = element_offsets(g, order);
  const Finish finish(sink);
  const int64_t k = g.taps() * g.channels, width = g.out[2], tiles = ceil_div(width, tile_table().rows);
  const int64_t lines = g.batch * g.out[0] * g.out[1];
  const int64_t part_lines = std::clamp<int64_t>(kTaskWork / std::max<int64_t>(width * g.outputs * k, 1), 1, lines);
  const int64_t parts = ceil_div(lines, part_lines);
  pool.parallel_for(g.groups * parts, [&](int64_t task, int lane) {
    const int64_t group = task % g.groups, part = task / g.groups;
    TileArgs shared;
    shared.lda = g.stride[2] * g.x[2], shared.offsets = offsets.data(), shared.k = k;
    for (int64_t line = lines * part / parts; line < lines * (part + 1) / parts; ++line) {
      const int64_t h = line % g.out[1], d = line / g.out[1] % g.out[0], n = line / g.out[1] / g.out[0];
      const float* base =
          x + n * g.x_batch + group * g.channels * g.x_channel + d * g.stride[0] * g.x[0] + h * g.stride[1] * g.x[1];
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = width * tile / tiles, m = line * width + first;
        TileArgs args = shared;
        args.rows = static_cast<int>(width * (tile + 1) / tiles - first);
        args.a = base + first * shared.lda;
        TileRows rows;
        if (finish.direct)
          rows.point_at_output(sink, group, m, args.rows);
        else
          rows.point_at_scratch(scratch + static_cast<size_t>(lane) * lane_floats(g), g.outputs, 0, args.rows);
        rows.finish(sink, finish, group, m, args);
        args.c = rows.out;
        for (int64_t column = 0; column < g.outputs; column += kPanel) {
          args.column = column;
          args.columns = static_cast<int>(std::min(kPanel, g.outputs - column));
          args.ldb = panel_width(args.columns);
          args.b = panels + group * group_floats + column * k;
          tile_table().tile(args);
        }
        if (finish.needs_tape(sink)) run_tape(sink, group, m, args.rows, 0, g.outputs, rows.out);
      }
    }
  });
}

}  // namespace tw
