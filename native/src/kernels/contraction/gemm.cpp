// Blocking: a block of B (kc x nc) stays in the second-level cache while tiles of A (some rows x kc) pass through the
// first; sums over more than one block of k accumulate in the output, and the epilogue runs with the last.
#include "kernels/contraction/gemm.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/contraction/word_loops.h"

namespace tw {
namespace {

constexpr int64_t kDepth = 512;              // k in one block: 14 rows of A fill most of a first-level cache
constexpr int64_t kBlockFloats = 96 * 1024;  // of B: with A and C passing by, within a second-level cache of 1 MiB
constexpr int64_t kTaskWork = 1 << 18;       // multiply-adds below which a task is not worth a thread

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The i-th of `parts` nearly equal pieces of [0, n).
int64_t piece(int64_t n, int64_t parts, int64_t i) { return n / parts * i + std::min(i, n % parts); }

// At least `parts` (up to `limit`), so that this many times `others` tasks keep all threads busy to the end.
int64_t even(int64_t parts, int64_t others, int64_t limit, int threads) {
  const int64_t step = threads / std::gcd<int64_t>(threads, others), rounded = ceil_div(parts, step) * step;
  return rounded <= limit ? rounded : parts;
}

struct Blocking {
  int64_t m_tiles, m_parts;  // tiles of nearly equal height; parts of whole tiles, one a task
  int64_t panels, n_parts;   // parts of whole panels, one a task
  std::vector<DepthRange> k_blocks;
  int64_t kc = 0, nc, mc;  // the largest of each
  int64_t lda;         // of copied tiles: not a multiple of a page, so that rows spread over the cache's sets
  int64_t tile_rows;

  Blocking(const GemmShape& s, std::span<const DepthRange> ranges, int threads, bool packs_b, int rows)
      : tile_rows(rows) {
    m_tiles = ceil_div(s.m, tile_rows);
    panels = ceil_div(s.n, kPanel);
    // A short A fits the second-level cache however long its rows are.
    const int64_t depth = m_tiles <= 1 && !packs_b ? 4096 : kDepth;
    const DepthRange all{0, s.k};
    int64_t summed = 0;
    for (const DepthRange& range : ranges.empty() ? std::span(&all, 1) : ranges) {
      const int64_t blocks = std::max<int64_t>(1, ceil_div(range.count, depth));
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t begin = piece(range.count, blocks, i), end = piece(range.count, blocks, i + 1);
        k_blocks.push_back({range.begin + begin, end - begin});
        kc = std::max(kc, end - begin);
      }
      summed += range.count;
    }
    const int64_t panels_that_fit = std::max<int64_t>(2, kBlockFloats / (kPanel * std::max<int64_t>(kc, 1)));
    n_parts = std::max<int64_t>(1, ceil_div(panels, panels_that_fit));
    const int64_t work = s.batch * s.m * s.n * std::max<int64_t>(summed, 1);
    const int64_t wanted = threads == 1 ? 1 : std::clamp<int64_t>(work / kTaskWork, 1, 4 * threads);
    m_parts = 1;
    if (wanted > 1 && n_parts > 1) n_parts = even(n_parts, s.batch, panels, threads);
    if (const int64_t tasks = std::max<int64_t>(1, s.batch) * n_parts; tasks < wanted) {
      // Packing B anew in every part of m costs; so does reading A anew in every part of n.
      const int64_t enough = packs_b ? threads : wanted;
      m_parts = std::clamp<int64_t>(ceil_div(enough, tasks), 1, std::max<int64_t>(1, m_tiles / 2));
      if (s.batch * n_parts * m_parts < enough) {
        n_parts = std::min(std::max<int64_t>(1, panels),
                           std::max(n_parts, ceil_div(enough, std::max<int64_t>(1, s.batch) * m_parts)));
      }
      m_parts = even(m_parts, s.batch * n_parts, m_tiles, threads);
    }
    nc = ceil_div(panels, n_parts) * kPanel;
    mc = ceil_div(m_tiles, m_parts) * tile_rows;
    lda = (kc + 15) / 16 * 16 + 16;
  }

  size_t a_floats() const { return static_cast<size_t>(lda * tile_rows); }
  size_t b_floats() const { return static_cast<size_t>(kc * nc); }
  size_t c_floats() const { return static_cast<size_t>((k_blocks.size() > 1 ? mc : tile_rows) * nc); }
  size_t sum_floats(Words words) const { return words == Words::kInt8 ? static_cast<size_t>(mc + nc) : 0; }
  size_t lane_floats(bool packs_b, bool direct, Words words) const {
    const size_t floats = a_floats() + (packs_b ? b_floats() : 0) + (direct ? 0 : c_floats()) + sum_floats(words);
    return (floats + 15) / 16 * 16;
  }
};

class Run {
 public:
  Run(const GemmJob& job, int threads)
      : s_(job.shape),
        a_(*job.a),
        b_(*job.b),
        sink_(*job.sink),
        words_(job.words),
        integers_(job.integers),
        kernel_(tile_kernel(words_)),
        finish_(sink_, true, words_),
        plan_(s_, job.ranges, threads, b_.needs_scratch(), kernel_.rows) {}

  int64_t tasks() const { return s_.batch * plan_.n_parts * plan_.m_parts; }
  size_t lane_floats() const { return plan_.lane_floats(b_.needs_scratch(), finish_.direct, words_); }

  void task(int64_t index, float* a_scratch) const {
    // Parts of m are innermost: threads at work together share a block of B.
    const int64_t m_part = index % plan_.m_parts;
    index /= plan_.m_parts;
    const int64_t n_part = index % plan_.n_parts, batch = index / plan_.n_parts;
    const int64_t tile_begin = piece(plan_.m_tiles, plan_.m_parts, m_part),
                  tile_end = piece(plan_.m_tiles, plan_.m_parts, m_part + 1);
    const int64_t n = piece(plan_.panels, plan_.n_parts, n_part) * kPanel;
    const int64_t n_end = std::min(s_.n, piece(plan_.panels, plan_.n_parts, n_part + 1) * kPanel);
    float* b_scratch = a_scratch + plan_.a_floats();
    float* c_scratch = b_scratch + (b_.needs_scratch() ? plan_.b_floats() : 0);
    const int64_t m_begin = piece(s_.m, plan_.m_tiles, tile_begin);
    int32_t* row_sums = nullptr;  // of A and then, a column, what int32 sums lack
    int32_t* column_sums = nullptr;
    if (integers_) {
      row_sums = reinterpret_cast<int32_t*>(c_scratch + plan_.c_floats());
      column_sums = row_sums + plan_.mc;
      std::fill_n(row_sums, plan_.mc + plan_.nc, 0);
    }

    const size_t blocks = plan_.k_blocks.size();
    for (size_t kb = 0; kb < blocks; ++kb) {
      const auto [k, kc] = plan_.k_blocks[kb];
      const Panels panels = b_.block(batch, k, kc, n, n_end - n, b_scratch);
      if (integers_) {
        add_column_sums(panels, kc, n, n_end, column_sums);
        if (kb + 1 == blocks) complete_column_sums(batch, n, n_end, column_sums);
      }
      for (int64_t t = tile_begin; t < tile_end; ++t) {
        const int64_t m = piece(s_.m, plan_.m_tiles, t);
        const int rows = static_cast<int>(piece(s_.m, plan_.m_tiles, t + 1) - m);
        TileArgs args;
        args.lda = plan_.lda;
        args.a = a_.rows(batch, m, rows, k, kc, a_scratch, args.lda);
        args.k = kc;
        args.rows = rows;
        args.accumulate = kb > 0;
        if (integers_ && integers_->b_offset)
          word_loops().add_row_sums(args.a, args.lda, rows, kc, row_sums + (m - m_begin));
        float* scratch_rows = c_scratch + (blocks > 1 ? (m - m_begin) * plan_.nc : 0);
        columns(args, panels, batch, m, n, n_end, scratch_rows, kb + 1 == blocks,
                integers_ ? row_sums + (m - m_begin) : nullptr, column_sums);
      }
    }
    if (kernel_.leave) kernel_.leave();
  }

 private:
  // The width of the panel that begins at this column.
  int64_t width_at(int64_t column) const { return column + kPanel <= s_.n ? kPanel : panel_width(s_.n - column); }

  void add_column_sums(const Panels& panels, int64_t kc, int64_t n, int64_t n_end, int32_t* sums) const {
    if (!integers_->a_offset || integers_->column_sums) return;
    for (int64_t column = n, i = 0; column < n_end; column += kPanel, ++i) {
      const int64_t width = width_at(column);
      word_loops().add_column_sums(panels.base + i * panels.stride + panels.skip * width, width, kc,
                                   sums + (column - n));
    }
  }

  // From the sums of B's columns to what each column of C lacks. Everything wraps.
  void complete_column_sums(int64_t batch, int64_t n, int64_t n_end, int32_t* sums) const {
    const IntegerSums& t = *integers_;
    const auto times = [](int64_t a, int64_t b) { return static_cast<uint32_t>(a) * static_cast<uint32_t>(b); };
    const int32_t* packed = t.column_sums ? t.column_sums + batch * padded_columns(s_.n) + n : sums;
    for (int64_t j = 0; j < n_end - n; ++j) {
      uint32_t lack = 0;
      if (t.a_offset) lack -= times(t.a_offset, packed[j]) + times(t.a_offset, times(t.b_offset, t.depth));
      if (t.bias) lack += times(t.bias_sign, t.bias[batch * t.bias_batch_stride + (n + j) * t.bias_stride]);
      sums[j] = static_cast<int32_t>(lack);
    }
  }

  // One tile of rows against all panels of the block, and what follows the last block.
  void columns(TileArgs& args, const Panels& panels, int64_t batch, int64_t m, int64_t n, int64_t n_end,
               float* scratch_rows, bool last, const int32_t* row_sums, const int32_t* column_sums) const {
    TileRows tile_rows;
    if (finish_.direct)
      tile_rows.point_at_output(sink_, batch, m, args.rows);
    else
      tile_rows.point_at_scratch(scratch_rows, plan_.nc, n, args.rows);
    if (last) tile_rows.finish(sink_, finish_, batch, m, args);
    args.c = tile_rows.out;
    if (last && finish_.narrow && finish_.in_tile) {
      tile_rows.point_at_narrow_output(sink_, batch, m, args.rows);
      if (finish_.activation == Activation::kNone) args.narrow_c = tile_rows.narrow;
    }
    for (int64_t column = n, i = 0; column < n_end; column += kPanel, ++i) {
      args.columns = static_cast<int>(std::min(kPanel, n_end - column));
      args.ldb = width_at(column);
      args.b = panels.base + i * panels.stride + panels.skip * args.ldb;
      args.column = column;
      kernel_.tile(args);
    }
    if (!last) return;
    if (integers_) return finish_integers(batch, m, args.rows, n, n_end, tile_rows.out, row_sums, column_sums);
    if (finish_.activation != Activation::kNone) activate(tile_rows, args.rows, n, n_end);
    if (finish_.needs_tape(sink_)) run_tape(sink_, batch, m, args.rows, n, n_end, tile_rows.out);
  }

  // The activation in place and, where the output is narrow, from there into it.
  void activate(const TileRows& tile_rows, int rows, int64_t n, int64_t n_end) const {
    for (int r = 0; r < rows; ++r) {
      float* row = tile_rows.out[r] + n;
      activation_table().rows({finish_.activation, sink_.epilogue->numbers(), row, row, 1, n_end - n, 0, 0});
      if (finish_.narrow) word_loops().narrow(row, n_end - n, tile_rows.narrow[r] + n);
    }
  }

  void finish_integers(int64_t batch, int64_t m, int rows, int64_t n, int64_t n_end, float* const* sums,
                       const int32_t* row_sums, const int32_t* column_sums) const {
    for (int r = 0; r < rows; ++r) {
      const auto lack = static_cast<uint32_t>(integers_->b_offset) * static_cast<uint32_t>(row_sums[r]);
      word_loops().finish_sums(sums[r] + n, n_end - n, static_cast<int32_t>(lack), column_sums, integers_->to_float);
    }
    if (integers_->to_float) return run_tape(sink_, batch, m, rows, n, n_end, sums);
    run_tape(sink_, batch, m, rows, n, n_end, {sums[0] + n, DType::kInt32, 1}, plan_.nc);
  }

  const GemmShape s_;
  const RowSource& a_;
  const PanelSource& b_;
  const Sink& sink_;
  const Words words_;
  const IntegerSums* integers_;
  const TileKernel kernel_;
  const Finish finish_;
  const Blocking plan_;
};

}  // namespace

void TileRows::point_at_output(const Sink& sink, int64_t batch, int64_t m, int rows) {
  float* base = const_cast<float*>(static_cast<const float*>(sink.data[0])) + sink.batch.offset(batch, 0);
  for (int i = 0; i < rows; ++i) out[i] = base + sink.rows.offset(m + i, 0);
}

void TileRows::point_at_narrow_output(const Sink& sink, int64_t batch, int64_t m, int rows) {
  uint16_t* base = const_cast<uint16_t*>(static_cast<const uint16_t*>(sink.data[0])) + sink.batch.offset(batch, 0);
  for (int i = 0; i < rows; ++i) narrow[i] = base + sink.rows.offset(m + i, 0);
}

void TileRows::point_at_scratch(float* scratch, int64_t row_floats, int64_t n, int rows) {
  for (int i = 0; i < rows; ++i) out[i] = scratch + i * row_floats - n;
}

void TileRows::finish(const Sink& sink, const Finish& finish, int64_t batch, int64_t m, TileArgs& args) {
  if (sink.bias) args.bias = sink.bias + batch * sink.bias_batch_stride;
  if (!finish.in_tile) return;
  if (finish.bias >= 0) args.bias = static_cast<const float*>(sink.data[finish.bias]);
  if (finish.residual >= 0) {
    const int64_t bytes = info(sink.dtype[finish.residual]).bits / 8, first = sink.batch.offset(batch, finish.residual);
    const std::byte* base = static_cast<const std::byte*>(sink.data[finish.residual]) + first * bytes;
    for (int i = 0; i < args.rows; ++i)
      residual[i] = reinterpret_cast<const float*>(base + sink.rows.offset(m + i, finish.residual) * bytes);
    args.residual = residual;
    args.narrow_residual = bytes == 2;
  }
  args.clip = sink.epilogue->clip;
  args.low = sink.epilogue->low;
  args.high = sink.epilogue->high;
}

int64_t GemmJob::work() const {
  int64_t summed = ranges.empty() ? shape.k : 0;
  for (const DepthRange& range : ranges) summed += range.count;
  return shape.batch * shape.m * shape.n * summed;
}

size_t gemm_lane_bytes(const GemmShape& shape, int threads, bool packs_b, bool direct,
                       std::span<const DepthRange> ranges, Words words) {
  const Blocking plan(shape, ranges, threads, packs_b, tile_kernel(words).rows);
  return plan.lane_floats(packs_b, direct, words) * sizeof(float);
}

void run_gemms(ThreadPool& pool, std::byte* workspace, std::span<const GemmJob> jobs) {
  std::vector<Run> runs;
  std::vector<int64_t> ends;  // of the jobs' tasks
  size_t lane_floats = 0;
  for (const GemmJob& job : jobs) {
    if (job.shape.batch == 0 || job.shape.m == 0 || job.shape.n == 0) continue;
    const Run& run = runs.emplace_back(job, pool.threads());
    ends.push_back((ends.empty() ? 0 : ends.back()) + run.tasks());
    lane_floats = std::max(lane_floats, run.lane_floats());
  }
  if (runs.empty()) return;
  pool.parallel_for(ends.back(), [&](int64_t task, int lane) {
    const size_t i = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), task) - ends.begin());
    const int64_t first = i ? ends[i - 1] : 0;
    runs[i].task(task - first, reinterpret_cast<float*>(workspace) + static_cast<size_t>(lane) * lane_floats);
  });
}

void run_gemm(ThreadPool& pool, std::byte* workspace, const GemmShape& shape, const RowSource& a, const PanelSource& b,
              const Sink& sink) {
  const GemmJob job{shape, &a, &b, &sink};
  run_gemms(pool, workspace, {&job, 1});
}

}  // namespace tw
