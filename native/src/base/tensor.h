// A typed, strided view of memory. Dims are logical (ONNX order); a layout is nothing but strides.
#pragma once
#include <cstdint>

#include "base/dtype.h"

namespace tw {

constexpr int kMaxRank = 12;

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  int rank = 0;
  int64_t dims[kMaxRank] = {};
  int64_t strides[kMaxRank] = {};  // in elements; sub-byte tensors are always dense row-major
  bool on_device = false;          // the memory is a device's

  template <typename T> T* as() const { return static_cast<T*>(data); }

  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
  // Elements are dense in logical (row-major) order.
  bool contiguous() const {
    int64_t expected = 1;
    for (int i = rank - 1; i >= 0; --i) {
      if (dims[i] != 1 && strides[i] != expected) return false;
      expected *= dims[i];
    }
    return true;
  }
  // Dense with the channel dimension (axis 1) innermost: NHWC, NWC, NDHWC.
  bool channels_last() const {
    if (rank < 3) return false;
    if (dims[1] != 1 && strides[1] != 1) return false;
    int64_t expected = dims[1];
    for (int i = rank - 1; i >= 2; --i) {
      if (dims[i] != 1 && strides[i] != expected) return false;
      expected *= dims[i];
    }
    return dims[0] == 1 || strides[0] == expected;
  }
  void set_row_major() {
    int64_t s = 1;
    for (int i = rank - 1; i >= 0; --i) { strides[i] = s; s *= dims[i]; }
  }
};

}  // namespace tw
