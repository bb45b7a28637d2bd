// What products of narrow elements, bfloat16 and 8-bit integers, share: inputs are a, b, bias (perhaps absent), side
// operands…, with b perhaps packed. Attributes: "packed" and "weights", the dtype that was packed; "sums", what the
// epilogue's tape reads: "float32", or, of integers only, "int32"; "biasSign", -1 where an integer bias is subtracted.
#pragma once
#include <memory>
#include <vector>

#include "kernels/contraction/word_sources.h"

namespace tw {

class Narrow {
 public:
  // Throws kInvalidPlan where the step is no such product.
  Narrow(const StepInfo& step, const char* kernel);

  const Epilogue& epilogue() const { return epilogue_; }
  bool packed() const { return packed_; }
  Words words() const { return words_; }
  DType weights() const { return weights_; }
  // Throws unless the tensors have the dtypes that the kernel was made for, and a bias one element a column and batch.
  void check(std::span<const Tensor> inputs, int64_t columns) const;
  // The inputs as float32 kernels have them: without a bias of integers.
  std::vector<Tensor> with_float_bias(std::span<const Tensor> inputs) const;
  // `packed` is null where b is not; `batch_columns` is the bias's distance from batch to batch.
  void run(KernelContext& context, const GemmShape& shape, int64_t depth, const RowSource& rows,
           const PanelSource& panels, const int32_t* column_sums, std::span<const Tensor> inputs, const Sink& sink,
           int64_t batch_columns) const;
  size_t lane_bytes(const GemmShape& shape, int threads, const Sink& sink) const;

 private:
  DType a_, weights_;
  bool packed_, to_float_;
  Words words_;
  int32_t bias_sign_;
  Epilogue epilogue_;
};

}  // namespace tw
