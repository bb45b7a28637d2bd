// The product by all warps of a block, which gather and multiply in turns.

// Where the taps of a step read, for Rows output pixels, each worked out by a thread of its own. Two buffers.
template <typename Deform, int Rows>
struct DeformPlaces {
  static constexpr int bytes = Rows * 32;
  Vec<i32, 4>* pixels;
  Vec<f32, 4>* weights;
  DeformPixel pixel;
  DeformShift shift;
  bool works;

  TW_DEVICE DeformPlaces(const Arguments& a, u8* shared, i32 first_row)
      : pixels(reinterpret_cast<Vec<i32, 4>*>(shared)),
        weights(reinterpret_cast<Vec<f32, 4>*>(shared) + 2 * Rows),
        pixel(deform_pixel<Deform>(a, first_row + static_cast<i32>(threadIdx.x))),
        works(threadIdx.x < Rows) {}

  TW_DEVICE void start(const Arguments& a, const DeformStep& step) {
    if (works) shift = deform_shift<Deform>(a, pixel, step.group, step.tap);
  }

  TW_DEVICE void finish(const Arguments& a, const DeformStep& step, int buffer) {
    if (!works) return;
    const int at = buffer * Rows + static_cast<int>(threadIdx.x);
    const DeformPlace place = deform_place<Deform>(a, pixel, step.tap, shift);
    pixels[at] = place.pixels;
    weights[at] = place.weights;
  }
};

// Walks the steps of a block's share of the depth: `copy` starts the copy of a step's weights into one of two buffers,
// `put` stores what was gathered into one, `multiply` is given the buffer of a step that has everything.
template <typename Deform, int Rows, int Depth, int Threads, typename Copy, typename Put, typename Multiply>
TW_DEVICE void deform_steps(const Arguments& a, u8* shared, const BlockTile& tile, Copy copy, Put put,
                            Multiply multiply) {
  const DepthRange range = depth_range<Deform::splits>(Deform::taps * Deform::chunks, 1);
  auto step_at = [&](i32 i) { return deform_step<Deform>(a, tile.batch, range.begin + i); };
  if constexpr (!Deform::constant) wait_for_predecessor();
  if (range.count > 0) copy(range.begin, 0);
  cp_async_commit();
  if constexpr (Deform::constant) wait_for_predecessor();
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
#pragma unroll 2
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

// Weights that only the run knows, in the order of the steps. One thread to an element.
template <typename Deform, int Depth, int Threads>
TW_DEVICE void deform_pack(const Arguments& a) {
  using T = typename Deform::Element;
  constexpr int pitch = sizeof(T) == 2 ? Deform::filters : Deform::pitch, steps = Deform::taps * Deform::chunks;
  wait_for_predecessor();
  let_successor_start();
  const i64 i = static_cast<i64>(blockIdx.x) * Threads + threadIdx.x;
  const i64 line = i / (pitch * Depth);
  if (line >= static_cast<i64>(Deform::batches(a)) * steps) return;
  const int within = static_cast<int>(i - line * (pitch * Depth));
  const int column = sizeof(T) == 2 ? within / Depth : within % pitch;
  const int k = sizeof(T) == 2 ? within % Depth : within / pitch;
  const i32 batch = static_cast<i32>(line / steps);
  const DeformStep step = deform_step<Deform>(a, batch, static_cast<i32>(line % steps));
  const i32 output = batch * Deform::filters + column;
  const i32 own = step.channel + k - output / Deform::own_filters * Deform::own_channels;
  const bool exists = column < Deform::filters && k < step.count && own >= 0 && own < Deform::own_channels;
  Deform::packed(a)[i] =
      convert<T>(exists ? Deform::weight(a, output, own, step.tap / Deform::taps_x, step.tap % Deform::taps_x) : 0.0f);
}
