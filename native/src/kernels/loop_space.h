// One loop nest over several tensors of equal dims: axes of one element dropped, the rest ordered and merged so that
// the innermost loop is as long and as dense as the first tensor allows.
#pragma once
#include <cstdint>
#include <span>

#include "base/tensor.h"

namespace tw {

template <int MaxTensors>
struct LoopSpace {
  int rank = 0;
  int tensors = 0;
  int64_t dims[kMaxRank];                 // outermost first
  int64_t strides[MaxTensors][kMaxRank];  // elements; 0 where a tensor is broadcast

  // All tensors have the rank of `dims`; an axis of one element stands for any number of them.
  LoopSpace(std::span<const int64_t> shape, std::span<const Tensor* const> list)
      : tensors(static_cast<int>(list.size())) {
    int order[kMaxRank], axes = 0;
    for (int i = 0; i < static_cast<int>(shape.size()); ++i)
      if (shape[static_cast<size_t>(i)] != 1) order[axes++] = i;
    // By falling stride of the first tensor; a stable insertion sort keeps equal ones in logical order.
    const auto size = [&](int axis) {
      const int64_t s = list[0]->strides[axis];
      return s < 0 ? -s : s;
    };
    for (int i = 1; i < axes; ++i)
      for (int j = i; j > 0 && size(order[j - 1]) < size(order[j]); --j) {
        const int swap = order[j];
        order[j] = order[j - 1], order[j - 1] = swap;
      }
    for (int i = 0; i < axes; ++i) {
      const int axis = order[i];
      int64_t own[MaxTensors];
      bool merges = rank > 0;
      for (int t = 0; t < tensors; ++t) {
        own[t] = list[static_cast<size_t>(t)]->dims[axis] == 1 ? 0 : list[static_cast<size_t>(t)]->strides[axis];
        merges = merges && strides[t][rank - 1] == own[t] * shape[static_cast<size_t>(axis)];
      }
      if (!merges) dims[rank++] = 1;
      dims[rank - 1] *= shape[static_cast<size_t>(axis)];
      for (int t = 0; t < tensors; ++t) strides[t][rank - 1] = own[t];
    }
    if (rank == 0) {  // a single element
      rank = 1;
      dims[0] = 1;
      for (int t = 0; t < tensors; ++t) strides[t][0] = 1;
    }
  }

  int64_t count(int axes) const {
    int64_t n = 1;
    for (int i = 0; i < axes; ++i) n *= dims[i];
    return n;
  }

  // Element offsets of every tensor at place `linear` of the first `axes` axes.
  void offsets(int64_t linear, int axes, int64_t* out) const {
    for (int t = 0; t < tensors; ++t) out[t] = 0;
    for (int i = axes - 1; i >= 0; --i) {
      const int64_t at = linear % dims[i];
      linear /= dims[i];
      for (int t = 0; t < tensors; ++t) out[t] += at * strides[t][i];
    }
  }
};

}  // namespace tw
