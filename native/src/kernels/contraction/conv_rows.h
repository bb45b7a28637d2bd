// The rows that a convolution multiplies with its weights, copied tile by tile: one row an output point, and in it one
// run of elements a tap or, where taps are neighbours in memory, a whole line of taps.
#pragma once
#include <vector>

#include "base/isa_dispatch.h"
#include "kernels/contraction/conv_geometry.h"
#include "kernels/contraction/gemm.h"

namespace tw {

// In which order the rows' elements, and so the packed weights, come.
enum class ConvOrder { kTapsThenChannels, kChannelsThenTaps };

struct ConvRun {
  int64_t d, h, w;  // its first tap, as a displacement in the input
  int64_t offset;   // of the first tap (channel included) in memory
};

struct ConvGather {
  const ConvGeometry* geometry;
  const ConvRun* runs;
  int64_t positions, unit, element;  // a run has `positions` places along w of `unit` elements, `element` apart
};

// Rows [m, m + rows) and elements [k, k + kc), zero where a tap is outside the input.
template <typename T>
using ConvGatherFn = void (*)(const ConvGather& gather, const T* x, int64_t m, int rows, int64_t k, int64_t kc, T* dst,
                              int64_t ld);

struct ConvRowsTable {
  ConvGatherFn<float> gather;
  ConvGatherFn<uint16_t> gather_pairs;
  ConvGatherFn<uint8_t> gather_bytes;
};
TW_PER_ISA(const ConvRowsTable& conv_rows_table();)
inline const ConvRowsTable& conv_rows_table() { return TW_SELECT_ISA(conv_rows_table)(); }

// The geometry must outlive it.
class ConvRuns {
 public:
  ConvRuns(const ConvGeometry& geometry, ConvOrder order);
  ConvRuns(const ConvRuns&) = delete;
  const ConvGather& gather() const { return gather_; }

 private:
  std::vector<ConvRun> runs_;
  ConvGather gather_;
};

class ConvRows final : public RowSource {
 public:
  ConvRows(const ConvGeometry& geometry, ConvOrder order, const float* x)
      : geometry_(geometry), runs_(geometry, order), x_(x) {}
  const float* rows(int64_t group, int64_t m, int rows, int64_t k, int64_t kc, float* scratch,
                    int64_t& ld) const override;

 private:
  const ConvGeometry& geometry_;
  ConvRuns runs_;
  const float* x_;
};

}  // namespace tw
