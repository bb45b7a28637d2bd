// Indices that come from data: checked, negative ones counted from the end.
#pragma once
#include <string>

#include "kernels/common/shape.h"

namespace tw {

[[noreturn]] void index_out_of_range(const char* kernel, int64_t index, int64_t size);

inline int64_t checked_index(const char* kernel, int64_t index, int64_t size) {
  const int64_t i = index < 0 ? index + size : index;
  if (i < 0 || i >= size) [[unlikely]] index_out_of_range(kernel, index, size);
  return i;
}

// The last axis of `indices` as tuples that address slices of a row-major `data` (behind `batch` common axes).
struct IndexTuples {
  IndexTuples(const Tensor& data, const Tensor& indices, int batch, const char* kernel) : kernel(kernel) {
    if (batch < 0 || indices.rank < batch + 1 || data.rank < batch)
      throw Error(Code::kShapeMismatch, std::string(kernel) + ": indices have too few axes");
    length = indices.dims[indices.rank - 1];
    if (length < 1 || batch + length > data.rank)
      throw Error(Code::kShapeMismatch, std::string(kernel) + ": the indices' last axis is " + std::to_string(length) +
                                            ", expected 1 to " + std::to_string(data.rank - batch));
    for (int i = 0; i < batch; ++i)
      if (data.dims[i] != indices.dims[i])
        throw Error(Code::kShapeMismatch, std::string(kernel) + ": batch axis " + std::to_string(i) + " of data and indices differ");
    count = product(indices.dims, 0, indices.rank - 1);
    slice = product(data.dims, batch + static_cast<int>(length), data.rank);
    for (int64_t i = 0; i < length; ++i) {
      sizes[i] = data.dims[batch + i];
      steps[i] = product(data.dims, batch + static_cast<int>(i) + 1, data.rank);
    }
  }
  // Elements from the batch's start to the slice.
  template <typename I>
  int64_t offset(const I* tuple) const {
    int64_t at = 0;
    for (int64_t i = 0; i < length; ++i) at += checked_index(kernel, tuple[i], sizes[i]) * steps[i];
    return at;
  }

  const char* kernel;
  int64_t length, count, slice;
  int64_t sizes[kMaxRank], steps[kMaxRank];
};

}  // namespace tw
