// Matrix products over any layout: a source of rows of A, a source of panels of B, a sink for rows of C, and the
// cache blocking and thread partition between them. The summed dimension k is counted in 4-byte words, which sources of
// narrow elements give as floats.
#pragma once
#include <cstddef>
#include <span>

#include "base/kernel.h"
#include "kernels/contraction/sink.h"
#include "kernels/contraction/tile.h"

namespace tw {

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Rows [m, m + rows) and columns [k, k + kc) of A; in place, or copied to `scratch`. `ld` arrives as the row
  // stride scratch is to have and leaves as the one the result has.
  virtual const float* rows(int64_t batch, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                            int64_t& ld) const = 0;
};

// Panel i of a block lies at base + i * stride, beginning with row `skip` of its own width.
struct Panels {
  const float* base;
  int64_t stride, skip;
};

class PanelSource {
 public:
  virtual ~PanelSource() = default;
  virtual bool needs_scratch() const { return false; }
  // Rows [k, k + kc) of the panels that begin at column n (a multiple of the panel) and end before n + nc.
  virtual Panels block(int64_t batch, int64_t k, int64_t kc, int64_t n, int64_t nc, float* scratch) const = 0;
};

// The pointers of one tile's rows into the output and what the register tile adds, for TileArgs to refer to.
struct TileRows {
  float* out[kMaxWordRows];
  const float* residual[kMaxWordRows];
  uint16_t* narrow[kMaxWordRows];

  // Rows [m, m + rows) in the output.
  void point_at_output(const Sink& sink, int64_t batch, int64_t m, int rows);
  // The same of a bfloat16 output, as `narrow`.
  void point_at_narrow_output(const Sink& sink, int64_t batch, int64_t m, int rows);
  // Rows in scratch, whose first column is column n.
  void point_at_scratch(float* scratch, int64_t row_floats, int64_t n, int rows);
  // Makes the tile's last block of k end with bias, residual and clip, as far as they are done in the tile.
  void finish(const Sink& sink, const Finish& finish, int64_t batch, int64_t m, TileArgs& args);
};

struct GemmShape {
  int64_t batch, m, n, k;
};

// Elements [begin, begin + count) of the summed dimension.
struct DepthRange {
  int64_t begin, count;
};

// What int32 sums of unsigned a and signed b still lack: the products are of a - a_offset and b + b_offset.
struct IntegerSums {
  int32_t a_offset = 0, b_offset = 0;
  int64_t depth = 0;                     // elements of the summed dimension
  const int32_t* column_sums = nullptr;  // of a packed B, padded columns a batch; otherwise made while packing
  const int32_t* bias = nullptr;         // one a column and batch
  int64_t bias_stride = 1, bias_batch_stride = 0;
  int32_t bias_sign = 1;
  bool to_float = false;  // before the epilogue
};

struct GemmJob {
  GemmShape shape;
  const RowSource* a;
  const PanelSource* b;
  const Sink* sink;
  std::span<const DepthRange> ranges = {};  // what is summed; without any, all of k
  Words words = Words::kFloat32;
  const IntegerSums* integers = nullptr;  // of int8 words

  int64_t work() const;  // multiply-adds
};

// Scratch for one thread is the same for all, so the workspace is this many bytes times the threads.
size_t gemm_lane_bytes(const GemmShape& shape, int threads, bool packs_b, bool direct,
                       std::span<const DepthRange> ranges = {}, Words words = Words::kFloat32);
// Independent products in one parallel loop, begun in order.
void run_gemms(ThreadPool& pool, std::byte* workspace, std::span<const GemmJob> jobs);
void run_gemm(ThreadPool& pool, std::byte* workspace, const GemmShape& shape, const RowSource& a, const PanelSource& b,
              const Sink& sink);

// Panels packed ahead of time, one matrix a batch.
class PackedPanels final : public PanelSource {
 public:
  PackedPanels(const float* data, int64_t k, int64_t batch_stride) : data_(data), k_(k), batch_stride_(batch_stride) {}
  Panels block(int64_t batch, int64_t k, int64_t, int64_t n, int64_t, float*) const override {
    return {data_ + batch * batch_stride_ + n * k_, kPanel * k_, k};
  }

 private:
  const float* data_;
  int64_t k_, batch_stride_;
};

}  // namespace tw
