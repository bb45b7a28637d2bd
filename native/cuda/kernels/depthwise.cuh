#include "gemm/blocks.cuh"

// Convolution of every channel with a filter of its own, on channels-last images. The generated text gives a type
// Window:
//   Element, Weight, Accumulator
//   width                                   channels of a thread, neighbours in memory
//   taps_z, taps_y, taps_x                  the window, x being the innermost spatial axis; 1 where axes are fewer
//   stride_x, dilation_x
//   Position, position(a, i, run, at)       where thread i begins: `run` outputs along x; false beyond the image
//   row_inside(a, at, z, y)                 whether that row of the window lies inside the image
//   pixel(a, at, z, y, p)                   channels of the row's p-th pixel, the run's first being 0; or zeros
//   weights(a, at, z, y, x)
//   store(a, at, r, sums)                   of the run's r-th output, where there is one

// Whether the run's outputs read the p-th pixel of a row with tap x, and which of them does.
template <typename Window, int Run>
TW_DEVICE constexpr int output_of(int p, int x) {
  const int shift = p - x * Window::dilation_x;
  return shift >= 0 && shift % Window::stride_x == 0 && shift / Window::stride_x < Run ? shift / Window::stride_x : -1;
}

template <typename Window, int Run>
TW_DEVICE constexpr bool is_read(int p) {
  for (int x = 0; x < Window::taps_x; ++x)
    if (output_of<Window, Run>(p, x) >= 0) return true;
  return false;
}

// Neighbouring outputs along x share what they read: a thread computes `Run` of them, a pixel being loaded once.
template <typename Window, int Run, int Threads>
TW_DEVICE void depthwise_rows(const Arguments& a) {
  using Value = typename Window::Accumulator;
  constexpr int width = Window::width;
  constexpr int span = (Run - 1) * Window::stride_x + (Window::taps_x - 1) * Window::dilation_x + 1;
  typename Window::Position at;
  const bool active = Window::position(a, blockIdx.x * Threads + threadIdx.x, Run, at);
  wait_for_predecessor();
  let_successor_start();
  if (!active) return;

  Value sum[Run][width]{};
#pragma unroll 1
  for (int z = 0; z < Window::taps_z; ++z) {
#pragma unroll
    for (int y = 0; y < Window::taps_y; ++y) {
      if (!Window::row_inside(a, at, z, y)) continue;
      Vec<typename Window::Weight, width> weights[Window::taps_x];
#pragma unroll
      for (int x = 0; x < Window::taps_x; ++x) weights[x] = Window::weights(a, at, z, y, x);
#pragma unroll
      for (int p = 0; p < span; ++p) {
        if (!is_read<Window, Run>(p)) continue;
        const auto pixel = convert_vec<Value>(Window::pixel(a, at, z, y, p));
#pragma unroll
        for (int x = 0; x < Window::taps_x; ++x) {
          const int r = output_of<Window, Run>(p, x);
          if (r < 0) continue;
#pragma unroll
          for (int i = 0; i < width; ++i) sum[r][i] += pixel.v[i] * convert<Value>(weights[x].v[i]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < Run; ++r) {
    Vec<Value, width> part;
#pragma unroll
    for (int i = 0; i < width; ++i) part.v[i] = sum[r][i];
    Window::store(a, at, r, part);
  }
}
