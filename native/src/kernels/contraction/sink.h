// Where the sums of a contraction go: the output, its epilogue and the side operands, addressed by batch, row and
// column.
#pragma once
#include <span>

#include "kernels/contraction/epilogue.h"
#include "kernels/contraction/space.h"
#include "kernels/contraction/tile.h"

namespace tw {

// Operand 0 of the spaces is the output, operand 1 + i is side operand i.
struct Sink {
  const Epilogue* epilogue = nullptr;
  Space batch, rows, columns;
  const void* data[Space::kOperands] = {};
  DType dtype[Space::kOperands] = {};
  const float* bias = nullptr;  // one a column, added before the epilogue
  int64_t bias_batch_stride = 0;

  void set_operands(const Tensor& out, std::span<const Tensor> sides);
};

// Throws kInvalidPlan unless the epilogue's operands are all there and broadcast to the output.
void check_operands(const Epilogue& epilogue, std::span<const Tensor> sides, const Tensor& out);
// Throws kInvalidPlan unless the tensor is opaque bytes, as many as these floats take.
void check_packed(const Tensor& packed, int64_t floats);

// How a sink's epilogue is computed in one run.
struct Finish {
  bool in_tile = true;  // with the sums still in registers; otherwise by the tape
  bool direct = true;   // sums are stored into the output; otherwise into scratch, and the tape writes the output
  bool narrow = false;  // results are stored into a bfloat16 output, when in_tile; unfinished sums into scratch
  int bias = -1, residual = -1;  // operands added in the tile, when in_tile
  Activation activation = Activation::kNone;  // what the kernel computes after the tile, when in_tile

  // `activations`: the kernel computes those of Epilogue itself. Tiles of bfloat16 words read and write bfloat16.
  explicit Finish(const Sink& sink, bool activations = false, Words words = Words::kFloat32);
  bool needs_tape(const Sink& sink) const { return !in_tile && (sink.epilogue->present || !direct); }
};

// Runs the tape over columns [n, n_end) of rows [row, row + rows). Sums of row i and column n are at
// sums.data + i * apart elements.
void run_tape(const Sink& sink, int64_t batch, int64_t row, int rows, int64_t n, int64_t n_end, const TapeOperand& sums,
              int64_t apart);
// The same for float32 sums, those of row i and column n at sums[i] + n.
void run_tape(const Sink& sink, int64_t batch, int64_t row, int rows, int64_t n, int64_t n_end, float* const* sums);

}  // namespace tw
