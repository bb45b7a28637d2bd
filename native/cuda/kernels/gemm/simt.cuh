// The product of two tiles in ordinary arithmetic: true float32, float64 and integers of any width. Both tiles lie in
// shared memory with neighbouring rows of the operand side by side: a thread reads vectors and forms outer products.

// One thread's share in copying tiles of Depth × Rows elements by way of registers: `start` loads, `finish` converts to
// the type of the sums and writes them into the tile.
template <typename Source, typename Value, int Rows, int Depth, int Threads>
struct ConvertingCopy {
  using T = typename Source::Element;
  static constexpr int limit = Source::along_depth ? Depth : Rows;
  static constexpr int width = Source::width < limit ? Source::width : limit;
  static constexpr int across = limit / width;
  static constexpr int slots = (Rows * Depth / width + Threads - 1) / Threads;
  static constexpr bool exact = Rows * Depth / width % Threads == 0;
  static constexpr int pitch = Rows + 16 / sizeof(Value);
  static constexpr int elements = Depth * pitch;
  // Where all slots of a thread have the same place along the depth.
  static constexpr bool same_depth = Source::along_depth && Threads % across == 0;

  typename Source::Place place[slots];
  Vec<T, width> staged[slots];
  i32 first_row;

  TW_DEVICE static int at(int slot) { return threadIdx.x + slot * Threads; }
  TW_DEVICE static int row_of(int slot) { return Source::along_depth ? at(slot) / across : at(slot) % across * width; }
  TW_DEVICE static int depth_of(int slot) {
    if constexpr (same_depth) return threadIdx.x % across * width;
    else return Source::along_depth ? at(slot) % across * width : at(slot) / across;
  }

  TW_DEVICE void begin(const Source& source, i32 row) {
    first_row = row;
    const i32 last = source.rows() - 1;
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      const i32 r = row + row_of(s);
      place[s] = source.place(r < last ? r : last);
    }
  }

  TW_DEVICE void start(const Source& source, i32 depth) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!exact && at(s) >= Rows * Depth / width) continue;
      const i32 k = depth + depth_of(s);
      const auto step = source.step(k);
      const i32 left = Source::along_depth ? source.left(k) : source.rows() - (first_row + row_of(s));
      const bool inside = (Source::along_depth || source.left(k) > 0) && source.inside(place[s], step);
      const T* const from = source.data + source.offset(place[s], step);
      if constexpr (Source::whole) {
        staged[s] = inside && left > 0 ? load_vec<width>(from) : Vec<T, width>{};
      } else if (inside && left >= width) {
        staged[s] = load_vec<width>(from);
      } else {
#pragma unroll
        for (int i = 0; i < width; ++i) staged[s].v[i] = inside && i < left ? from[i] : T{};
      }
    }
  }

  TW_DEVICE void finish(Value* tile) const {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!exact && at(s) >= Rows * Depth / width) continue;
      if constexpr (Source::along_depth) {
#pragma unroll
        for (int i = 0; i < width; ++i)
          tile[(depth_of(s) + i) * pitch + row_of(s)] = convert<Value>(staged[s].v[i]);
      } else {
        store_vec(tile + depth_of(s) * pitch + row_of(s), convert_vec<Value>(staged[s]));
      }
    }
  }
};

// The sums are ThreadSums (thread_sums.cuh).
template <typename Contraction, int Rows, int Columns, int Depth, int ThreadRows, int ThreadColumns>
TW_DEVICE void gemm_simt(const Arguments& a) {
  using Left = typename Contraction::Left;
  using Right = typename Contraction::Right;
  using Value = typename Contraction::Accumulator;
  using Result = typename ResultOf<Contraction, Contraction::splits>::Type;
  using Sums = ThreadSums<Value, Rows, Columns, ThreadRows, ThreadColumns>;
  constexpr int tall = Sums::tall, wide = Sums::wide, threads = Sums::threads;
  // More at once would not fit the registers of two blocks of the largest tile.
  constexpr int unrolled = ThreadRows * ThreadColumns < 64 ? Depth : 2;
  using LeftCopy = ConvertingCopy<Left, Value, Rows, Depth, threads>;
  using RightCopy = ConvertingCopy<Right, Value, Columns, Depth, threads>;

  TW_SHARED_BYTES(shared);
  Value* const tiles = reinterpret_cast<Value*>(shared);
  constexpr int stage_elements = LeftCopy::elements + RightCopy::elements;
  const i32 rows = Contraction::rows(a), columns = Contraction::columns(a);
  const BlockTile tile = block_tile<Rows, Columns>(rows, columns);
  const DepthRange range = depth_range<Contraction::splits>(Contraction::depth(a), Depth);
  const Left left(a, tile.batch);
  const Right right(a, tile.batch);
  LeftCopy left_copy;
  RightCopy right_copy;
  left_copy.begin(left, tile.row);
  right_copy.begin(right, tile.column);
  if constexpr (Right::constant) {
    if (range.count > 0) right_copy.start(right, range.begin * Depth);
  }
  wait_for_predecessor();
  if (range.count > 0) {
    left_copy.start(left, range.begin * Depth);
    if constexpr (!Right::constant) right_copy.start(right, range.begin * Depth);
    left_copy.finish(tiles);
    right_copy.finish(tiles + LeftCopy::elements);
  }
  __syncthreads();

  const int down_index = Sums::down_index(), across_index = Sums::across_index();
  Sums sums;
  for (i32 i = 0; i < range.count; ++i) {
    const Value* const left_tile = tiles + i % 2 * stage_elements;
    const Value* const right_tile = left_tile + LeftCopy::elements;
    Value* const next = tiles + (i + 1) % 2 * stage_elements;
    const bool more = i + 1 < range.count;
    if (more) {
      left_copy.start(left, (range.begin + i + 1) * Depth);
      right_copy.start(right, (range.begin + i + 1) * Depth);
    } else {
      let_successor_start();
    }
#pragma unroll unrolled
    for (int k = 0; k < Depth; ++k) {
      Value x[ThreadRows], y[ThreadColumns];
#pragma unroll
      for (int p = 0; p < ThreadRows; p += tall) {
        const auto part = load_vec<tall>(left_tile + k * LeftCopy::pitch + p * Sums::down + down_index * tall);
#pragma unroll
        for (int q = 0; q < tall; ++q) x[p + q] = part.v[q];
      }
#pragma unroll
      for (int p = 0; p < ThreadColumns; p += wide) {
        const auto part = load_vec<wide>(right_tile + k * RightCopy::pitch + p * Sums::across + across_index * wide);
#pragma unroll
        for (int q = 0; q < wide; ++q) y[p + q] = part.v[q];
      }
      sums.add(x, y);
    }
    if (more) {
      left_copy.finish(next);
      right_copy.finish(next + LeftCopy::elements);
    }
    __syncthreads();
  }

  sums.template store<Result>(a, tile, rows, columns);
}
