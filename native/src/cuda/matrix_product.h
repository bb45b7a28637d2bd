// One matrix product of cuBLASLt, batched: D = epilogue(op(A) op(B) + C + bias), all matrices by columns.
// The step's inputs are the numbers that the host computes for it, A, B, and where there are any the bias and C.
// packages/backend-cuda/src/tactics/cublaslt.ts writes them.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "base/kernel.h"
#include "cuda/cublaslt.h"

namespace tw::cuda {

class MatrixProduct : public Kernel {
 public:
  explicit MatrixProduct(const StepInfo& step);

  bool recordable() const override { return true; }
  size_t workspace_bytes(std::span<const Tensor> inputs, std::span<const Tensor> outputs, int threads) const override;
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override;
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override;

 private:
  // Rows and columns of D, the sums' length, the count of matrices; then the leading dimension of A, B, C and D and how
  // far one of their matrices is from the next, in elements.
  struct Sizes {
    int64_t rows, columns, depth, batch;
    struct Place {
      int64_t ld, step;
      bool operator==(const Place&) const = default;
    } places[4];
    bool operator==(const Sizes&) const = default;
  };
  static_assert(sizeof(Sizes) == 12 * sizeof(int64_t));
  enum { kA, kB, kC, kD };
  class Call;

  Sizes sizes(std::span<const Tensor> inputs) const;
  bool empty(const Sizes& s) const { return s.rows == 0 || s.columns == 0 || s.batch == 0; }
  // Rows and columns of a matrix as it lies in memory.
  std::array<int64_t, 2> extents(int matrix, const Sizes& s) const;
  // The algorithm for these sizes and its scratch memory: the one of the plan, or the library's first choice.
  cublaslt::Heuristic algorithm(const Sizes& sizes) const;

  const cublaslt::Library& library_;
  std::shared_ptr<CudaDevice> device_;
  cublaslt::HandlePointer handle_;
  int type_, result_type_, compute_type_;
  bool transposed_[2];
  uint32_t epilogue_;
  int bias_, residual_;  // which inputs they are; -1: none
  uint32_t alignments_[4];
  size_t algorithm_;  // index into the library's list

  mutable std::mutex mutex_;
  mutable std::vector<std::pair<Sizes, cublaslt::Heuristic>> found_;  // the last used last
};

}  // namespace tw::cuda
