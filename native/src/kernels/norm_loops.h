// The inner loops of the normalisations, for every level of the instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

struct NormLoops {
  void (*add)(const float* a, const float* b, float* y, int64_t n);
  // Mean and mean squared deviation from it.
  void (*moments)(const float* x, int64_t n, float* mean, float* variance);
  float (*mean_square)(const float* x, int64_t n);
  // y = (x - mean) * factor * scale + bias; bias may be null.
  void (*scale_shift)(const float* x, float mean, float factor, const float* scale, const float* bias, float* y, int64_t n);
  // y = x * a + b with one a and b for all elements.
  void (*affine)(const float* x, float a, float b, float* y, int64_t n);
  // For pixels of c channels, `stride` apart: sums[i] += x; squares[i] += (x - mean[i])^2; y = x * a[i] + b[i].
  void (*add_columns)(const float* x, int64_t pixels, int64_t stride, int64_t c, float* sums);
  void (*add_squares)(const float* x, int64_t pixels, int64_t stride, int64_t c, const float* mean, float* squares);
  void (*affine_columns)(const float* x, int64_t pixels, int64_t x_stride, float* y, int64_t y_stride, int64_t c, const float* a, const float* b);
};
TW_PER_ISA(const NormLoops& norm_loops();)

}  // namespace tw
