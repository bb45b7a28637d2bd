// Moving elements between strided views of equal dims: what `copy`, `concat`, `pad` and the dynamic movements are made
// of.
#pragma once
#include "base/isa_dispatch.h"
#include "base/kernel.h"

namespace tw {

// Copies every element; dims and dtype are equal, strides of `from` may be 0 (broadcast), of both negative. The views
// do not overlap. Elements narrower than a byte count from the first byte of `data`, with any strides.
void copy_tensor(ThreadPool& pool, const Tensor& from, const Tensor& to);

// The view of `t` that starts `offset` elements further on (whole bytes).
Tensor shifted(const Tensor& t, int64_t offset);
// Elements [start, start + size) of one axis.
Tensor narrowed(const Tensor& t, int axis, int64_t start, int64_t size);

// dst[j * dst_stride + i] = src[i * src_stride + j] for i < rows, j < columns.
using TransposeFn = void (*)(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows,
                             int64_t columns);
// By element size 1, 2, 4, 8, 16: index log2.
struct TransposeOps {
  TransposeFn by_size[5];
};
TW_PER_ISA(const TransposeOps& transpose_ops();)

}  // namespace tw
