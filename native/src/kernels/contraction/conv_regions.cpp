#include "kernels/contraction/conv_regions.h"

#include <algorithm>
#include <memory>

namespace tw {
namespace {

constexpr int64_t kMinChannels = 64;   // shorter runs of the sum are not worth a pass of their own
constexpr double kMaxShare = 0.75;     // of the products, those that must be left
constexpr double kMinSaved = 1 << 22;  // multiply-adds
constexpr size_t kMaxRegions = 32;

// Output points [begin, end) of one dimension and the taps inside the input from each of them.
struct Stretch {
  int64_t begin, end, tap_begin, tap_end;
};

std::vector<Stretch> stretches(const ConvGeometry& g, int axis) {
  std::vector<Stretch> list;
  const int64_t d = g.dilation[axis];
  for (int64_t p = 0; p < g.out[axis]; ++p) {
    const int64_t first = p * g.stride[axis] - g.pad[axis];
    int64_t tap_begin = first >= 0 ? 0 : (-first + d - 1) / d;
    int64_t tap_end = first >= g.in[axis] ? 0 : std::min(g.kernel[axis], (g.in[axis] - first + d - 1) / d);
    if (tap_begin >= tap_end) tap_begin = tap_end = 0;
    if (!list.empty() && list.back().tap_begin == tap_begin && list.back().tap_end == tap_end)
      list.back().end = p + 1;
    else
      list.push_back({p, p + 1, tap_begin, tap_end});
  }
  return list;
}

void add_ranges(const ConvGeometry& g, ConvRegion& r) {
  for (int64_t d = r.tap_begin[0]; d < r.tap_begin[0] + r.tap_size[0]; ++d) {
    for (int64_t h = r.tap_begin[1]; h < r.tap_begin[1] + r.tap_size[1]; ++h) {
      const int64_t begin = ((d * g.kernel[1] + h) * g.kernel[2] + r.tap_begin[2]) * g.channels,
                    count = r.tap_size[2] * g.channels;
      if (!r.ranges.empty() && r.ranges.back().begin + r.ranges.back().count == begin)
        r.ranges.back().count += count;
      else
        r.ranges.push_back({begin, count});
    }
  }
  if (r.ranges.empty()) r.ranges.push_back({0, 0});
}

GemmShape shape_of(const ConvRegion& r) {
  const ConvGeometry& g = r.geometry;
  return {g.groups, g.batch * g.out_points(), g.outputs, g.taps() * g.channels};
}

// The tensor's part that belongs to the region; `axes` counts the output's dimensions.
Tensor part(const Tensor& t, const ConvRegion& r, int axes) {
  if (t.rank < 0 || !t.data) return t;
  Tensor p = t;
  int64_t offset = 0;
  for (int i = 0; i < r.geometry.spatial; ++i) {
    const int axis = i + 2 - (axes - t.rank), from = 3 - r.geometry.spatial + i;
    if (axis < 0 || t.dims[axis] == 1) continue;
    offset += r.begin[from] * t.strides[axis];
    p.dims[axis] = r.size[from];
  }
  p.data = static_cast<std::byte*>(t.data) + offset * (info(t.dtype).bits / 8);
  return p;
}

}  // namespace

std::vector<ConvRegion> conv_regions(const ConvGeometry& g) {
  if (g.channels < kMinChannels || g.taps() == 1 || g.unpadded() || g.batch * g.out_points() == 0) return {};
  std::vector<Stretch> axes[3];
  double share = 1;
  size_t count = 1;
  for (int i = 0; i < 3; ++i) {
    axes[i] = stretches(g, i);
    int64_t met = 0;
    for (const Stretch& s : axes[i]) met += (s.end - s.begin) * (s.tap_end - s.tap_begin);
    share *= static_cast<double>(met) / static_cast<double>(g.out[i] * g.kernel[i]);
    count *= axes[i].size();
  }
  const double all = static_cast<double>(g.groups * g.batch * g.out_points() * g.outputs * g.taps() * g.channels);
  if (share > kMaxShare || count > kMaxRegions || (1 - share) * all < kMinSaved) return {};
  std::vector<ConvRegion> regions;
  for (const Stretch& d : axes[0]) {
    for (const Stretch& h : axes[1]) {
      for (const Stretch& w : axes[2]) {
        ConvRegion r;
        r.geometry = g;
        const Stretch* along[3] = {&d, &h, &w};
        for (int i = 0; i < 3; ++i) {
          r.begin[i] = along[i]->begin, r.size[i] = along[i]->end - along[i]->begin;
          r.tap_begin[i] = along[i]->tap_begin, r.tap_size[i] = along[i]->tap_end - along[i]->tap_begin;
          r.geometry.out[i] = r.size[i];
          r.geometry.pad[i] -= r.begin[i] * g.stride[i];
        }
        add_ranges(g, r);
        regions.push_back(std::move(r));
      }
    }
  }
  return regions;
}

size_t conv_regions_bytes(const std::vector<ConvRegion>& regions, int threads, bool direct_output) {
  size_t bytes = 0;
  for (const ConvRegion& r : regions)
    bytes = std::max(bytes, gemm_lane_bytes(shape_of(r), threads, false, direct_output, r.ranges));
  return static_cast<size_t>(threads) * bytes;
}

void run_conv_regions(ThreadPool& pool, std::byte* workspace, const std::vector<ConvRegion>& regions, const Epilogue& epilogue, const PanelSource& weights,
                      std::span<const Tensor> inputs, const Tensor& y) {
  struct Work {
    ConvRows rows;
    Sink sink;
  };
  std::vector<std::unique_ptr<Work>> work;
  std::vector<GemmJob> jobs;
  for (const ConvRegion& r : regions) {
    std::vector<Tensor> sliced(inputs.begin(), inputs.end());
    for (size_t i = 3; i < sliced.size(); ++i) sliced[i] = part(sliced[i], r, y.rank);
    work.push_back(std::unique_ptr<Work>(new Work{
        ConvRows(r.geometry, ConvOrder::kTapsThenChannels, inputs[0].as<float>()),
        conv_sink(r.geometry, epilogue, sliced, part(y, r, y.rank)),
    }));
    jobs.push_back({shape_of(r), &work.back()->rows, &weights, &work.back()->sink, r.ranges});
  }
  // Long ones first, so that threads end together.
  std::stable_sort(jobs.begin(), jobs.end(), [](const GemmJob& a, const GemmJob& b) { return a.work() > b.work(); });
  run_gemms(pool, workspace, jobs);
}

}  // namespace tw
