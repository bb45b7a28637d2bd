#include "kernels/contraction/depthwise.h"

#include "kernels/contraction/activate.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int W = F32::kLanes;

// `n` < W only where a tensor has fewer channels than a vector.
TW_SIMD_INLINE F32 get(const float* p, int n) { return n == W ? F32::load(p) : F32::load_part(p, n, 0); }

// The sums of some outputs from `first` on, one vector of channels each, to memory.
template <int N>
TW_SIMD_INLINE void finish(const DepthwiseStrip& s, int first, int64_t c, int n, F32 (&x)[N]) {
  if (s.bias) {
    const F32 bias = get(s.bias + c, n);
    each(x, [&](F32 v) { return v + bias; });
  }
  if (s.residual) {
#pragma GCC unroll 8
    for (int o = 0; o < N; ++o) x[o] = x[o] + get(s.residual[first + o] + c, n);
  }
  if (s.clip) {
    const F32 low = F32::set(s.numbers.low), high = F32::set(s.numbers.high);
    each(x, [&](F32 v) { return min(high, max(low, v)); });
  }
  activate(s.activation, s.numbers, x);
#pragma GCC unroll 8
  for (int o = 0; o < N; ++o) {
    if (n == W)
      x[o].store(s.y[first + o] + c);
    else
      x[o].store_part(s.y[first + o] + c, n);
  }
}

// KW taps along w, outputs S input columns apart. At an edge some columns are outside the input and add nothing.
template <int KW, int S, int OUTPUTS, bool EDGE>
void strip(const DepthwiseStrip& s) {
  constexpr int kColumns = (OUTPUTS - 1) * S + KW;
  for (int64_t c = s.channel_begin; c < s.channel_end; c += W) {
    if (c + W > s.channels) c = s.channels - W;  // the last vector overlaps the one before
    F32 sum[OUTPUTS];
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; ++o) sum[o] = F32::set(0);
    const float* x_row = s.x + s.row_begin * s.row + c;
    const float* w_row = s.w + s.row_begin * KW * s.tap_stride + c;
    for (int64_t h = s.row_begin; h < s.row_end; ++h, x_row += s.row, w_row += KW * s.tap_stride) {
      F32 w[KW];
#pragma GCC unroll 8
      for (int k = 0; k < KW; ++k) w[k] = F32::load(w_row + k * s.tap_stride);
      const float* x_column = x_row;
#pragma GCC unroll 24
      for (int i = 0; i < kColumns; ++i, x_column += s.column) {
        if (EDGE && (i < s.column_begin || i >= s.column_end)) continue;
        const F32 x = F32::load(x_column);
#pragma GCC unroll 8
        for (int o = 0; o < OUTPUTS; ++o) {
          const int k = i - o * S;
          if (k >= 0 && k < KW) sum[o] = fma(x, w[k], sum[o]);
        }
      }
    }
    finish(s, 0, c, W, sum);
  }
}

// Any kernel, stride and dilation, and fewer channels than a vector.
void strip_any(const DepthwiseStrip& s) {
  for (int o = 0; o < s.outputs; ++o) {
    for (int64_t c = s.channel_begin; c < s.channel_end; c += W) {
      const int n = c + W <= s.channels ? W : static_cast<int>(s.channels - c);
      F32 sum[1] = {F32::set(0)};
      for (int64_t h = s.row_begin; h < s.row_end; ++h) {
        for (int64_t k = 0; k < s.kernel_w; ++k) {
          const int64_t column = o * s.stride_w + k * s.dilation_w;
          if (column < s.column_begin || column >= s.column_end) continue;
          sum[0] = fma(get(s.x + h * s.row + column * s.column + c, n),
                       get(s.w + (h * s.kernel_w + k) * s.tap_stride + c, n), sum[0]);
        }
      }
      finish(s, o, c, n, sum);
    }
  }
}

template <int KW, int S, int OUTPUTS>
void strip_of(const DepthwiseStrip& s) {
  constexpr int kColumns = (OUTPUTS - 1) * S + KW;
  if (s.column_begin <= 0 && s.column_end >= kColumns)
    strip<KW, S, OUTPUTS, false>(s);
  else
    strip<KW, S, OUTPUTS, true>(s);
}

template <int KW, int S>
void strip_of(const DepthwiseStrip& s) {
  if (s.outputs == 7)
    strip_of<KW, S, 7>(s);
  else if (s.outputs == 4)
    strip_of<KW, S, 4>(s);
  else
    strip_of<KW, S, 1>(s);
}

void dispatch(const DepthwiseStrip& s) {
  if (s.dilation_w == 1 && s.channels >= W) {
    if (s.kernel_w == 3 && s.stride_w == 1) return strip_of<3, 1>(s);
    if (s.kernel_w == 3 && s.stride_w == 2) return strip_of<3, 2>(s);
    if (s.kernel_w == 5 && s.stride_w == 1) return strip_of<5, 1>(s);
    if (s.kernel_w == 5 && s.stride_w == 2) return strip_of<5, 2>(s);
    if (s.kernel_w == 7 && s.stride_w == 1) return strip_of<7, 1>(s);
  }
  strip_any(s);
}

}  // namespace

const DepthwiseTable& depthwise_table() {
  static constexpr DepthwiseTable table = {dispatch};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
