#include "gemm/blocks.cuh"

// Products of few rows (at most eight) with a wide right operand: bound by how fast that streams from memory. The
// contraction is described as for gemm (gemm/blocks.cuh); the right operand is dense along the depth.

// `Width` elements of an operand along the depth from k on, zero where there are none.
template <int Width, typename Source>
TW_DEVICE Vec<typename Source::Element, Width> load_along_depth(const Source& source,
                                                                const typename Source::Place& place, i32 k) {
  using T = typename Source::Element;
  Vec<T, Width> result;
  if constexpr (Source::along_depth && Source::width >= Width) {
    const auto step = source.step(k);
    const i32 left = source.left(k);
    if ((Source::whole ? left > 0 : left >= Width) && source.inside(place, step)) {
      if constexpr (Source::constant) return load_streaming<Width>(source.data + source.offset(place, step));
      else return load_vec<Width>(source.data + source.offset(place, step));
    }
    if constexpr (Source::whole) return {};
  }
#pragma unroll
  for (int i = 0; i < Width; ++i) {
    const auto step = source.step(k + i);
    const bool inside = source.left(k + i) > 0 && source.inside(place, step);
    result.v[i] = inside ? source.data[source.offset(place, step)] : T{};
  }
  return result;
}

// A block of Warps warps computes Rows × (Warps / WarpsDeep · Columns): each warp has `Columns` columns and, with
// WarpsDeep - 1 others, a share of the depth. Blocks go along the columns first and then over the batches.
template <typename Contraction, int Rows, int Columns, int Warps, int WarpsDeep>
TW_DEVICE void multiply_vectors(const Arguments& a) {
  using Left = typename Contraction::Left;
  using Right = typename Contraction::Right;
  using Value = typename Contraction::Accumulator;
  using Result = typename Contraction::Result;
  constexpr int width = 16 / sizeof(typename Right::Element);
  constexpr int stride = WarpsDeep * warp_size * width;
  constexpr int block_columns = Warps / WarpsDeep * Columns;
  const i32 rows = Contraction::rows(a), columns = Contraction::columns(a), depth = Contraction::depth(a);
  const u32 across = ceil_div(columns, block_columns);
  const i32 batch = blockIdx.x / across;
  const i32 first = (blockIdx.x - batch * across) * block_columns + warp_index() / WarpsDeep * Columns;
  const Left left(a, batch);
  const Right right(a, batch);
  typename Right::Place right_place[Columns];
  typename Left::Place left_place[Rows];
#pragma unroll
  for (int n = 0; n < Columns; ++n) right_place[n] = right.place(first + n < columns ? first + n : columns - 1);
#pragma unroll
  for (int m = 0; m < Rows; ++m) left_place[m] = left.place(m < rows ? m : rows - 1);

  using Chunk = Vec<typename Right::Element, width>;
  i32 k = (warp_index() % WarpsDeep * warp_size + lane_index()) * width;
  Chunk next[Columns];
  auto load_right = [&](i32 at) {
#pragma unroll
    for (int n = 0; n < Columns; ++n) next[n] = load_along_depth<width>(right, right_place[n], at);
  };
  if constexpr (Right::constant) load_right(k);
  wait_for_predecessor();
  if constexpr (!Right::constant) load_right(k);

  Value sum[Rows][Columns]{};
  for (; k < depth; k += stride) {
    Chunk weights[Columns];
#pragma unroll
    for (int n = 0; n < Columns; ++n) weights[n] = next[n];
    if (k + stride < depth) load_right(k + stride);
#pragma unroll
    for (int m = 0; m < Rows; ++m) {
      const auto x = convert_vec<Value>(load_along_depth<width>(left, left_place[m], k));
#pragma unroll
      for (int n = 0; n < Columns; ++n) {
#pragma unroll
        for (int i = 0; i < width; ++i) sum[m][n] += x.v[i] * convert<Value>(weights[n].v[i]);
      }
    }
  }
  let_successor_start();

  __shared__ Value partial[WarpsDeep > 1 ? Warps : 1][Rows][Columns];
#pragma unroll
  for (int m = 0; m < Rows; ++m) {
#pragma unroll
    for (int n = 0; n < Columns; ++n) {
      sum[m][n] = warp_reduce(sum[m][n], Sum());
      if (WarpsDeep > 1 && lane_index() == 0) partial[warp_index()][m][n] = sum[m][n];
    }
  }
  if constexpr (WarpsDeep > 1) {
    __syncthreads();
    if (warp_index() % WarpsDeep != 0) return;
  }
  // A lane to a result.
#pragma unroll
  for (int m = 0; m < Rows; ++m) {
#pragma unroll
    for (int n = 0; n < Columns; ++n) {
      if (lane_index() != m * Columns + n || m >= rows || first + n >= columns) continue;
      Value total = sum[m][n];
      if constexpr (WarpsDeep > 1) {
#pragma unroll
        for (int w = 1; w < WarpsDeep; ++w) total += partial[warp_index() + w][m][n];
      }
      Result::template store<1>(a, batch, m, first + n, Vec<Value, 1>{{total}},
                                Result::template load<1>(a, batch, m, first + n));
    }
  }
}
