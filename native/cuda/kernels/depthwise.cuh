// Convolution of every channel with a filter of its own, on channels-last images. The generated text gives a type:
//   Element, Weight, Accumulator
//   width                             channels of a thread, neighbours in memory
//   taps_y, taps_x, stride_y, stride_x, dilation_y, dilation_x: the window; x is the innermost spatial axis, y the others'
//                                     innermost; outermost axes are looped over by the taps of `outer` (1 where none)
//   Image(a, n, channel): load(y, x, inside) etc.

// Neighbouring outputs along x share what they load: a thread computes `Run` of them for `width` channels.
template <typename Window, int Run>
TW_DEVICE void depthwise(const Arguments& a) {
  using Value = typename Window::Accumulator;
  using T = typename Window::Element;
  constexpr int width = Window::width;
  constexpr int span = (Run - 1) * Window::stride_x + (Window::taps_x - 1) * Window::dilation_x + 1;
  typename Window::Position at;
  const bool active = Window::position(a, blockIdx.x * blockDim.x + threadIdx.x, Run, at);
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
        bool used = false;
#pragma unroll
        for (int x = 0; x < Window::taps_x; ++x) {
          const int shift = p - x * Window::dilation_x;
          used = used || (shift >= 0 && shift % Window::stride_x == 0 && shift / Window::stride_x < Run);
        }
        if (!used) continue;
        const Vec<T, width> pixel = Window::pixel(a, at, z, y, p);
#pragma unroll
        for (int x = 0; x < Window::taps_x; ++x) {
          const int shift = p - x * Window::dilation_x;
          if (shift < 0 || shift % Window::stride_x != 0 || shift / Window::stride_x >= Run) continue;
#pragma unroll
          for (int i = 0; i < width; ++i)
            sum[shift / Window::stride_x][i] += convert<Value>(pixel.v[i]) * convert<Value>(weights[x].v[i]);
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
