// Lists of numbers that the host computes for a step and its kernel reads: extents, grids, pads.
#pragma once
#include <span>
#include <string>

#include "base/error.h"
#include "base/tensor.h"

namespace tw {

inline bool is_int64_list(const Tensor& t) { return t.dtype == DType::kInt64 && t.rank == 1 && t.dims[0] >= 0; }

// Throws kInvalidPlan, naming `what`, unless it is a list of int64 whose elements lie one after the other: plans are
// free to give any view for an operand.
inline std::span<const int64_t> host_list(const Tensor& list, const char* what) {
  if (!is_int64_list(list) || list.on_device)
    throw Error(Code::kInvalidPlan, std::string(what) + ": expected a list of int64 of the host");
  if (!list.contiguous()) throw Error(Code::kInvalidPlan, std::string(what) + ": a list whose elements lie apart");
  return {list.as<const int64_t>(), static_cast<size_t>(list.dims[0])};
}

}  // namespace tw
