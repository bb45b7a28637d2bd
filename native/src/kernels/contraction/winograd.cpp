// The "winograd2" and "winograd4" tactics of conv_f32: 3 x 3 kernels at stride 1, channels-last, one group.
#include "kernels/contraction/winograd.h"

#include <algorithm>

#include "kernels/contraction/conv.h"

namespace tw {
namespace {

constexpr int64_t kBlockTiles = 56;  // tiles that share one pass over the weights
constexpr int64_t kFewTiles = 112;   // up to here all tiles go together and threads share out the points instead

int tile_size(const std::string& algorithm) { return algorithm == "winograd2" ? 2 : 4; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Rows of a multiple of a page would meet in few cache sets.
int64_t row_floats(int64_t n) { return (n + 15) / 16 * 16 + 16; }

struct Tiling {
  int64_t m, points;
  int64_t rows, columns, tiles;  // tiles down and across an image, tiles in all
  int64_t block, blocks;         // tiles that go together
  int64_t v_row, p_row;          // floats of a tile's transformed input and of its products, at one point
  bool few;

  Tiling(const ConvGeometry& g, int tile, int threads) : m(tile), points((tile + 2) * (tile + 2)) {
    rows = ceil_div(g.out[1], m), columns = ceil_div(g.out[2], m), tiles = g.batch * rows * columns;
    few = tiles <= kFewTiles;
    blocks = few ? 1 : ceil_div(ceil_div(tiles, kBlockTiles), threads) * threads;
    block = ceil_div(tiles, std::max<int64_t>(blocks, 1));
    v_row = row_floats(g.channels), p_row = row_floats(g.outputs);
  }
  int64_t v_floats() const { return points * block * v_row; }
  int64_t p_floats() const { return points * block * p_row; }
};

class Winograd final : public Kernel {
 public:
  explicit Winograd(const StepInfo& step)
      : attributes_(step.attributes), epilogue_(make_epilogue(step.attributes)), m_(tile_size(attributes_.algorithm)) {
    require(step.attributes.flag("packed"), Code::kInvalidPlan, "conv_f32: winograd weights must be packed");
    require(attributes_.group == 1 && attributes_.kernel == std::vector<int64_t>{3, 3} &&
                attributes_.strides == std::vector<int64_t>{1, 1} &&
                attributes_.dilations == std::vector<int64_t>{1, 1},
            Code::kInvalidPlan, "conv_f32: winograd needs a 3 x 3 kernel at stride 1, no dilation, one group");
    check_conv_step(step, true);
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    const ConvGeometry g = check_conv(attributes_, epilogue_, inputs, outputs, true);
    check_packed(inputs[1], (m_ + 2) * (m_ + 2) * g.channels * padded_columns(g.outputs));
    require(g.x_channel == 1 || g.channels == 1, Code::kInvalidPlan, "conv_f32: winograd needs channels-last input");
  }

  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    const Tiling t(g, m_, threads);
    const size_t lane = static_cast<size_t>(t.v_floats() + t.p_floats()),
                 sets = t.few ? 1 : static_cast<size_t>(threads);
    return (lane * sets +
            static_cast<size_t>(threads) * out_floats(g, Finish(conv_sink(g, epilogue_, inputs, outputs[0])))) *
           sizeof(float);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const ConvGeometry g = conv_geometry(attributes_, inputs[0], outputs[0]);
    const int threads = context.pool.threads();
    const Tiling t(g, m_, threads);
    if (t.tiles == 0 || g.outputs == 0) return;
    const Sink sink = conv_sink(g, epilogue_, inputs, outputs[0]);
    const Work work{g, t, sink, Finish(sink), inputs[0].as<float>(), inputs[1].as<float>()};
    float* memory = reinterpret_cast<float*>(context.workspace);
    const size_t lane_floats = static_cast<size_t>(t.v_floats() + t.p_floats());
    float* out_scratch = memory + lane_floats * (t.few ? 1 : static_cast<size_t>(threads));
    const size_t out_lane = out_floats(g, work.finish);

    if (!t.few) {
      context.pool.parallel_for(t.blocks, [&](int64_t block, int lane) {
        float* v = memory + lane_floats * static_cast<size_t>(lane);
        float* products = v + t.v_floats();
        const int64_t begin = t.tiles * block / t.blocks, end = t.tiles * (block + 1) / t.blocks;
        for (int64_t i = begin; i < end; ++i) input(work, i, v + (i - begin) * t.v_row);
        for (int64_t p = 0; p < t.points; ++p) multiply(work, p, end - begin, 0, g.outputs, v, products);
        for (int64_t i = begin; i < end; ++i)
          output(work, i, products + (i - begin) * t.p_row, out_scratch + out_lane * static_cast<size_t>(lane));
      });
      return;
    }
    float *v = memory, *products = memory + t.v_floats();
    const int64_t parts = std::min<int64_t>(t.tiles, 4 * threads);
    context.pool.parallel_for(parts, [&](int64_t part, int) {
      for (int64_t i = t.tiles * part / parts; i < t.tiles * (part + 1) / parts; ++i) input(work, i, v + i * t.v_row);
    });
    context.pool.parallel_for(t.points, [&](int64_t p, int) { multiply(work, p, t.tiles, 0, g.outputs, v, products); });
    context.pool.parallel_for(parts, [&](int64_t part, int lane) {
      for (int64_t i = t.tiles * part / parts; i < t.tiles * (part + 1) / parts; ++i) {
        output(work, i, products + i * t.p_row, out_scratch + out_lane * static_cast<size_t>(lane));
      }
    });
  }

 private:
  struct Work {
    const ConvGeometry& g;
    const Tiling& t;
    const Sink& sink;
    const Finish finish;
    const float *x, *weights;
  };

  size_t out_floats(const ConvGeometry& g, const Finish& finish) const {
    return finish.direct ? 0 : static_cast<size_t>((m_ * m_ * g.outputs + 15) / 16 * 16);
  }

  void input(const Work& w, int64_t tile, float* v) const {
    const ConvGeometry& g = w.g;
    const int64_t n = tile / (w.t.rows * w.t.columns), row = tile / w.t.columns % w.t.rows, column = tile % w.t.columns;
    const int64_t h = row * w.t.m - g.pad[1], c = column * w.t.m - g.pad[2];
    WinogradInput in;
    in.x = w.x + n * g.x_batch + h * g.x[1] + c * g.x[2];
    in.row = g.x[1], in.column = g.x[2];
    const auto clip = [](int64_t i) { return static_cast<int>(std::clamp<int64_t>(i, 0, kMaxWinogradTile)); };
    in.row_begin = clip(-h), in.row_end = clip(g.in[1] - h), in.column_begin = clip(-c),
    in.column_end = clip(g.in[2] - c);
    in.channels = g.channels;
    in.v = v;
    in.point_stride = w.t.block * w.t.v_row;
    winograd_table(m_).input(in);
  }

  // The products of `tiles` tiles at one point, for output channels [n, n_end).
  void multiply(const Work& w, int64_t point, int64_t tiles, int64_t n, int64_t n_end, const float* v,
                float* products) const {
    const int64_t k = w.g.channels, outputs = w.g.outputs;
    const float* a = v + point * w.t.block * w.t.v_row;
    float* c = products + point * w.t.block * w.t.p_row;
    const float* b = w.weights + point * k * padded_columns(outputs);
    const int64_t heights = ceil_div(tiles, tile_table().rows);
    float* rows[kMaxTileRows];
    TileArgs args;
    args.lda = w.t.v_row, args.k = k, args.c = rows;
    for (int64_t column = n; column < n_end; column += kPanel) {
      args.columns = static_cast<int>(std::min(kPanel, n_end - column));
      args.ldb = column + kPanel <= outputs ? kPanel : panel_width(outputs - column);
      args.b = b + column * k;
      args.column = column;
      for (int64_t i = 0; i < heights; ++i) {
        const int64_t begin = tiles * i / heights, end = tiles * (i + 1) / heights;
        args.rows = static_cast<int>(end - begin);
        args.a = a + begin * w.t.v_row;
        for (int64_t r = begin; r < end; ++r) rows[r - begin] = c + r * w.t.p_row;
        tile_table().tile(args);
      }
    }
  }

  void output(const Work& w, int64_t tile, const float* products, float* scratch) const {
    const ConvGeometry& g = w.g;
    const int64_t n = tile / (w.t.rows * w.t.columns), row = tile / w.t.columns % w.t.rows, column = tile % w.t.columns;
    float* y[16];
    const float* residual[16];
    int64_t rows[16];
    const int m = m_;
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < m; ++j) {
        const int at = i * m + j;
        const int64_t h = row * m + i, v = column * m + j;
        y[at] = nullptr;
        if (h >= g.out[1] || v >= g.out[2]) continue;
        rows[at] = (n * g.out[1] + h) * g.out[2] + v;
        y[at] = w.finish.direct
                    ? const_cast<float*>(static_cast<const float*>(w.sink.data[0])) + w.sink.rows.offset(rows[at], 0)
                    : scratch + at * g.outputs;
        if (w.finish.residual >= 0) {
          residual[at] = static_cast<const float*>(w.sink.data[w.finish.residual]) +
                         w.sink.rows.offset(rows[at], w.finish.residual);
        }
      }
    }
    WinogradOutput out;
    out.products = products;
    out.point_stride = w.t.block * w.t.p_row;
    out.columns = g.outputs;
    out.y = y;
    out.bias = w.sink.bias                              ? w.sink.bias
               : w.finish.in_tile && w.finish.bias >= 0 ? static_cast<const float*>(w.sink.data[w.finish.bias])
                                                        : nullptr;
    out.residual = w.finish.in_tile && w.finish.residual >= 0 ? residual : nullptr;
    out.clip = w.finish.in_tile && epilogue_.clip;
    out.low = epilogue_.low, out.high = epilogue_.high;
    winograd_table(m).output(out);
    if (!w.finish.needs_tape(w.sink)) return;
    for (int i = 0; i < m; ++i) {
      int count = 0;  // outputs of a tile's row lie side by side, those outside at its end
      while (count < m && y[i * m + count]) ++count;
      if (count) run_tape(w.sink, 0, rows[i * m], count, 0, g.outputs, y + i * m);
    }
  }

  const ConvAttributes attributes_;
  const Epilogue epilogue_;
  const int m_;
};

// Row `point` of G: the kernel's polynomial at an interpolation point over the point's Lagrange denominator.
void weight_transform(int m, double (&g)[kMaxWinogradTile][3]) {
  static constexpr double two[] = {0, 1, -1}, four[] = {0, 0.625, -0.625, 1.5, -1.5};
  const double* points = m == 2 ? two : four;
  for (int i = 0; i <= m; ++i) {
    double denominator = 1;
    for (int j = 0; j <= m; ++j) denominator *= i == j ? 1 : points[i] - points[j];
    for (int k = 0; k < 3; ++k) g[i][k] = (k == 0 ? 1 : k == 1 ? points[i] : points[i] * points[i]) / denominator;
  }
  g[m + 1][0] = g[m + 1][1] = 0;
  g[m + 1][2] = 1;
}

}  // namespace

size_t packed_winograd_bytes(const Attributes& attributes, std::span<const int64_t> dims) {
  const int64_t a = tile_size(attributes.string("algorithm")) + 2;
  require(dims.size() == 4 && dims[2] == 3 && dims[3] == 3, Code::kInvalidArgument, "conv: winograd weights are 3 x 3");
  return static_cast<size_t>(a * a * dims[1] * padded_columns(dims[0])) * sizeof(float);
}

void pack_winograd(const Attributes& attributes, const Tensor& w, std::byte* out, ThreadPool& pool) {
  packed_winograd_bytes(attributes, {w.dims, static_cast<size_t>(w.rank)});
  const int m = tile_size(attributes.string("algorithm")), a = m + 2;
  const int64_t k = w.dims[1], n = w.dims[0], padded = padded_columns(n);
  double g[kMaxWinogradTile][3];
  weight_transform(m, g);
  float* to = reinterpret_cast<float*>(out);
  pool.parallel_for(ceil_div(padded, kPanel), [&](int64_t panel, int) {
    const int64_t first = panel * kPanel, width = std::min(kPanel, padded - first);
    for (int64_t c = 0; c < k; ++c) {
      for (int64_t j = 0; j < width; ++j) {
        double half[kMaxWinogradTile][3] = {};
        if (first + j < n) {
          const float* from = w.as<float>() + (first + j) * w.strides[0] + c * w.strides[1];
          for (int i = 0; i < a; ++i) {
            for (int q = 0; q < 3; ++q) {
              for (int p = 0; p < 3; ++p) half[i][q] += g[i][p] * from[p * w.strides[2] + q * w.strides[3]];
            }
          }
        }
        for (int i = 0; i < a; ++i) {
          for (int q = 0; q < a; ++q) {
            const double u = half[i][0] * g[q][0] + half[i][1] * g[q][1] + half[i][2] * g[q][2];
            to[(i * a + q) * k * padded + first * k + c * width + j] = static_cast<float>(u);
          }
        }
      }
    }
  });
}

std::unique_ptr<Kernel> make_winograd(const StepInfo& step) { return std::make_unique<Winograd>(step); }

}  // namespace tw
