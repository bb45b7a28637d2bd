#include "gemm.cuh"
#include "gemm/thread_sums.cuh"

// Convolution whose taps are displaced and weighted by tensors of the network, on channels-last images. It is a product
// of sampled pixels and weights, whose left operand exists in shared memory only: while a step of the product runs, the
// next step's pixels are gathered, then interpolated and stored. A step is one tap and at most Depth channels that
// share their displacements; a block works out for each of its output pixels which four pixels such a tap reads, one
// step further ahead. The generated text gives a type Deform:
//   Element, Accumulator                        f16 or bf16 with f32, or f32 with f32
//   Result, rows(a), columns(a), batches(a), splits, partial(a)
//                                               as of a contraction (gemm/blocks.cuh): rows are output pixels, columns
//                                               output channels of a group, batches are groups
//   width                                       channels of one load of the image, aligned
//   channels                                    of the image
//   taps_x, taps, stride_y, stride_x, dilation_y, dilation_x
//   chunks                                      steps of a tap. All taps of a chunk follow each other: they read much the
//                                               same pixels, which the first-level cache still has
//   in_y(a), in_x(a), out_y(a), out_x(a), pad_y(a), pad_x(a)
//   image(a)                                    pointer to the image, dense
//   table(a)                                    of each group and chunk: first channel, count, displacements' group, 0
//   weights(a)                                  [group][step][column][Depth]; of float32 [group][step][Depth][pitch]
//   pitch                                       columns rounded up to vectors
//   shift(a, n, at, y, x), scale(a, n, at, y, x)
//                                               displacement and weight of tap `at` of a group at an output pixel

struct DeformStep {
  i32 tap, channel, count, group;
};

template <typename Deform>
TW_DEVICE DeformStep deform_step(const Arguments& a, i32 batch, i32 step) {
  const Vec<i32, 4> chunk = load_vec<4>(Deform::table(a) + (batch * Deform::chunks + step / Deform::taps) * 4);
  return {step % Deform::taps, chunk[0], chunk[1], chunk[2]};
}

// Where the taps of a step read, for Rows output pixels, each worked out by a thread of its own: pixels of the image,
// negative outside of it, and what they count.
template <typename Deform, int Rows>
struct DeformPlaces {
  static constexpr int bytes = Rows * 32;
  Vec<i32, 4>* pixels;
  Vec<f32, 4>* weights;
  i32 image, y, x;
  f32 down, right, scale;
  bool works;

  TW_DEVICE DeformPlaces(const Arguments& a, u8* shared, i32 first_row)
      : pixels(reinterpret_cast<Vec<i32, 4>*>(shared)), weights(reinterpret_cast<Vec<f32, 4>*>(shared) + 2 * Rows) {
    const i32 row = first_row + static_cast<i32>(threadIdx.x);
    works = threadIdx.x < Rows;
    image = row < Deform::rows(a) ? row / (Deform::out_y(a) * Deform::out_x(a)) : -1;
    y = row / Deform::out_x(a) % Deform::out_y(a);
    x = row % Deform::out_x(a);
  }

  TW_DEVICE void start(const Arguments& a, const DeformStep& step) {
    if (!works || image < 0) return;
    const i32 at = step.group * Deform::taps + step.tap;
    down = Deform::shift(a, image, 2 * at, y, x);
    right = Deform::shift(a, image, 2 * at + 1, y, x);
    scale = Deform::scale(a, image, at, y, x);
  }

  TW_DEVICE void finish(const Arguments& a, const DeformStep& step, int buffer) {
    if (!works) return;
    Vec<i32, 4> places{{-1, -1, -1, -1}};
    Vec<f32, 4> shares{};
    const i32 height = Deform::in_y(a), width = Deform::in_x(a);
    const f32 v = y * Deform::stride_y - Deform::pad_y(a) + step.tap / Deform::taps_x * Deform::dilation_y + down;
    const f32 u = x * Deform::stride_x - Deform::pad_x(a) + step.tap % Deform::taps_x * Deform::dilation_x + right;
    if (image >= 0 && v > -1.0f && u > -1.0f && v < height && u < width) {
      const f32 low_v = floorf(v), low_u = floorf(u);
      const f32 below = v - low_v, beside = u - low_u;
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        const i32 i = static_cast<i32>(low_v) + (corner >> 1), j = static_cast<i32>(low_u) + (corner & 1);
        if (i >= 0 && i < height && j >= 0 && j < width) places[corner] = (image * height + i) * width + j;
        shares[corner] = scale * (corner >> 1 ? below : 1.0f - below) * (corner & 1 ? beside : 1.0f - beside);
      }
    }
    pixels[buffer * Rows + threadIdx.x] = places;
    weights[buffer * Rows + threadIdx.x] = shares;
  }
};

// A thread's share of a step's pixels: chunks of 16 bytes of the operand's rows, gathered from four pixels each.
template <typename Deform, int Rows, int Depth, int Threads>
struct DeformGather {
  using T = typename Deform::Element;
  static constexpr int per_chunk = 16 / sizeof(T), across = Depth / per_chunk;
  static constexpr int slots = (Rows * across + Threads - 1) / Threads;
  static constexpr int width = Deform::width, pieces = per_chunk / width;
  Vec<T, width> gathered[slots][4][pieces];

  TW_DEVICE static int row_of(int slot) { return static_cast<int>(threadIdx.x + slot * Threads) / across; }
  TW_DEVICE static int chunk_of(int slot) { return static_cast<int>(threadIdx.x + slot * Threads) % across; }
  TW_DEVICE static bool has_slot(int slot) { return Rows * across % Threads == 0 || row_of(slot) < Rows; }

  TW_DEVICE void start(const Arguments& a, const DeformStep& step, const Vec<i32, 4>* places) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!has_slot(s)) continue;
      const Vec<i32, 4> place = places[row_of(s)];
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        const T* const pixel = Deform::image(a) + static_cast<i64>(place[corner]) * Deform::channels + step.channel;
#pragma unroll
        for (int p = 0; p < pieces; ++p) {
          const int k = chunk_of(s) * per_chunk + p * width;
          gathered[s][corner][p] = {};
          if (place[corner] >= 0 && k < step.count) gathered[s][corner][p] = load_vec<width>(pixel + k);
        }
      }
    }
  }

  // The interpolated elements of a slot.
  TW_DEVICE Vec<f32, per_chunk> finish(int slot, const Vec<f32, 4>* weights) const {
    const Vec<f32, 4> weight = weights[row_of(slot)];
    Vec<f32, per_chunk> sum;
#pragma unroll
    for (int i = 0; i < per_chunk; ++i) {
      sum[i] = weight[0] * convert<f32>(gathered[slot][0][i / width][i % width]);
#pragma unroll
      for (int corner = 1; corner < 4; ++corner)
        sum[i] += weight[corner] * convert<f32>(gathered[slot][corner][i / width][i % width]);
    }
    return sum;
  }
};

// Walks the steps of a block's share of the depth: `copy` starts the copy of a step's weights into one of two buffers,
// `put` stores what was gathered into one, `multiply` is given the buffer of a step that has everything.
template <typename Deform, int Rows, int Depth, int Threads, typename Copy, typename Put, typename Multiply>
TW_DEVICE void deform_steps(const Arguments& a, u8* shared, const BlockTile& tile, Copy copy, Put put,
                            Multiply multiply) {
  const DepthRange range = depth_range<Deform::splits>(Deform::taps * Deform::chunks, 1);
  auto step_at = [&](i32 i) { return deform_step<Deform>(a, tile.batch, range.begin + i); };
  if (range.count > 0) copy(range.begin, 0);
  cp_async_commit();
  wait_for_predecessor();
  DeformPlaces<Deform, Rows> places(a, shared, tile.row);
  DeformGather<Deform, Rows, Depth, Threads> gather;
  DeformStep next{}, later{};
  if (range.count > 0) {
    next = step_at(0);
    places.start(a, next);
    places.finish(a, next, 0);
    __syncthreads();
    gather.start(a, next, places.pixels);
    if (range.count > 1) {
      later = step_at(1);
      places.start(a, later);
    }
    put(gather, places.weights, 0);
    if (range.count > 1) places.finish(a, later, 1);
  }
  for (i32 i = 0; i < range.count; ++i) {
    const int now = i % 2, then = now ^ 1;
    cp_async_wait<0>();
    __syncthreads();
    if (i + 1 < range.count) {
      next = later;
      copy(range.begin + i + 1, then);
      cp_async_commit();
      gather.start(a, next, places.pixels + then * Rows);
      if (i + 2 < range.count) {
        later = step_at(i + 2);
        places.start(a, later);
      }
    } else {
      let_successor_start();
    }
    multiply(now);
    if (i + 1 < range.count) put(gather, places.weights + then * Rows, then);
    if (i + 2 < range.count) places.finish(a, later, now);
  }
  __syncthreads();
}

// Rows × Columns of the product by WarpsDown × WarpsAcross warps, on tensor cores.
template <typename Deform, int Rows, int Columns, int Depth, int WarpsDown, int WarpsAcross>
TW_DEVICE void deform_conv_tensor(const Arguments& a) {
  using T = typename Deform::Element;
  constexpr int threads = WarpsDown * WarpsAcross * warp_size;
  constexpr int warp_rows = Rows / WarpsDown, warp_columns = Columns / WarpsAcross;
  static_assert(sizeof(T) == 2 && warp_rows % 16 == 0 && warp_columns % 16 == 0, "whole fragments");
  static_assert(Rows <= threads, "a thread for each pixel");
  constexpr int row_bytes = Depth * 2, chunks = Depth / 8;
  constexpr int left_bytes = Rows * row_bytes, right_bytes = Columns * row_bytes;
  TW_SHARED_BYTES(shared);
  u8* const left_tiles = shared + 2 * DeformPlaces<Deform, Rows>::bytes;
  u8* const right_tiles = left_tiles + 2 * left_bytes;
  const i32 rows = Deform::rows(a), columns = Deform::columns(a);
  const BlockTile tile = block_tile<Rows, Columns>(rows, columns);
  const int row = warp_index() / WarpsAcross * warp_rows, column = warp_index() % WarpsAcross * warp_columns;
  WarpSums<f32, warp_rows, warp_columns> sums{};

  auto copy = [&](i32 step, int buffer) {
    const i64 first = static_cast<i64>(tile.batch * (Deform::taps * Deform::chunks) + step) * columns + tile.column;
    const T* const from = Deform::weights(a) + first * Depth;
#pragma unroll
    for (int i = threadIdx.x; i < Columns * chunks; i += threads)
      if (tile.column + i / chunks < columns)
        cp_async_16(right_tiles + buffer * right_bytes + chunk_offset<row_bytes>(i / chunks, i % chunks), from + i * 8);
  };
  auto put = [&](const auto& gather, const Vec<f32, 4>* weights, int buffer) {
#pragma unroll
    for (int s = 0; s < gather.slots; ++s) {
      if (!gather.has_slot(s)) continue;
      const Vec<f32, 8> sum = gather.finish(s, weights);
      Vec<u32, 4> packed;
#pragma unroll
      for (int i = 0; i < 4; ++i) packed[i] = pack2<T>(sum[2 * i], sum[2 * i + 1]);
      u8* const to = left_tiles + buffer * left_bytes + chunk_offset<row_bytes>(gather.row_of(s), gather.chunk_of(s));
      store_vec(reinterpret_cast<u32*>(to), packed);
    }
  };
  auto multiply = [&](int buffer) {
#pragma unroll
    for (int step = 0; step < Depth / 16; ++step) {
      u32 left[warp_rows / 16][4], right[warp_columns / 16][4];
#pragma unroll
      for (int i = 0; i < warp_rows / 16; ++i)
        load_fragment<true, true, row_bytes>(left[i], left_tiles + buffer * left_bytes, row + i * 16, step);
#pragma unroll
      for (int j = 0; j < warp_columns / 16; ++j)
        load_fragment<false, true, row_bytes>(right[j], right_tiles + buffer * right_bytes, column + j * 16, step);
#pragma unroll
      for (int m = 0; m < warp_rows / 16; ++m) {
#pragma unroll
        for (int n = 0; n < warp_columns / 8; ++n) {
          const u32 b[2] = {right[n / 2][n % 2 * 2], right[n / 2][n % 2 * 2 + 1]};
          mma_m16n8k16<T>(sums.c[m][n], left[m], b);
        }
      }
    }
  };
  deform_steps<Deform, Rows, Depth, threads>(a, shared, tile, copy, put, multiply);

  using Result = typename ResultOf<Deform, Deform::splits>::Type;
  const BlockTile warp_tile{tile.batch, tile.row + row, tile.column + column};
  WarpStore<Result, warp_columns> first;
  first.load(a, warp_tile, rows, columns);
  f32* const scratch = reinterpret_cast<f32*>(shared) + warp_index() * (16 * (warp_columns + 8));
  store_warp(a, scratch, sums, first, warp_tile, rows, columns);
}

// The same in float32. Rows of the left tile lie in blocks of four, permuted by the depth: neighbours along the depth,
// which a warp stores at once, take banks of their own.
template <typename Deform, int Rows, int Columns, int Depth, int ThreadRows, int ThreadColumns>
TW_DEVICE void deform_conv_simt(const Arguments& a) {
  using Sums = ThreadSums<f32, Rows, Columns, ThreadRows, ThreadColumns>;
  constexpr int threads = Sums::threads;
  static_assert(Rows <= threads && Sums::down % 8 == 0, "a thread for each pixel, and permuted blocks within the tile");
  constexpr int left_elements = Depth * Rows, right_elements = Depth * Columns;
  TW_SHARED_BYTES(shared);
  f32* const left_tiles = reinterpret_cast<f32*>(shared + 2 * DeformPlaces<Deform, Rows>::bytes);
  f32* const right_tiles = left_tiles + 2 * left_elements;
  const i32 rows = Deform::rows(a), columns = Deform::columns(a);
  const BlockTile tile = block_tile<Rows, Columns>(rows, columns);
  const int down_index = Sums::down_index(), across_index = Sums::across_index();
  Sums sums;

  auto copy = [&](i32 step, int buffer) {
    const i64 first = static_cast<i64>(tile.batch * (Deform::taps * Deform::chunks) + step) * Depth;
    const f32* const from = Deform::weights(a) + first * Deform::pitch + tile.column;
#pragma unroll
    for (int i = threadIdx.x; i < Depth * Columns / 4; i += threads) {
      const int k = i / (Columns / 4), n = i % (Columns / 4) * 4;
      if (tile.column + n < Deform::pitch)
        cp_async_16(right_tiles + buffer * right_elements + k * Columns + n, from + k * Deform::pitch + n);
    }
  };
  auto put = [&](const auto& gather, const Vec<f32, 4>* weights, int buffer) {
#pragma unroll
    for (int s = 0; s < gather.slots; ++s) {
      if (!gather.has_slot(s)) continue;
      const Vec<f32, 4> values = gather.finish(s, weights);
      const int k = gather.chunk_of(s) * 4;
      f32* const to = left_tiles + buffer * left_elements + k * Rows + (gather.row_of(s) ^ (k & 28));
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i * Rows] = values[i];
    }
  };
  auto multiply = [&](int buffer) {
    const f32* const left = left_tiles + buffer * left_elements;
    const f32* const right = right_tiles + buffer * right_elements + across_index * 4;
#pragma unroll 1
    for (int four = 0; four < Depth; four += 4) {
      const f32* const own = left + four * Rows + ((down_index * 4) ^ (four & 28));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        f32 x[ThreadRows], y[ThreadColumns];
#pragma unroll
        for (int p = 0; p < ThreadRows; p += 4) {
          const auto part = load_vec<4>(own + i * Rows + p * Sums::down);
#pragma unroll
          for (int q = 0; q < 4; ++q) x[p + q] = part[q];
        }
#pragma unroll
        for (int p = 0; p < ThreadColumns; p += 4) {
          const auto part = load_vec<4>(right + (four + i) * Columns + p * Sums::across);
#pragma unroll
          for (int q = 0; q < 4; ++q) y[p + q] = part[q];
        }
        sums.add(x, y);
      }
    }
  };
  deform_steps<Deform, Rows, Depth, threads>(a, shared, tile, copy, put, multiply);
  sums.template store<typename ResultOf<Deform, Deform::splits>::Type>(a, tile, rows, columns);
}
