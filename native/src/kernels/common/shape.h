// Small things every kernel needs about its tensors: axes, small integer inputs, outputs of unknown shape.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/kernel.h"

namespace tw {

// An optional input that was given. An empty tensor is present.
inline bool present(std::span<const Tensor> inputs, size_t index) { return index < inputs.size() && inputs[index].rank >= 0; }

// An output somebody reads.
inline bool wanted(std::span<const Tensor> outputs, size_t index) { return index < outputs.size() && outputs[index].data; }

// Into [0, rank); throws kInvalidArgument naming `what`.
int normalize_axis(int64_t axis, int rank, const char* what);

// All elements of a small integer (or bool) tensor, in row-major order.
std::vector<int64_t> read_integers(const Tensor& tensor, const char* what);
// Its single element.
int64_t read_integer(const Tensor& tensor, const char* what);
// The single element of a tensor of any real dtype.
double read_number(const Tensor& tensor, const char* what);

// Makes output `index` have these dims: allocates where its shape was unknown, otherwise checks that the
// planned shape is the computed one. Outputs beyond the span are ignored.
void resolve_output(KernelContext& context, std::span<Tensor> outputs, size_t index, std::span<const int64_t> dims);
inline void resolve_output(KernelContext& context, std::span<Tensor> outputs, size_t index,
                           std::initializer_list<int64_t> dims) {
  resolve_output(context, outputs, index, std::span<const int64_t>(dims.begin(), dims.size()));
}

std::string dims_text(std::span<const int64_t> dims);

[[noreturn]] void unsupported_dtype(const char* kernel, DType dtype);

inline int64_t product(const int64_t* dims, int begin, int end) {
  int64_t n = 1;
  for (int i = begin; i < end; ++i) n *= dims[i];
  return n;
}

// Walks an index space in row-major order and keeps the element offsets of N tensors in step.
template <int N>
struct Walk {
  int rank = 0;
  int64_t dims[kMaxRank] = {}, index[kMaxRank] = {};
  int64_t strides[N][kMaxRank], offset[N];

  void add(int64_t dim, const int64_t (&stride)[N]) {
    dims[rank] = dim;
    for (int t = 0; t < N; ++t) strides[t][rank] = stride[t];
    ++rank;
  }
  int64_t count() const { return product(dims, 0, rank); }
  void seek(int64_t linear) {
    for (int t = 0; t < N; ++t) offset[t] = 0;
    for (int i = rank - 1; i >= 0; --i) {
      index[i] = dims[i] ? linear % dims[i] : 0;
      linear = dims[i] ? linear / dims[i] : 0;
      for (int t = 0; t < N; ++t) offset[t] += index[i] * strides[t][i];
    }
  }
  void next() {
    for (int i = rank - 1; i >= 0; --i) {
      for (int t = 0; t < N; ++t) offset[t] += strides[t][i];
      if (++index[i] < dims[i]) return;
      for (int t = 0; t < N; ++t) offset[t] -= index[i] * strides[t][i];
      index[i] = 0;
    }
  }
};

// The stride of `operand`'s axis that lines up with axis `axis` of a shape of `rank` axes under numpy broadcasting.
inline int64_t broadcast_stride(const Tensor& operand, int rank, int axis) {
  const int own = axis - (rank - operand.rank);
  return own < 0 || operand.dims[own] == 1 ? 0 : operand.strides[own];
}

template <typename T> struct TypeTag { using type = T; };

// Calls fn(TypeTag<T>{}) with the C++ type that stores the dtype; bool is uint8_t. Narrow floats never get here:
// adapt() has widened them.
template <typename F>
auto visit_number(const char* kernel, DType dtype, F&& fn) {
  switch (dtype) {
    case DType::kFloat32: return fn(TypeTag<float>{});
    case DType::kFloat64: return fn(TypeTag<double>{});
    case DType::kInt8: return fn(TypeTag<int8_t>{});
    case DType::kUInt8: case DType::kBool: return fn(TypeTag<uint8_t>{});
    case DType::kInt16: return fn(TypeTag<int16_t>{});
    case DType::kUInt16: return fn(TypeTag<uint16_t>{});
    case DType::kInt32: return fn(TypeTag<int32_t>{});
    case DType::kUInt32: return fn(TypeTag<uint32_t>{});
    case DType::kInt64: return fn(TypeTag<int64_t>{});
    case DType::kUInt64: return fn(TypeTag<uint64_t>{});
    default: unsupported_dtype(kernel, dtype);
  }
}
template <typename F>
auto visit_float(const char* kernel, DType dtype, F&& fn) {
  switch (dtype) {
    case DType::kFloat32: return fn(TypeTag<float>{});
    case DType::kFloat64: return fn(TypeTag<double>{});
    default: unsupported_dtype(kernel, dtype);
  }
}
// Data types of index tensors.
template <typename F>
auto visit_index(const char* kernel, DType dtype, F&& fn) {
  switch (dtype) {
    case DType::kInt32: return fn(TypeTag<int32_t>{});
    case DType::kInt64: return fn(TypeTag<int64_t>{});
    default: unsupported_dtype(kernel, dtype);
  }
}
// For kernels that only move elements: an unsigned type of the element's size.
struct Bytes16 { uint64_t low, high; };
template <typename F>
auto visit_size(const char* kernel, DType dtype, F&& fn) {
  if (dtype == DType::kString) unsupported_dtype(kernel, dtype);
  switch (info(dtype).bits) {
    case 8: return fn(TypeTag<uint8_t>{});
    case 16: return fn(TypeTag<uint16_t>{});
    case 32: return fn(TypeTag<uint32_t>{});
    case 64: return fn(TypeTag<uint64_t>{});
    case 128: return fn(TypeTag<Bytes16>{});
    default: unsupported_dtype(kernel, dtype);
  }
}

}  // namespace tw
