// Rotary embedding: turns pairs of a row's elements by angles. A problem (generated) has Index, X, V, rows(), columns()
// (the head size), half() (pairs), x_load(row, column), cos_load and sin_load(row, pair): V elements, and
// y_store(row, column, values).

// A thread for V pairs, or for V elements that do not turn. Halves: pairs are half() apart, and V divides half().
template <int Block, typename P>
TW_DEVICE void rotary_halves(const P& p) {
  using Index = typename P::Index;
  constexpr int V = P::V;
  const Index packs = p.half() / V + (p.columns() - 2 * p.half()) / V;
  const Index i = static_cast<Index>(blockIdx.x) * Block + static_cast<int>(threadIdx.x);
  if (i >= p.rows() * packs) return;
  const Index row = i / packs, first = i % packs * V;
  wait_for_predecessor();
  let_successor_start();
  if (first >= p.half()) {
    const auto x = p.x_load(row, first + p.half());
    Vec<f32, V> y;
#pragma unroll
    for (int v = 0; v < V; ++v) y[v] = convert<f32>(x[v]);
    p.y_store(row, first + p.half(), y);
    return;
  }
  const auto u = p.x_load(row, first), w = p.x_load(row, first + p.half());
  const auto c = p.cos_load(row, first);
  const auto s = p.sin_load(row, first);
  Vec<f32, V> low, high;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const f32 a = convert<f32>(u[v]), b = convert<f32>(w[v]);
    low[v] = convert<f32>(c[v]) * a - convert<f32>(s[v]) * b;
    high[v] = convert<f32>(s[v]) * a + convert<f32>(c[v]) * b;
  }
  p.y_store(row, first, low);
  p.y_store(row, first + p.half(), high);
}

// Pairs are neighbours; V is 1.
template <int Block, typename P>
TW_DEVICE void rotary_interleaved(const P& p) {
  using Index = typename P::Index;
  static_assert(P::V == 1, "one by one");
  const Index units = p.columns() - p.half();
  const Index i = static_cast<Index>(blockIdx.x) * Block + static_cast<int>(threadIdx.x);
  if (i >= p.rows() * units) return;
  const Index row = i / units, unit = i % units;
  wait_for_predecessor();
  let_successor_start();
  if (unit >= p.half()) {
    p.y_store(row, unit + p.half(), Vec<f32, 1>{convert<f32>(p.x_load(row, unit + p.half())[0])});
    return;
  }
  const f32 a = convert<f32>(p.x_load(row, 2 * unit)[0]), b = convert<f32>(p.x_load(row, 2 * unit + 1)[0]);
  const f32 c = convert<f32>(p.cos_load(row, unit)[0]), s = convert<f32>(p.sin_load(row, unit)[0]);
  p.y_store(row, 2 * unit, Vec<f32, 1>{c * a - s * b});
  p.y_store(row, 2 * unit + 1, Vec<f32, 1>{s * a + c * b});
}
