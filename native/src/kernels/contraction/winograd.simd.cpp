#include "kernels/contraction/winograd.h"

#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int W = F32::kLanes;

// One dimension of the transforms: input d[m + 2] to points, products at the points to output y[m].
template <int M>
struct Transform;

template <>
struct Transform<2> {
  static TW_SIMD_INLINE void input(const F32 (&d)[4], F32 (&v)[4]) {
    v[0] = d[2] - d[0];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  static TW_SIMD_INLINE void output(const F32 (&p)[4], F32 (&y)[2]) {
    y[0] = p[0] + (p[1] + p[2]);
    y[1] = (p[1] - p[2]) + p[3];
  }
};

template <>
struct Transform<4> {
  static constexpr float a = 0.625f, b = 1.5f;
  static TW_SIMD_INLINE void input(const F32 (&d)[6], F32 (&v)[6]) {
    const F32 aa = F32::set(-a * a), bb = F32::set(-b * b), sum = F32::set(-(a * a + b * b)),
              product = F32::set(a * a * b * b);
    const F32 even_a = fma(bb, d[2], d[4]), odd_a = fma(bb, d[1], d[3]) * F32::set(a);
    const F32 even_b = fma(aa, d[2], d[4]), odd_b = fma(aa, d[1], d[3]) * F32::set(b);
    v[0] = fma(product, d[0], fma(sum, d[2], d[4]));
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = fma(product, d[1], fma(sum, d[3], d[5]));
  }
  static TW_SIMD_INLINE void output(const F32 (&p)[6], F32 (&y)[4]) {
    const F32 even_a = p[1] + p[2], odd_a = p[1] - p[2], even_b = p[3] + p[4], odd_b = p[3] - p[4];
    y[0] = p[0] + (even_a + even_b);
    y[1] = fma(F32::set(b), odd_b, odd_a * F32::set(a));
    y[2] = fma(F32::set(b * b), even_b, even_a * F32::set(a * a));
    y[3] = fma(F32::set(b * b * b), odd_b, fma(F32::set(a * a * a), odd_a, p[5]));
  }
};

template <int M, bool WHOLE>
void input_tile(const WinogradInput& t) {
  constexpr int A = M + 2;
  for (int64_t c = 0; c < t.channels; c += W) {
    const int n = t.channels - c < W ? static_cast<int>(t.channels - c) : W;
    F32 half[A][A];
#pragma GCC unroll 6
    for (int j = 0; j < A; ++j) {
      F32 d[A], v[A];
      const float* p = t.x + j * t.column + c;
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i, p += t.row) {
        if (WHOLE) {
          d[i] = F32::load(p);
        } else if (i < t.row_begin || i >= t.row_end || j < t.column_begin || j >= t.column_end) {
          d[i] = F32::set(0);
        } else {
          d[i] = n == W ? F32::load(p) : F32::load_part(p, n, 0);
        }
      }
      Transform<M>::input(d, v);
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) half[i][j] = v[i];
    }
    float* out = t.v + c;
#pragma GCC unroll 6
    for (int i = 0; i < A; ++i) {
      F32 v[A];
      Transform<M>::input(half[i], v);
#pragma GCC unroll 6
      for (int j = 0; j < A; ++j, out += t.point_stride) v[j].store(out);
    }
  }
}

template <int M>
void input(const WinogradInput& t) {
  constexpr int A = M + 2;
  const bool whole =
      t.row_begin <= 0 && t.row_end >= A && t.column_begin <= 0 && t.column_end >= A && t.channels % W == 0;
  (whole ? input_tile<M, true> : input_tile<M, false>)(t);
}

template <int M>
void output(const WinogradOutput& t) {
  constexpr int A = M + 2;
  for (int64_t c = 0; c < t.columns; c += W) {
    const int n = t.columns - c < W ? static_cast<int>(t.columns - c) : W;
    F32 half[M][A];
#pragma GCC unroll 6
    for (int j = 0; j < A; ++j) {
      F32 p[A], y[M];
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) p[i] = F32::load(t.products + (i * A + j) * t.point_stride + c);
      Transform<M>::output(p, y);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) half[i][j] = y[i];
    }
    const F32 bias = !t.bias ? F32::set(0) : n == W ? F32::load(t.bias + c) : F32::load_part(t.bias + c, n, 0);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      F32 y[M];
      Transform<M>::output(half[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < M; ++j) {
        float* to = t.y[i * M + j];
        if (!to) continue;
        F32 x = y[j] + bias;
        if (t.residual) {
          const float* from = t.residual[i * M + j] + c;
          x = x + (n == W ? F32::load(from) : F32::load_part(from, n, 0));
        }
        if (t.clip) x = min(F32::set(t.high), max(F32::set(t.low), x));
        if (n == W)
          x.store(to + c);
        else
          x.store_part(to + c, n);
      }
    }
  }
}

}  // namespace

const WinogradTable& winograd_table(int m) {
  static constexpr WinogradTable two = {input<2>, output<2>}, four = {input<4>, output<4>};
  return m == 2 ? two : four;
}

}  // namespace tw::TW_ISA_NAMESPACE
