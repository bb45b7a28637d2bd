// Which part of a product a block computes.
//
// A contraction is a type made by the generated text:
//   Accumulator                               f32, f64, i32, u32, i64 or u64
//   static i32 rows(a), columns(a), depth(a)  extents of m, n and k, none of them 0 but perhaps k
//   Left, Right                               sources of the operands (copy.cuh); both are made of (a, batch)
//   Result                                    load<W>(a, batch, m, n): what W results along n need besides the sums;
//                                             store<W>(a, batch, m, n, sums, sides) computes, writes and returns them
//   splits                                    blocks that share the depth of a tile; their sums meet in partial(), or,
//   cluster                                   where the splits of a tile are a cluster, in its shared memory

struct BlockTile {
  i32 batch, row, column;
};

// Tiles are walked down groups of eight rows of tiles, so that blocks that run at the same time share operands in L2.
template <int Rows, int Columns>
TW_DEVICE BlockTile tile_at(u32 index, i32 rows, i32 columns) {
  constexpr u32 group = 8;
  const u32 down = ceil_div(rows, Rows), across = ceil_div(columns, Columns);
  const u32 batch = index / (down * across);
  const u32 tile = index - batch * (down * across);
  const u32 first = tile / (group * across) * group;
  const u32 height = down - first < group ? down - first : group;
  const u32 within = tile - first * across;
  return {static_cast<i32>(batch), static_cast<i32>((first + within % height) * Rows),
          static_cast<i32>(within / height * Columns)};
}

template <int Rows, int Columns>
TW_DEVICE BlockTile block_tile(i32 rows, i32 columns) {
  return tile_at<Rows, Columns>(blockIdx.x, rows, columns);
}

struct DepthRange {
  i32 begin, count;  // in steps of the tile's depth
};

// The share of this block's split (blockIdx.y), as even as whole steps allow.
template <int Splits>
TW_DEVICE DepthRange depth_range(i32 depth, int step) {
  const i32 steps = ceil_div(depth, step);
  if constexpr (Splits == 1) return {0, steps};
  const i32 split = blockIdx.y;
  const i32 begin = steps / Splits * split + (split < steps % Splits ? split : steps % Splits);
  return {begin, steps / Splits + (split < steps % Splits ? 1 : 0)};
}

// Sums of one split, row-major in scratch memory: [splits][batches][rows][columns rounded up to four].
template <typename Contraction>
TW_DEVICE i64 partial_index(const Arguments& a, i32 split, i32 batch, i32 row, i32 column) {
  const i64 pitch = round_up(Contraction::columns(a), 4);
  return ((static_cast<i64>(split) * Contraction::batches(a) + batch) * Contraction::rows(a) + row) * pitch + column;
}

template <typename Contraction>
struct PartialResult {
  using T = typename Contraction::Accumulator;
  static constexpr int width = 4;
  template <int W>
  struct Sides {};
  template <int W>
  TW_DEVICE static Sides<W> load(const Arguments&, i32, i32, i32) {
    return {};
  }
  template <int W>
  TW_DEVICE static void store(const Arguments& a, i32 batch, i32 row, i32 column, const Vec<T, W>& sum,
                              const Sides<W>&) {
    store_vec(Contraction::partial(a) + partial_index<Contraction>(a, blockIdx.y, batch, row, column), sum);
  }
};

template <typename Contraction, int Splits>
struct ResultOf {
  using Type = PartialResult<Contraction>;
};
template <typename Contraction>
struct ResultOf<Contraction, 1> {
  using Type = typename Contraction::Result;
};

// Adds the splits' sums, in their order, and stores the result. One thread to a vector.
template <typename Contraction, int Threads>
TW_DEVICE void add_splits(const Arguments& a) {
  using T = typename Contraction::Accumulator;
  using Result = typename Contraction::Result;
  constexpr int width = Result::width < 4 ? Result::width : 4;
  const i32 rows = Contraction::rows(a), vectors = ceil_div(Contraction::columns(a), width);
  const u32 at = blockIdx.x * Threads + threadIdx.x;
  wait_for_predecessor();
  let_successor_start();
  const u32 line = at / vectors;
  const i32 column = static_cast<i32>(at - line * vectors) * width;
  const i32 batch = line / rows, row = line - batch * rows;
  if (batch >= Contraction::batches(a)) return;
  const auto sides = Result::template load<width>(a, batch, row, column);
  Vec<T, width> sum{};
#pragma unroll
  for (int split = 0; split < Contraction::splits; ++split) {
    const auto part =
        load_vec<width>(Contraction::partial(a) + partial_index<Contraction>(a, split, batch, row, column));
#pragma unroll
    for (int i = 0; i < width; ++i) sum.v[i] += part.v[i];
  }
  Result::template store<width>(a, batch, row, column, sum, sides);
}
