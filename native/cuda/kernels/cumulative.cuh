// Running sums and products along rows. A problem (generated) has Index, X (elements), C (what they are accumulated
// in), V, rows(), columns(), load(row, column): V elements, and store(row, column, values): V values of C. Reverse
// walks from the end; Exclusive leaves an element out of its own total. The orders of operations are fixed.

// T threads (a power of two up to 32, or the block) for each row, neighbours along the columns: tile after tile.
template <typename Monoid, bool Exclusive, bool Reverse, int Block, int T, typename P>
TW_DEVICE void cumulative_inner(const P& p) {
  using Index = typename P::Index;
  using C = typename P::C;
  constexpr int V = P::V, lanes = T < warp_size ? T : warp_size, warps = T / lanes;
  const Monoid op{};
  const C neutral = Monoid::template identity<C>();
  const Index row = static_cast<Index>(blockIdx.x) * (Block / T) + static_cast<int>(threadIdx.x) / T;
  const int thread = static_cast<int>(threadIdx.x) % T, lane = thread % lanes, warp = thread / lanes;
  const Index columns = p.columns();
  const bool active = row < p.rows();
  C carry = neutral;
  wait_for_predecessor();
  let_successor_start();
  for (Index tile = 0; tile < columns; tile += T * V) {
    const Index at = tile + thread * V;
    const bool inside = active && at < columns;
    const Index column = Reverse ? columns - V - at : at;
    Vec<typename P::X, V> raw;
    if (inside) raw = p.load(row, column);
    // Totals up to and with each of the thread's elements, then of the threads before it.
    C total[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const C x = inside ? convert<C>(raw[Reverse ? V - 1 - v : v]) : neutral;
      total[v] = v == 0 ? x : op(total[v - 1], x);
    }
    C prefix = total[V - 1];
#pragma unroll
    for (int distance = 1; distance < lanes; distance *= 2) {
      const C other = shuffle_up<lanes>(prefix, distance);
      if (lane >= distance) prefix = op(other, prefix);
    }
    C before = shuffle_up<lanes>(prefix, 1);
    if (lane == 0) before = neutral;
    C all = shuffle<lanes>(prefix, lanes - 1);
    if constexpr (warps > 1) {
      __shared__ C sums[warps];
      if (lane == 0) sums[warp] = all;
      __syncthreads();
      C earlier = neutral;
      all = neutral;
      for (int w = 0; w < warps; ++w) {
        if (w == warp) earlier = all;
        all = op(all, sums[w]);
      }
      before = op(earlier, before);
      __syncthreads();
    }
    before = op(carry, before);
    carry = op(carry, all);
    if (inside) {
      Vec<C, V> y;
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const C value = Exclusive ? (v == 0 ? before : op(before, total[v - 1])) : op(before, total[v]);
        y[Reverse ? V - 1 - v : v] = value;
      }
      p.store(row, column, y);
    }
  }
}

// Neighbours along the rows: a thread walks along V rows.
template <typename Monoid, bool Exclusive, bool Reverse, int Block, typename P>
TW_DEVICE void cumulative_outer(const P& p) {
  using Index = typename P::Index;
  using C = typename P::C;
  constexpr int V = P::V, unroll = 8;
  const Monoid op{};
  const Index row = (static_cast<Index>(blockIdx.x) * Block + static_cast<int>(threadIdx.x)) * V;
  const Index columns = p.columns();
  if (row >= p.rows()) return;
  C total[V];
#pragma unroll
  for (int v = 0; v < V; ++v) total[v] = Monoid::template identity<C>();
  wait_for_predecessor();
  let_successor_start();
  for (Index first = 0; first < columns; first += unroll) {
    Vec<typename P::X, V> raw[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (first + u < columns) raw[u] = p.load(row, Reverse ? columns - 1 - (first + u) : first + u);
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (first + u < columns) {
        Vec<C, V> y;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const C sum = op(total[v], convert<C>(raw[u][v]));
          y[v] = Exclusive ? total[v] : sum;
          total[v] = sum;
        }
        p.store(row, Reverse ? columns - 1 - (first + u) : first + u, y);
      }
  }
}
