// Softmax and its logarithm along rows. A problem (generated) has Index, X (elements), C (what they are computed in),
// V, rows(), columns(), load(row, column): V elements, and store(row, column, values): V values of C.

template <typename C>
TW_DEVICE C minus_infinity() {
  return static_cast<C>(bit_cast<f32>(0xFF800000u));
}

// e^x. 16-bit elements do not see the error of the approximation.
template <typename X, typename C>
TW_DEVICE C softmax_exp(C x) {
  if constexpr (is_same<X, f64>) return exp(x);
  else if constexpr (is_same<X, f32>) return expf(x);
  else return fast_exp(x);
}
template <typename C>
TW_DEVICE C softmax_log(C x) {
  if constexpr (is_same<C, f64>) return log(x);
  else return logf(x);
}

// For combine_threads.
template <typename C>
struct SoftmaxMax {
  TW_DEVICE static C identity() { return minus_infinity<C>(); }
  TW_DEVICE static C combine(C a, C b) { return a > b ? a : b; }  // a NaN shows in the sum
  TW_DEVICE static C exchange(C a, int mask) { return shuffle_xor(a, mask); }
};
template <typename C>
struct SoftmaxSum {
  TW_DEVICE static C identity() { return C(0); }
  TW_DEVICE static C combine(C a, C b) { return a + b; }
  TW_DEVICE static C exchange(C a, int mask) { return shuffle_xor(a, mask); }
};
// The maximum of some elements and the sum of their e^(x - maximum).
template <typename X, typename C>
struct SoftmaxState {
  struct Acc {
    C maximum, sum;
  };
  TW_DEVICE static Acc identity() { return {minus_infinity<C>(), C(0)}; }
  TW_DEVICE static Acc combine(const Acc& a, const Acc& b) {
    const bool first = a.maximum > b.maximum;
    const C maximum = first ? a.maximum : b.maximum, lower = first ? b.maximum : a.maximum;
    const C high = first ? a.sum : b.sum, low = first ? b.sum : a.sum;
    // Nothing seen yet has a sum of zero.
    return {maximum, low == C(0) ? high : high + low * softmax_exp<X>(lower - maximum)};
  }
  TW_DEVICE static Acc exchange(const Acc& a, int mask) {
    return {shuffle_xor(a.maximum, mask), shuffle_xor(a.sum, mask)};
  }
  // What a maximum is subtracted as: rows of nothing but minus infinity so far have a sum of zero, not NaN.
  TW_DEVICE static C base(C maximum) { return maximum == minus_infinity<C>() ? C(0) : maximum; }
};

// x - maximum to the result, given the sum.
template <bool Log, typename X, typename C>
struct SoftmaxResult {
  C maximum, term;
  SoftmaxResult() = default;
  TW_DEVICE SoftmaxResult(C top, C sum) : maximum(top), term(Log ? softmax_log(sum) : C(1) / sum) {}
  TW_DEVICE C of(C x) const {
    if constexpr (Log) return x - maximum - term;
    else return softmax_exp<X>(x - maximum) * term;
  }
};

// The row in registers: T threads (a power of two up to 32, or the block) hold E vectors each.
template <bool Log, int Block, int T, int E, typename P>
TW_DEVICE void softmax_registers(const P& p) {
  using Index = typename P::Index;
  using X = typename P::X;
  using C = typename P::C;
  constexpr int V = P::V;
  const Index row = static_cast<Index>(blockIdx.x) * (Block / T) + static_cast<int>(threadIdx.x) / T;
  const Index first = static_cast<int>(threadIdx.x) % T * V;
  const Index columns = row < p.rows() ? p.columns() : 0;
  wait_for_predecessor();
  Vec<X, V> raw[E];
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (first + e * (T * V) < columns) raw[e] = p.load(row, first + e * (T * V));
  let_successor_start();
  C x[E][V];
  C maximum = minus_infinity<C>();
#pragma unroll
  for (int e = 0; e < E; ++e)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      x[e][v] = first + e * (T * V) < columns ? convert<C>(raw[e][v]) : minus_infinity<C>();
      maximum = SoftmaxMax<C>::combine(maximum, x[e][v]);
    }
  maximum = combine_threads<SoftmaxMax<C>, T>(maximum);
  C sum = C(0);
#pragma unroll
  for (int e = 0; e < E; ++e)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const C power = softmax_exp<X>(x[e][v] - maximum);
      if (first + e * (T * V) < columns) sum += power;
      if constexpr (!Log) x[e][v] = power;
    }
  sum = combine_threads<SoftmaxSum<C>, T>(sum);
  const SoftmaxResult<Log, X, C> result(maximum, sum);
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (first + e * (T * V) < columns) {
      Vec<C, V> y;
#pragma unroll
      for (int v = 0; v < V; ++v) y[v] = Log ? result.of(x[e][v]) : x[e][v] * result.term;
      p.store(row, first + e * (T * V), y);
    }
}

// A block for each row, which it reads twice.
template <bool Log, int Block, typename P>
TW_DEVICE void softmax_twice(const P& p) {
  using Index = typename P::Index;
  using X = typename P::X;
  using C = typename P::C;
  using State = SoftmaxState<X, C>;
  constexpr int V = P::V, unroll = 4, step = Block * V;
  const Index row = static_cast<Index>(blockIdx.x);
  const Index first = static_cast<int>(threadIdx.x) * V;
  typename State::Acc state = State::identity();
  wait_for_predecessor();
  for (Index column = first; column < p.columns(); column += unroll * step) {
    C x[unroll][V];
    C maximum = minus_infinity<C>();
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      Vec<X, V> raw;
      const bool inside = column + u * step < p.columns();
      if (inside) raw = p.load(row, column + u * step);
#pragma unroll
      for (int v = 0; v < V; ++v) x[u][v] = inside ? convert<C>(raw[v]) : minus_infinity<C>();
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u)
#pragma unroll
      for (int v = 0; v < V; ++v) maximum = SoftmaxMax<C>::combine(maximum, x[u][v]);
    typename State::Acc batch{maximum, C(0)};
#pragma unroll
    for (int u = 0; u < unroll; ++u)
#pragma unroll
      for (int v = 0; v < V; ++v)
        if (column + u * step < p.columns()) batch.sum += softmax_exp<X>(x[u][v] - State::base(maximum));
    state = State::combine(state, batch);
  }
  state = combine_threads<State, Block>(state);
  const SoftmaxResult<Log, X, C> result(state.maximum, state.sum);
  let_successor_start();
  for (Index column = first; column < p.columns(); column += unroll * step) {
    Vec<X, V> raw[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < p.columns()) raw[u] = p.load(row, column + u * step);
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (column + u * step < p.columns()) {
        Vec<C, V> y;
#pragma unroll
        for (int v = 0; v < V; ++v) y[v] = result.of(convert<C>(raw[u][v]));
        p.store(row, column + u * step, y);
      }
  }
}

// Neighbours along the rows: TX threads of V rows each side by side, TY threads share a row's columns.
template <bool Log, int TX, int TY, typename P>
TW_DEVICE void softmax_outer(const P& p) {
  using Index = typename P::Index;
  using X = typename P::X;
  using C = typename P::C;
  using State = SoftmaxState<X, C>;
  constexpr int V = P::V, unroll = 4;
  const int tx = static_cast<int>(threadIdx.x) % TX, ty = static_cast<int>(threadIdx.x) / TX;
  const Index row = (static_cast<Index>(blockIdx.x) * TX + tx) * V;
  const Index columns = row < p.rows() ? p.columns() : 0;
  typename State::Acc state[V];
#pragma unroll
  for (int v = 0; v < V; ++v) state[v] = State::identity();
  wait_for_predecessor();
  Index column = ty;
  for (; column + (unroll - 1) * TY < columns; column += unroll * TY) {
    Vec<X, V> raw[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) raw[u] = p.load(row, column + u * TY);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      typename State::Acc batch = State::identity();
#pragma unroll
      for (int u = 0; u < unroll; ++u) batch.maximum = SoftmaxMax<C>::combine(batch.maximum, convert<C>(raw[u][v]));
#pragma unroll
      for (int u = 0; u < unroll; ++u) batch.sum += softmax_exp<X>(convert<C>(raw[u][v]) - State::base(batch.maximum));
      state[v] = State::combine(state[v], batch);
    }
  }
  for (; column < columns; column += TY) {
    const Vec<X, V> raw = p.load(row, column);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const C x = convert<C>(raw[v]);
      const C maximum = SoftmaxMax<C>::combine(x, minus_infinity<C>());
      state[v] = State::combine(state[v], {maximum, softmax_exp<X>(x - State::base(maximum))});
    }
  }
  if constexpr (TY > 1) {
    __shared__ typename State::Acc partial[TY][TX * V];
#pragma unroll
    for (int v = 0; v < V; ++v) partial[ty][tx * V + v] = state[v];
    __syncthreads();
#pragma unroll
    for (int v = 0; v < V; ++v) {
      state[v] = partial[0][tx * V + v];
#pragma unroll 4
      for (int y = 1; y < TY; ++y) state[v] = State::combine(state[v], partial[y][tx * V + v]);
    }
  }
  SoftmaxResult<Log, X, C> result[V];
#pragma unroll
  for (int v = 0; v < V; ++v) result[v] = SoftmaxResult<Log, X, C>(state[v].maximum, state[v].sum);
  let_successor_start();
#pragma unroll 2
  for (column = ty; column < columns; column += TY) {
    const Vec<X, V> raw = p.load(row, column);
    Vec<C, V> y;
#pragma unroll
    for (int v = 0; v < V; ++v) y[v] = result[v].of(convert<C>(raw[v]));
    p.store(row, column, y);
  }
}
