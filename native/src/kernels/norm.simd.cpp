// Moments and affine maps of floats in vectors. Deviations are summed about the mean, never as differences of squares.
#include "kernels/norm_loops.h"
#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int kLanes = F32::kLanes;

// Sum of f(vector) over n elements; the missing lanes of the last vector read as `fill`, for which f must be 0.
template <typename F>
TW_SIMD_INLINE float sum_of(const float* x, int64_t n, float fill, F&& f) {
  F32 a = F32::set(0), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = a + f(F32::load(x + i));
    b = b + f(F32::load(x + i + kLanes));
    c = c + f(F32::load(x + i + 2 * kLanes));
    d = d + f(F32::load(x + i + 3 * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) a = a + f(F32::load(x + i));
  if (i < n) b = b + f(F32::load_part(x + i, n - i, fill));
  return ((a + b) + (c + d)).sum();
}

void add(const float* a, const float* b, float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) (F32::load(a + i) + F32::load(b + i)).store(y + i);
    else (F32::load_part(a + i, lanes, 0) + F32::load_part(b + i, lanes, 0)).store_part(y + i, lanes);
  });
}

void moments(const float* x, int64_t n, float* mean, float* variance) {
  const float m = sum_of(x, n, 0, [](F32 v) { return v; }) / static_cast<float>(n);
  const F32 center = F32::set(m);
  *mean = m;
  *variance = sum_of(x, n, m, [&](F32 v) { return (v - center) * (v - center); }) / static_cast<float>(n);
}

float mean_square(const float* x, int64_t n) { return sum_of(x, n, 0, [](F32 v) { return v * v; }) / static_cast<float>(n); }

void scale_shift(const float* x, float mean, float factor, const float* scale, const float* bias, float* y, int64_t n) {
  const F32 m = F32::set(mean), f = F32::set(factor);
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) {
      const F32 v = (F32::load(x + i) - m) * f;
      (bias ? fma(v, F32::load(scale + i), F32::load(bias + i)) : v * F32::load(scale + i)).store(y + i);
    } else {
      const F32 v = (F32::load_part(x + i, lanes, 0) - m) * f, s = F32::load_part(scale + i, lanes, 0);
      (bias ? fma(v, s, F32::load_part(bias + i, lanes, 0)) : v * s).store_part(y + i, lanes);
    }
  });
}

void affine(const float* x, float a, float b, float* y, int64_t n) {
  const F32 va = F32::set(a), vb = F32::set(b);
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) fma(F32::load(x + i), va, vb).store(y + i);
    else fma(F32::load_part(x + i, lanes, 0), va, vb).store_part(y + i, lanes);
  });
}

void add_columns(const float* x, int64_t pixels, int64_t stride, int64_t c, float* sums) {
  for_vectors(c, [&](int64_t i, int64_t lanes, bool whole) {
    F32 s = F32::set(0), t = s;
    const float* p = x + i;
    int64_t k = 0;
    if (whole) {
      for (; k + 2 <= pixels; k += 2, p += 2 * stride) {
        s = s + F32::load(p);
        t = t + F32::load(p + stride);
      }
      if (k < pixels) s = s + F32::load(p);
      (F32::load(sums + i) + (s + t)).store(sums + i);
    } else {
      for (; k < pixels; ++k, p += stride) s = s + F32::load_part(p, lanes, 0);
      (F32::load_part(sums + i, lanes, 0) + s).store_part(sums + i, lanes);
    }
  });
}

void add_squares(const float* x, int64_t pixels, int64_t stride, int64_t c, const float* mean, float* squares) {
  for_vectors(c, [&](int64_t i, int64_t lanes, bool whole) {
    F32 s = F32::set(0), t = s;
    const F32 m = whole ? F32::load(mean + i) : F32::load_part(mean + i, lanes, 0);
    const float* p = x + i;
    int64_t k = 0;
    if (whole) {
      for (; k + 2 <= pixels; k += 2, p += 2 * stride) {
        const F32 d = F32::load(p) - m, e = F32::load(p + stride) - m;
        s = fma(d, d, s);
        t = fma(e, e, t);
      }
      if (k < pixels) s = s + (F32::load(p) - m) * (F32::load(p) - m);
      (F32::load(squares + i) + (s + t)).store(squares + i);
    } else {
      for (; k < pixels; ++k, p += stride) {
        const F32 d = F32::load_part(p, lanes, 0) - m;
        s = fma(d, d, s);
      }
      (F32::load_part(squares + i, lanes, 0) + s).store_part(squares + i, lanes);
    }
  });
}

void affine_columns(const float* x, int64_t pixels, int64_t x_stride, float* y, int64_t y_stride, int64_t c, const float* a,
                    const float* b) {
  for (int64_t k = 0; k < pixels; ++k)
    for_vectors(c, [&](int64_t i, int64_t lanes, bool whole) {
      const float* p = x + k * x_stride + i;
      float* q = y + k * y_stride + i;
      if (whole) fma(F32::load(p), F32::load(a + i), F32::load(b + i)).store(q);
      else fma(F32::load_part(p, lanes, 0), F32::load_part(a + i, lanes, 0), F32::load_part(b + i, lanes, 0)).store_part(q, lanes);
    });
}

}  // namespace

const NormLoops& norm_loops() {
  static constexpr NormLoops table = {add,    moments,     mean_square, scale_shift,
                                      affine, add_columns, add_squares, affine_columns};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
