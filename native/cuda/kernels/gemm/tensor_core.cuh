// The product of two tiles on tensor cores: asynchronous copies through a ring of stages, ldmatrix, mma.sync.
// A step of an mma is 32 bytes deep whatever the element type; ldmatrix moves bytes and does not ask.

template <typename A, typename B, typename Accumulator>
TW_DEVICE void multiply_fragments(Accumulator (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  if constexpr (is_same<A, f32>) mma_m16n8k8(c, a, b);
  else if constexpr (sizeof(A) == 2) mma_m16n8k16<A>(c, a, b);
  else mma_m16n8k32<A, B>(c, a, b);
}

// Four 8×8 matrices of 16-bit elements: 16 rows of the operand at `row`, 32 bytes of depth at step `step`. For the left
// operand they come in the order of an A fragment, for the right one as two B fragments.
template <bool Left, bool AlongDepth, int RowBytes>
TW_DEVICE void load_fragment(u32 (&r)[4], const u8* tile, int row, int step) {
  const int lane = lane_index();
  const int low = Left ? (lane >> 3) & 1 : lane >> 4;   // the second eight rows
  const int high = Left ? lane >> 4 : (lane >> 3) & 1;  // the second half of the depth
  if constexpr (AlongDepth) {
    const int line = row + low * 8 + (lane & 7);
    ldmatrix_x4(r, tile + line * RowBytes + (((high ^ chunk_permutation<RowBytes>(line)) << 4) ^ (step * 32)));
  } else {
    const int line = step * 16 + high * 8 + (lane & 7);
    ldmatrix_x4_trans(r, tile + line * RowBytes + (((row / 8 + low) ^ chunk_permutation<RowBytes>(line)) << 4));
  }
}

// Sums of a warp: a tile of Rows × Columns as m16n8 accumulators.
template <typename Accumulator, int Rows, int Columns>
struct WarpSums {
  Accumulator c[Rows / 16][Columns / 8][4];
};

// How a warp stores its sums: by way of shared memory, 16 rows at a time, so that neighbouring threads write
// neighbours.
template <typename Result, int Columns>
struct WarpStore {
  static constexpr int pitch = Columns + 8;
  static constexpr int width = Result::width < Columns / 2 ? Result::width : Columns / 2;
  static constexpr int across = Columns / width;
  static constexpr int vectors = 16 * across / warp_size;
  using Sides = typename Result::template Sides<width>;
  Sides sides[vectors];

  TW_DEVICE static int line(int v) { return (v * warp_size + lane_index()) / across; }
  TW_DEVICE static int place(int v) { return (v * warp_size + lane_index()) % across * width; }

  // What 16 rows of results need besides the sums.
  TW_DEVICE void load(const Arguments& a, const BlockTile& at, i32 rows, i32 columns) {
#pragma unroll
    for (int v = 0; v < vectors; ++v)
      if (at.row + line(v) < rows && at.column + place(v) < columns)
        sides[v] = Result::template load<width>(a, at.batch, at.row + line(v), at.column + place(v));
  }

  template <typename Accumulator>
  TW_DEVICE void store(const Arguments& a, const Accumulator* scratch, const BlockTile& at, i32 rows,
                       i32 columns) const {
    constexpr int load = width < 4 ? width : 4;
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      if (at.row + line(v) >= rows || at.column + place(v) >= columns) continue;
      Vec<Accumulator, width> sum;
#pragma unroll
      for (int p = 0; p < width; p += load) {
        const auto part = load_vec<load>(scratch + line(v) * pitch + place(v) + p);
#pragma unroll
        for (int q = 0; q < load; ++q) sum.v[p + q] = part.v[q];
      }
      Result::template store<width>(a, at.batch, at.row + line(v), at.column + place(v), sum, sides[v]);
    }
  }
};

// Stores a warp's sums; `first` has been loaded for the first 16 rows. `scratch` is the warp's own: 16 × (Columns + 8)
// accumulators.
template <typename Result, int Rows, int Columns, typename Accumulator>
TW_DEVICE void store_warp(const Arguments& a, Accumulator* scratch, const WarpSums<Accumulator, Rows, Columns>& sums,
                          WarpStore<Result, Columns>& first, BlockTile at, i32 rows, i32 columns) {
  constexpr int pitch = Columns + 8;
  const int lane = lane_index();
  WarpStore<Result, Columns> now = first;
#pragma unroll
  for (int i = 0; i < Rows / 16; ++i) {
    __syncwarp();
#pragma unroll
    for (int j = 0; j < Columns / 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_vec(scratch + (lane / 4 + half * 8) * pitch + j * 8 + lane % 4 * 2,
                  Vec<Accumulator, 2>{{sums.c[i][j][2 * half], sums.c[i][j][2 * half + 1]}});
    }
    __syncwarp();
    // The next rows' loads are under way while these are computed; they could not pass the stores.
    WarpStore<Result, Columns> next;
    const BlockTile below{at.batch, at.row + 16, at.column};
    if (i + 1 < Rows / 16) next.load(a, below, rows, columns);
    now.store(a, scratch, at, rows, columns);
    now = next;
    at = below;
  }
}

#if __CUDA_ARCH__ >= 900
// Adds the tiles of a cluster's blocks, each of which has a split of the depth, and stores the result: every block
// takes a share of the tile and reads it from the others' shared memory, in the order of the splits.
template <typename Contraction, int Rows, int Columns, int Threads, int WarpRows, int WarpColumns>
TW_DEVICE void store_cluster(const Arguments& a, typename Contraction::Accumulator* shared,
                             const WarpSums<typename Contraction::Accumulator, WarpRows, WarpColumns>& sums, int row,
                             int column, const BlockTile& tile, i32 rows, i32 columns) {
  using Value = typename Contraction::Accumulator;
  using Result = typename Contraction::Result;
  constexpr int pitch = Columns + 8;
  constexpr int width = Result::width;
  constexpr int part = width < 4 ? width : 4;
  constexpr int splits = Contraction::splits;
  const int lane = lane_index();
#pragma unroll
  for (int i = 0; i < WarpRows / 16; ++i) {
#pragma unroll
    for (int j = 0; j < WarpColumns / 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_vec(shared + (row + i * 16 + lane / 4 + half * 8) * pitch + column + j * 8 + lane % 4 * 2,
                  Vec<Value, 2>{{sums.c[i][j][2 * half], sums.c[i][j][2 * half + 1]}});
    }
  }
  cluster_sync();
  for (int v = cluster_rank() * Threads + threadIdx.x; v < Rows * Columns / width; v += splits * Threads) {
    const int line = v / (Columns / width), place = v % (Columns / width) * width;
    const i32 m = tile.row + line, n = tile.column + place;
    if (m >= rows || n >= columns) continue;
    const auto sides = Result::template load<width>(a, tile.batch, m, n);
    Vec<Value, width> sum{};
#pragma unroll
    for (int split = 0; split < splits; ++split) {
      const Value* const from = cluster_pointer(shared, split) + line * pitch + place;
#pragma unroll
      for (int p = 0; p < width; p += part) {
        const auto some = load_vec<part>(from + p);
#pragma unroll
        for (int q = 0; q < part; ++q) sum.v[p + q] += some.v[q];
      }
    }
    Result::template store<width>(a, tile.batch, m, n, sum, sides);
  }
  cluster_sync();  // a block's memory lives until the others have read it
}
#endif

// Rows × Columns of the product by WarpsDown × WarpsAcross warps; `Depth` elements a stage.
template <typename Contraction, int Rows, int Columns, int Depth, int WarpsDown, int WarpsAcross, int Stages>
TW_DEVICE void gemm_tensor_core(const Arguments& a) {
  using Left = typename Contraction::Left;
  using Right = typename Contraction::Right;
  using A = typename Left::Element;
  using B = typename Right::Element;
  using Accumulator = typename Contraction::Accumulator;
  constexpr int threads = WarpsDown * WarpsAcross * warp_size;
  constexpr int warp_rows = Rows / WarpsDown, warp_columns = Columns / WarpsAcross;
  static_assert(warp_rows % 16 == 0 && warp_columns % 16 == 0, "whole fragments");
  constexpr int steps = Depth * static_cast<int>(sizeof(A)) / 32;
  using LeftCopy = TileCopy<Left, Rows, Depth, threads>;
  using RightCopy = TileCopy<Right, Columns, Depth, threads>;
  using Prologue = FragmentPrologue<typename Contraction::Prologue, Rows, Depth, threads, warp_rows / 16>;
  constexpr int operand_bytes = LeftCopy::bytes + RightCopy::bytes;
  constexpr int stage_bytes = round_up(operand_bytes + Prologue::bytes, 128);

  TW_SHARED_BYTES(shared);
  const i32 rows = Contraction::rows(a), columns = Contraction::columns(a);
  const BlockTile tile = block_tile<Rows, Columns>(rows, columns);
  const DepthRange range = depth_range<Contraction::splits>(Contraction::depth(a), Depth);
  const Left left(a, tile.batch);
  const Right right(a, tile.batch);
  LeftCopy left_copy;
  RightCopy right_copy;
  left_copy.begin(left, tile.row);
  right_copy.begin(right, tile.column);
  const int row = warp_index() / WarpsAcross * warp_rows, column = warp_index() % WarpsAcross * warp_columns;
  Prologue prologue(a, tile, rows, row);
  auto left_tile = [&](int stage) { return shared + stage * stage_bytes; };
  auto right_tile = [&](int stage) { return shared + stage * stage_bytes + LeftCopy::bytes; };
  auto side_tile = [&](int stage) { return shared + stage * stage_bytes + operand_bytes; };
  auto depth_at = [&](i32 i) { return (range.begin + i) * Depth; };

  // Constants do not wait for the preceding kernel; the copies count towards the group of the first stage.
  if constexpr (Left::constant && LeftCopy::async) {
    for (int s = 0; s < Stages - 1 && s < range.count; ++s) left_copy.start(left, left_tile(s), depth_at(s));
  }
  if constexpr (Right::constant && RightCopy::async) {
    for (int s = 0; s < Stages - 1 && s < range.count; ++s) right_copy.start(right, right_tile(s), depth_at(s));
  }
  wait_for_predecessor();
#pragma unroll
  for (int s = 0; s < Stages - 1; ++s) {
    if (s < range.count) {
      if constexpr (!(Left::constant && LeftCopy::async)) left_copy.start(left, left_tile(s), depth_at(s));
      if constexpr (!(Right::constant && RightCopy::async)) right_copy.start(right, right_tile(s), depth_at(s));
      prologue.start(side_tile(s), depth_at(s));
      left_copy.finish(left_tile(s));
      right_copy.finish(right_tile(s));
      prologue.finish(side_tile(s));
    }
    cp_async_commit();
  }

  WarpSums<Accumulator, warp_rows, warp_columns> sums{};
  u32 left_fragment[2][warp_rows / 16][4], right_fragment[2][warp_columns / 16][4];
  auto load_step = [&](int stage, int step) {
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i) {
      u32(&r)[4] = left_fragment[step % 2][i];
      load_fragment<true, LeftCopy::along_depth, LeftCopy::row_bytes>(r, left_tile(stage), row + i * 16, step);
    }
    prologue.apply(left_fragment[step % 2], side_tile(stage), step);
#pragma unroll
    for (int j = 0; j < warp_columns / 16; ++j) {
      u32(&r)[4] = right_fragment[step % 2][j];
      load_fragment<false, RightCopy::along_depth, RightCopy::row_bytes>(r, right_tile(stage), column + j * 16, step);
    }
    if constexpr (is_same<A, f32>) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
#pragma unroll
        for (int i = 0; i < warp_rows / 16; ++i)
          left_fragment[step % 2][i][r] = to_tf32(bit_cast<f32>(left_fragment[step % 2][i][r]));
#pragma unroll
        for (int j = 0; j < warp_columns / 16; ++j)
          right_fragment[step % 2][j][r] = to_tf32(bit_cast<f32>(right_fragment[step % 2][j][r]));
      }
    }
  };

  int stage = 0, ahead = Stages - 1;
  for (i32 i = 0; i < range.count; ++i) {
    cp_async_wait<Stages - 2>();
    __syncthreads();
    const bool more = i + Stages - 1 < range.count;
    load_step(stage, 0);
    if (more) {
      left_copy.start(left, left_tile(ahead), depth_at(i + Stages - 1));
      right_copy.start(right, right_tile(ahead), depth_at(i + Stages - 1));
      prologue.start(side_tile(ahead), depth_at(i + Stages - 1));
    } else {
      let_successor_start();
    }
    cp_async_commit();
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      if (step + 1 < steps) load_step(stage, step + 1);
#pragma unroll
      for (int m = 0; m < warp_rows / 16; ++m) {
#pragma unroll
        for (int n = 0; n < warp_columns / 8; ++n) {
          const u32(&pair)[4] = right_fragment[step % 2][n / 2];
          const u32 b[2] = {pair[n % 2 * 2], pair[n % 2 * 2 + 1]};
          multiply_fragments<A, B>(sums.c[m][n], left_fragment[step % 2][m], b);
        }
      }
    }
    if (more) {
      left_copy.finish(left_tile(ahead));
      right_copy.finish(right_tile(ahead));
      prologue.finish(side_tile(ahead));
    }
    stage = stage + 1 == Stages ? 0 : stage + 1;
    ahead = ahead + 1 == Stages ? 0 : ahead + 1;
  }

  cp_async_wait<0>();
#if __CUDA_ARCH__ >= 900
  if constexpr (Contraction::cluster) {
    __syncthreads();
    store_cluster<Contraction, Rows, Columns, threads>(a, reinterpret_cast<Accumulator*>(shared), sums, row, column,
                                                       tile, rows, columns);
  } else
#endif
  {
    using Result = typename ResultOf<Contraction, Contraction::splits>::Type;
    const BlockTile warp_tile{tile.batch, tile.row + row, tile.column + column};
    WarpStore<Result, warp_columns> first;
    first.load(a, warp_tile, rows, columns);
    __syncthreads();
    Accumulator* const scratch = reinterpret_cast<Accumulator*>(shared) + warp_index() * (16 * (warp_columns + 8));
    store_warp(a, scratch, sums, first, warp_tile, rows, columns);
  }
}
