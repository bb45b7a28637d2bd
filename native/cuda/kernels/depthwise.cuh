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
//   store(a, at, r, sums)                   of the run's r-th output, where there is one: what was stored, widened, or
//                                           zeros
//   vectors, runs(a)                        of a pixel, and of an image: threads are [image][run][vector]

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
template <typename Window, int Run>
TW_DEVICE void window_sums(const Arguments& a, const typename Window::Position& at,
                           typename Window::Accumulator (&sum)[Run][Window::width]) {
  using Value = typename Window::Accumulator;
  constexpr int width = Window::width;
  constexpr int span = (Run - 1) * Window::stride_x + (Window::taps_x - 1) * Window::dilation_x + 1;
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
}

// Stores a run, and adds what was stored to `pool`.
template <typename Window, int Run>
TW_DEVICE void window_stores(const Arguments& a, const typename Window::Position& at,
                             const typename Window::Accumulator (&sum)[Run][Window::width],
                             typename Window::Accumulator (&pool)[Window::width]) {
  constexpr int width = Window::width;
#pragma unroll
  for (int r = 0; r < Run; ++r) {
    Vec<typename Window::Accumulator, width> part;
#pragma unroll
    for (int i = 0; i < width; ++i) part.v[i] = sum[r][i];
    const auto stored = Window::store(a, at, r, part);
#pragma unroll
    for (int i = 0; i < width; ++i) pool[i] += stored.v[i];
  }
}

template <typename Window, int Run, int Threads>
TW_DEVICE void depthwise_rows(const Arguments& a) {
  using Value = typename Window::Accumulator;
  typename Window::Position at;
  const bool active = Window::position(a, blockIdx.x * Threads + threadIdx.x, Run, at);
  wait_for_predecessor();
  let_successor_start();
  if (!active) return;
  Value sum[Run][Window::width]{}, pool[Window::width]{};
  window_sums<Window, Run>(a, at, sum);
  window_stores<Window, Run>(a, at, sum, pool);
}

// The same, and sums over pixels of what is stored: a row of all channels from each block, whose threads side by side
// hold a pixel and which takes `Rounds` times as many runs of one image as rows of threads fit in it. `to` is
// [images][slots][channels], blockIdx.x counts the rows of it.
template <typename Window, int Run, int Threads, int Rounds>
TW_DEVICE void depthwise_pooled(const Arguments& a, f32* to) {
  constexpr int width = Window::width, across = Window::vectors, down = Threads / across, channels = across * width;
  static_assert(down > 0 && is_same<typename Window::Accumulator, f32>, "a row of threads for a pixel");
  __shared__ f32 pooled[down * channels];
  const int x = static_cast<int>(threadIdx.x) % across, y = static_cast<int>(threadIdx.x) / across;
  const i32 runs = Window::runs(a), slots = ceil_div(runs, down * Rounds);
  const i32 image = static_cast<i32>(blockIdx.x) / slots, slot = static_cast<i32>(blockIdx.x) - image * slots;
  wait_for_predecessor();
  let_successor_start();
  f32 pool[width]{};
  const i32 first = slot * (down * Rounds) + y;
#pragma unroll 1
  for (i32 run = first; y < down && run < runs && run < first + down * Rounds; run += down) {
    typename Window::Position at;
    Window::position(a, static_cast<u32>(image * runs + run) * across + x, Run, at);
    f32 sum[Run][width]{};
    window_sums<Window, Run>(a, at, sum);
    window_stores<Window, Run>(a, at, sum, pool);
  }
  if (y < down) {
#pragma unroll
    for (int i = 0; i < width; ++i) pooled[y * channels + x * width + i] = pool[i];
  }
  __syncthreads();
  f32* const row = to + static_cast<i64>(blockIdx.x) * channels;
  for (int c = threadIdx.x; c < channels; c += Threads) {
    f32 sum = 0;
#pragma unroll 4
    for (int r = 0; r < down; ++r) sum += pooled[r * channels + c];
    row[c] = sum;
  }
}
