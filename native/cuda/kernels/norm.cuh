// Normalization of rows to zero mean and unit variance, or (Rms) to unit mean square. Begins after reduce.cuh.
// A problem (generated) has Index, X (elements), C (what they are computed in), V, rows(), columns(), epsilon(),
// load(row, column): V elements, early(row, column) and late(row, column): what V results need besides, as far as it is
// constant and as far as it is not, store(row, column, values, early, late): V normalized values, to be scaled and
// shifted, statistics(row, mean, inverse), and, for rows split over blocks, splits(), chunk(), partial(): see reduce.cuh.

// Count, mean and sum of squared distances from the mean of some elements; for Rms the mean is zero.
template <typename C, bool Rms>
struct Moments {
  struct Acc {
    C count, mean, squares;
  };
  TW_DEVICE static Acc identity() { return {C(0), C(0), C(0)}; }
  TW_DEVICE static Acc combine(const Acc& a, const Acc& b) {
    if constexpr (Rms) return {a.count + b.count, C(0), a.squares + b.squares};
    const C count = a.count + b.count;
    const C share = count == C(0) ? C(0) : b.count / count;
    const C distance = b.mean - a.mean;
    return {count, a.mean + distance * share, a.squares + b.squares + distance * distance * share * a.count};
  }
  TW_DEVICE static Acc exchange(const Acc& a, int mask) {
    return {shuffle_xor(a.count, mask), shuffle_xor(a.mean, mask), shuffle_xor(a.squares, mask)};
  }
  TW_DEVICE static void add(Acc& acc, C x) {
    acc.count += C(1);
    if constexpr (Rms) {
      acc.squares += x * x;
    } else {
      const C distance = x - acc.mean;
      acc.mean += distance / acc.count;
      acc.squares += distance * (x - acc.mean);
    }
  }
};
template <typename C>
struct NormSum {
  TW_DEVICE static C identity() { return C(0); }
  TW_DEVICE static C combine(C a, C b) { return a + b; }
  TW_DEVICE static C exchange(C a, int mask) { return shuffle_xor(a, mask); }
};

template <typename C>
TW_DEVICE C norm_inverse(C variance, C epsilon) {
  if constexpr (is_same<C, f64>) return 1.0 / sqrt(variance + epsilon);
  else return rsqrtf(variance + epsilon);
}

template <typename C, int N>
TW_DEVICE C norm_tree_sum(const C (&x)[N]) {
  C sum[N];
#pragma unroll
  for (int i = 0; i < N; ++i) sum[i] = x[i];
#pragma unroll
  for (int half = N / 2; half > 0; half /= 2)
#pragma unroll
    for (int i = 0; i < half; ++i) sum[i] += sum[i + half];
  return sum[0];
}

// The row in registers, where the mean is taken off before squaring: T threads (a power of two up to 32, or the block)
// hold E vectors each. Threads beyond the rows do as the last row's, but store nothing.
template <bool Rms, int Block, int T, int E, typename P>
TW_DEVICE void norm_registers(const P& p) {
  using Index = typename P::Index;
  using C = typename P::C;
  constexpr int V = P::V;
  const Index own = static_cast<Index>(blockIdx.x) * (Block / T) + static_cast<int>(threadIdx.x) / T;
  const Index row = own < p.rows() ? own : p.rows() - 1;
  const Index first = static_cast<int>(threadIdx.x) % T * V;
  const Index columns = p.columns();
  const C share = C(1) / static_cast<C>(columns);
  // Everything is on its way before the first sum: rows are short, and one wait is most of the kernel's time.
  typename P::Early early[E];
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (first + e * (T * V) < columns) early[e] = p.early(row, first + e * (T * V));
  wait_for_predecessor();
  let_successor_start();
  Vec<typename P::X, V> raw[E];
  typename P::Late late[E];
#pragma unroll
  for (int e = 0; e < E; ++e) {
    raw[e] = {};
    if (first + e * (T * V) < columns) {
      raw[e] = p.load(row, first + e * (T * V));
      late[e] = p.late(row, first + e * (T * V));
    }
  }
  C x[E][V];
  C sums[V];
#pragma unroll
  for (int v = 0; v < V; ++v) sums[v] = C(0);
#pragma unroll
  for (int e = 0; e < E; ++e)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      x[e][v] = convert<C>(raw[e][v]);
      sums[v] += x[e][v];
    }
  C mean = C(0);
  if constexpr (!Rms) mean = combine_threads<NormSum<C>, T>(norm_tree_sum(sums)) * share;
#pragma unroll
  for (int v = 0; v < V; ++v) sums[v] = C(0);
#pragma unroll
  for (int e = 0; e < E; ++e) {
    const bool inside = first + e * (T * V) < columns;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      x[e][v] -= mean;
      sums[v] += inside ? x[e][v] * x[e][v] : C(0);
    }
  }
  const C inverse = norm_inverse(combine_threads<NormSum<C>, T>(norm_tree_sum(sums)) * share, p.epsilon());
  if (own >= p.rows()) return;
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (first + e * (T * V) < columns) {
      Vec<C, V> y;
#pragma unroll
      for (int v = 0; v < V; ++v) y[v] = x[e][v] * inverse;
      p.store(row, first + e * (T * V), y, early[e], late[e]);
    }
  if (first == 0) p.statistics(row, mean, inverse);
}

// Moments of a block's part of a row; every thread gets them. Batches in registers are centred on their own mean.
template <bool Rms, int Block, typename P, typename Index = typename P::Index, typename C = typename P::C>
TW_DEVICE typename Moments<C, Rms>::Acc row_moments(const P& p, Index row, Index begin, Index end) {
  using M = Moments<C, Rms>;
  constexpr int V = P::V, unroll = 4, step = Block * V;
  typename M::Acc acc = M::identity();
  for (Index column = begin + static_cast<int>(threadIdx.x) * V; column < end; column += unroll * step) {
    Vec<typename P::X, V> raw[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < end) raw[u] = p.load(row, column + u * step);
    C x[unroll][V];
    typename M::Acc batch = M::identity();
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const bool inside = column + u * step < end;
      if (inside) batch.count += C(V);
#pragma unroll
      for (int v = 0; v < V; ++v) {
        x[u][v] = inside ? convert<C>(raw[u][v]) : C(0);
        batch.mean += x[u][v];
      }
    }
    batch.mean = Rms ? C(0) : batch.mean / batch.count;
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < end)
#pragma unroll
        for (int v = 0; v < V; ++v) batch.squares += (x[u][v] - batch.mean) * (x[u][v] - batch.mean);
    acc = M::combine(acc, batch);
  }
  return combine_threads<M, Block>(acc);
}

template <int Block, typename P, typename Index = typename P::Index, typename C = typename P::C>
TW_DEVICE void row_apply(const P& p, Index row, Index begin, Index end, C mean, C inverse) {
  constexpr int V = P::V, unroll = 4, step = Block * V;
  for (Index column = begin + static_cast<int>(threadIdx.x) * V; column < end; column += unroll * step) {
    Vec<typename P::X, V> raw[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < end) raw[u] = p.load(row, column + u * step);
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < end) {
        Vec<C, V> y;
#pragma unroll
        for (int v = 0; v < V; ++v) y[v] = (convert<C>(raw[u][v]) - mean) * inverse;
        p.store(row, column + u * step, y, p.early(row, column + u * step), p.late(row, column + u * step));
      }
  }
}

// A block for each row, which it reads twice.
template <bool Rms, int Block, typename P>
TW_DEVICE void norm_twice(const P& p) {
  using C = typename P::C;
  using Index = typename P::Index;
  const Index row = static_cast<Index>(blockIdx.x);
  wait_for_predecessor();
  let_successor_start();
  const auto acc = row_moments<Rms, Block>(p, row, Index(0), p.columns());
  const C inverse = norm_inverse(acc.squares / acc.count, p.epsilon());
  row_apply<Block>(p, row, Index(0), p.columns(), acc.mean, inverse);
  if (threadIdx.x == 0) p.statistics(row, acc.mean, inverse);
}

// Rows split over blocks: the moments of each part, then, in a second launch, the normalization.
template <bool Rms, int Block, typename P>
TW_DEVICE void norm_split_moments(const P& p) {
  using Index = typename P::Index;
  using Acc = typename Moments<typename P::C, Rms>::Acc;
  const Index row = static_cast<Index>(blockIdx.x), split = static_cast<Index>(blockIdx.y);
  const Index begin = split * p.chunk();
  const Index end = begin + p.chunk() < p.columns() ? begin + p.chunk() : p.columns();
  wait_for_predecessor();
  let_successor_start();
  const Acc acc = row_moments<Rms, Block>(p, row, begin, end);
  if (threadIdx.x == 0) p.template partial<Acc>()[row * p.splits() + split] = acc;
}
template <bool Rms, int Block, typename P>
TW_DEVICE void norm_split_apply(const P& p) {
  using Index = typename P::Index;
  using C = typename P::C;
  using M = Moments<C, Rms>;
  const Index row = static_cast<Index>(blockIdx.x);
  const Index begin = static_cast<Index>(blockIdx.y) * p.chunk();
  const Index end = begin + p.chunk() < p.columns() ? begin + p.chunk() : p.columns();
  wait_for_predecessor();
  let_successor_start();
  typename M::Acc acc = M::identity();
  for (Index i = static_cast<int>(threadIdx.x); i < p.splits(); i += Block)
    acc = M::combine(acc, p.template partial<typename M::Acc>()[row * p.splits() + i]);
  acc = combine_threads<M, Block>(acc);
  const C inverse = norm_inverse(acc.squares / acc.count, p.epsilon());
  row_apply<Block>(p, row, begin, end, acc.mean, inverse);
  if (threadIdx.x == 0 && blockIdx.y == 0) p.statistics(row, acc.mean, inverse);
}

// Neighbours along the rows: TX threads of V rows each side by side, TY threads share a row's columns. With Part 0 the
// whole row; with 1 the moments of a block's part of it; with 2, in a second launch, its normalization.
template <bool Rms, int TX, int TY, int Part, typename P>
TW_DEVICE void norm_outer(const P& p) {
  using Index = typename P::Index;
  using C = typename P::C;
  using M = Moments<C, Rms>;
  using Acc = typename M::Acc;
  constexpr int V = P::V, unroll = 4;
  const int tx = static_cast<int>(threadIdx.x) % TX, ty = static_cast<int>(threadIdx.x) / TX;
  const Index row = (static_cast<Index>(blockIdx.x) * TX + tx) * V;
  const Index split = static_cast<Index>(blockIdx.y);
  const Index begin = split * p.chunk();
  Index end = begin + p.chunk() < p.columns() ? begin + p.chunk() : p.columns();
  if (row >= p.rows()) end = begin;
  Acc acc[V];
#pragma unroll
  for (int v = 0; v < V; ++v) acc[v] = M::identity();
  wait_for_predecessor();
  let_successor_start();
  if constexpr (Part == 2) {
    if (row < p.rows())
      for (Index i = ty; i < p.splits(); i += TY)
#pragma unroll
        for (int v = 0; v < V; ++v)
          acc[v] = M::combine(acc[v], p.template partial<Acc>()[(row + v) * p.splits() + i]);
  } else {
    Index column = begin + ty;
    for (; column + (unroll - 1) * TY < end; column += unroll * TY) {
      Vec<typename P::X, V> raw[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u) raw[u] = p.load(row, column + u * TY);
#pragma unroll
      for (int v = 0; v < V; ++v) {
        Acc batch{C(unroll), C(0), C(0)};
#pragma unroll
        for (int u = 0; u < unroll; ++u) batch.mean += convert<C>(raw[u][v]);
        batch.mean *= Rms ? C(0) : C(1) / C(unroll);
#pragma unroll
        for (int u = 0; u < unroll; ++u) {
          const C distance = convert<C>(raw[u][v]) - batch.mean;
          batch.squares += distance * distance;
        }
        acc[v] = M::combine(acc[v], batch);
      }
    }
    for (; column < end; column += TY) {
      const Vec<typename P::X, V> raw = p.load(row, column);
#pragma unroll
      for (int v = 0; v < V; ++v) M::add(acc[v], convert<C>(raw[v]));
    }
  }
  if constexpr (TY > 1) {
    __shared__ Acc shared[TY][TX * V];
#pragma unroll
    for (int v = 0; v < V; ++v) shared[ty][tx * V + v] = acc[v];
    __syncthreads();
#pragma unroll
    for (int v = 0; v < V; ++v) {
      acc[v] = shared[0][tx * V + v];
#pragma unroll 4
      for (int y = 1; y < TY; ++y) acc[v] = M::combine(acc[v], shared[y][tx * V + v]);
    }
  }
  if (row >= p.rows()) return;
  if constexpr (Part == 1) {
    if (ty == 0)
#pragma unroll
      for (int v = 0; v < V; ++v) p.template partial<Acc>()[(row + v) * p.splits() + split] = acc[v];
  } else {
    C inverse[V];
#pragma unroll
    for (int v = 0; v < V; ++v) inverse[v] = norm_inverse(acc[v].squares / acc[v].count, p.epsilon());
#pragma unroll 2
    for (Index column = begin + ty; column < end; column += TY) {
      const Vec<typename P::X, V> raw = p.load(row, column);
      Vec<C, V> y;
#pragma unroll
      for (int v = 0; v < V; ++v) y[v] = (convert<C>(raw[v]) - acc[v].mean) * inverse[v];
      p.store(row, column, y, p.early(row, column), p.late(row, column));
    }
    if (ty == 0 && split == 0)
#pragma unroll
      for (int v = 0; v < V; ++v) p.statistics(row + v, acc[v].mean, inverse[v]);
  }
}
