// From checked dims to strided tensors: sizes without overflow, and views that stay inside their value.
#pragma once
#include <span>
#include <string>

#include "base/error.h"
#include "base/tensor.h"

namespace tw {

// Sets rank, dims and the strides of a dense tensor whose axes are laid out in `order` (outermost first; empty:
// row-major). Throws when a dim is negative or the size overflows, naming `what`.
void set_dense(Tensor& tensor, std::span<const int64_t> dims, std::span<const int8_t> order, const char* what);

// Bytes of a dense tensor of these dims, which set_dense() has accepted.
inline size_t dense_bytes(const Tensor& tensor) { return packed_bytes(tensor.dtype, tensor.count()); }

// Where in its value's `bytes` bytes a view begins whose first element is element `offset`; checks that all its
// elements are inside.
size_t view_offset(const Tensor& view, int64_t offset, size_t bytes, const char* what);

// Same dims and dtype; sub-byte tensors are dense on both sides.
void copy_elements(const Tensor& from, const Tensor& to);

std::string dims_text(std::span<const int64_t> dims);  // kernels/common/shape.cpp
std::string dims_text(const Tensor& tensor);

inline bool same_dims(const Tensor& a, std::span<const int64_t> dims) {
  if (a.rank != static_cast<int>(dims.size())) return false;
  for (int i = 0; i < a.rank; ++i)
    if (a.dims[i] != dims[static_cast<size_t>(i)]) return false;
  return true;
}

inline std::span<const int64_t> dims_of(const Tensor& tensor) {
  return {tensor.dims, static_cast<size_t>(tensor.rank < 0 ? 0 : tensor.rank)};
}

}  // namespace tw
