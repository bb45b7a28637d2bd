// Reductions over rows: `rows` results, each of `columns` elements that lie anywhere. What is reduced comes from two
// policies. An operation has
//   Acc                     what is accumulated;
//   identity(), lift(x, column), combine(a, b), exchange(a, mask): the last gets another lane's by xor of the lane.
// A problem (generated) has
//   Index, X                type of offsets, of elements;
//   rows(), columns();
//   V, load(row, column)    V neighbours, along the columns for reduce_inner, along the rows for reduce_outer;
//   finish(row, acc)        applies the epilogue and stores the result;
//   splits(), chunk()       blocks along a row, and columns of each: a multiple of what a block reads at once;
//   partial()               scratch memory [rows][splits] of Acc; used where splits() is above 1.
// All orders are fixed: equal inputs give equal bits.

// A monoid of the prelude over elements X, accumulated in A.
template <typename X, typename A, typename Monoid>
struct MonoidOperation {
  using Acc = A;
  TW_DEVICE static A identity() { return Monoid::template identity<A>(); }
  template <typename Index>
  TW_DEVICE static A lift(X x, Index) {
    return convert<A>(x);
  }
  TW_DEVICE static A combine(A a, A b) { return static_cast<A>(Monoid{}(a, b)); }
  TW_DEVICE static A exchange(A a, int mask) { return shuffle_xor(a, mask); }
};

// Of booleans as 0 and 1.
struct Any {
  template <typename T>
  TW_DEVICE static T identity() { return T(0); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a | b; }
};
struct All {
  template <typename T>
  TW_DEVICE static T identity() { return T(1); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a & b; }
};

// Combines the values of groups of T neighbouring threads; every thread gets its group's result. T is a power of two up
// to 32, or the whole block. Safe to call repeatedly.
template <typename O, int T, typename A>
TW_DEVICE A combine_threads(A value) {
#pragma unroll
  for (int mask = (T < warp_size ? T : warp_size) / 2; mask > 0; mask /= 2)
    value = O::combine(value, O::exchange(value, mask));
  if constexpr (T > warp_size) {
    constexpr int warps = T / warp_size;
    static_assert(T % warp_size == 0 && warps <= warp_size, "whole warps");
    __shared__ A partial[warps];
    if (lane_index() == 0) partial[warp_index()] = value;
    __syncthreads();
    value = lane_index() < warps ? partial[lane_index()] : O::identity();
#pragma unroll
    for (int mask = warp_size / 2; mask > 0; mask /= 2) value = O::combine(value, O::exchange(value, mask));
    __syncthreads();
  }
  return value;
}

template <typename O, typename P, typename Index>
TW_DEVICE void finish_row(const P& p, Index row, const typename O::Acc& value) {
  if (p.splits() == 1) p.finish(row, value);
  else p.template partial<typename O::Acc>()[row * p.splits() + static_cast<Index>(blockIdx.y)] = value;
}

// T threads for each row, neighbours along the columns. T is a power of two up to 32, or the whole block.
template <typename O, int Block, int T, typename P>
TW_DEVICE void reduce_inner(const P& p) {
  using Index = typename P::Index;
  using Acc = typename O::Acc;
  constexpr int V = P::V;
  constexpr int unroll = V * sizeof(typename P::X) >= 8 ? 4 : 8;
  constexpr Index step = T * V;
  const Index row = static_cast<Index>(blockIdx.x) * (Block / T) + static_cast<int>(threadIdx.x) / T;
  const Index begin = static_cast<Index>(blockIdx.y) * p.chunk();
  const Index end = begin + p.chunk() < p.columns() ? begin + p.chunk() : p.columns();
  Acc acc[V];
#pragma unroll
  for (int v = 0; v < V; ++v) acc[v] = O::identity();
  wait_for_predecessor();
  if (row < p.rows()) {
    Index column = begin + static_cast<int>(threadIdx.x) % T * V;
    for (; column + (unroll - 1) * step < end; column += unroll * step) {
      Vec<typename P::X, V> x[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) x[u] = p.load(row, column + u * step);
#pragma unroll
      for (int u = 0; u < unroll; ++u)
#pragma unroll
        for (int v = 0; v < V; ++v) acc[v] = O::combine(acc[v], O::lift(x[u][v], column + u * step + v));
    }
    for (; column < end; column += step) {
      const Vec<typename P::X, V> x = p.load(row, column);
#pragma unroll
      for (int v = 0; v < V; ++v) acc[v] = O::combine(acc[v], O::lift(x[v], column + v));
    }
  }
  let_successor_start();
#pragma unroll
  for (int half = V / 2; half > 0; half /= 2)
#pragma unroll
    for (int v = 0; v < half; ++v) acc[v] = O::combine(acc[v], acc[v + half]);
  const Acc total = combine_threads<O, T>(acc[0]);
  if (row < p.rows() && static_cast<int>(threadIdx.x) % T == 0) finish_row<O>(p, row, total);
}

// Neighbours along the rows: TX threads of V rows each side by side, TY threads of the block share a row's columns.
template <typename O, int TX, int TY, typename P>
TW_DEVICE void reduce_outer(const P& p) {
  using Index = typename P::Index;
  using Acc = typename O::Acc;
  constexpr int V = P::V;
  constexpr int unroll = 4;
  const int tx = static_cast<int>(threadIdx.x) % TX, ty = static_cast<int>(threadIdx.x) / TX;
  const Index first_row = static_cast<Index>(blockIdx.x) * (TX * V);
  const Index row = first_row + tx * V;
  const Index begin = static_cast<Index>(blockIdx.y) * p.chunk();
  const Index end = begin + p.chunk() < p.columns() ? begin + p.chunk() : p.columns();
  Acc acc[V];
#pragma unroll
  for (int v = 0; v < V; ++v) acc[v] = O::identity();
  wait_for_predecessor();
  if (row < p.rows()) {
    Index column = begin + ty;
    for (; column + (unroll - 1) * TY < end; column += unroll * TY) {
      Vec<typename P::X, V> x[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) x[u] = p.load(row, column + u * TY);
#pragma unroll
      for (int u = 0; u < unroll; ++u)
#pragma unroll
        for (int v = 0; v < V; ++v) acc[v] = O::combine(acc[v], O::lift(x[u][v], column + u * TY));
    }
    for (; column < end; column += TY) {
      const Vec<typename P::X, V> x = p.load(row, column);
#pragma unroll
      for (int v = 0; v < V; ++v) acc[v] = O::combine(acc[v], O::lift(x[v], column));
    }
  }
  let_successor_start();
  if constexpr (TY == 1) {
    if (row < p.rows())
#pragma unroll
      for (int v = 0; v < V; ++v) finish_row<O>(p, row + v, acc[v]);
  } else {
    __shared__ Acc partial[TY][TX * V];
#pragma unroll
    for (int v = 0; v < V; ++v) partial[ty][tx * V + v] = acc[v];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < TX * V; i += TX * TY) {
      Acc total = partial[0][i];
#pragma unroll
      for (int y = 1; y < TY; ++y) total = O::combine(total, partial[y][i]);
      if (first_row + i < p.rows()) finish_row<O>(p, first_row + i, total);
    }
  }
}

// The second launch where rows were split: a warp for each row combines its parts.
template <typename O, int Block, typename P>
TW_DEVICE void reduce_parts(const P& p) {
  using Index = typename P::Index;
  const Index row = static_cast<Index>(blockIdx.x) * (Block / warp_size) + warp_index();
  typename O::Acc acc = O::identity();
  wait_for_predecessor();
  if (row < p.rows())
    for (Index i = lane_index(); i < p.splits(); i += warp_size)
      acc = O::combine(acc, p.template partial<typename O::Acc>()[row * p.splits() + i]);
  let_successor_start();
  acc = combine_threads<O, warp_size>(acc);
  if (row < p.rows() && lane_index() == 0) p.finish(row, acc);
}
