// The scores of attention at one of its stages, after attention.cuh; `o` is [batch, heads, queries, keys].
// Stage: 0 products, 1 with the soft cap, 2 with masks, 3 probabilities.

// A block for each row; a thread for every `Block`th key. Probabilities wait in shared memory, a float for each key.
template <int Stage, int Block, typename P>
TW_DEVICE void attention_scores(const P& p) {
  using Index = typename P::Index;
  TW_SHARED_BYTES(bytes);
  f32* const row = reinterpret_cast<f32*>(bytes);
  __shared__ f32 query[P::size];
  const Index at_query = static_cast<Index>(blockIdx.x), head = static_cast<Index>(blockIdx.y);
  const Index batch = static_cast<Index>(blockIdx.z);
  const int thread = static_cast<int>(threadIdx.x);
  wait_for_predecessor();
  let_successor_start();
  const auto* const q = p.q(batch, head) + at_query * p.q_row();
  for (int d = thread; d < P::size; d += Block) query[d] = convert<f32>(q[d * p.q_column()]);
  __syncthreads();
  const auto* const keys = p.k(batch, head / p.group());
  auto* const out = p.o(batch, head) + at_query * p.o_row();
  Index end = p.keys();
  if constexpr (P::limited) end = p.limit(batch) < end ? p.limit(batch) : end;
  if constexpr (P::masked) end = p.mask_width() < end ? p.mask_width() : end;
  const Index position = at_query + p.offset(batch);
  f32 top = attention_nothing();
  for (Index key = thread; key < p.keys(); key += Block) {
    const auto* const k = keys + key * p.k_row();
    f32 x = 0.0f;
#pragma unroll 8
    for (int d = 0; d < P::size; ++d) x += query[d] * convert<f32>(k[d * p.k_column()]);
    x *= P::scale;
    if constexpr (Stage >= 1 && P::softcap > 0) x = P::softcap * tanhf(x / P::softcap);
    if constexpr (Stage >= 2) {
      if (key >= end || !attention_sees(p, position, key)) {
        x = attention_nothing();
      } else if constexpr (P::masked) {
        const auto element = p.mask()[p.mask_head(batch, head) + at_query * p.mask_row() + key * p.mask_column()];
        if constexpr (is_same<typename P::M, b8>) {
          if (!element) x = attention_nothing();
        } else {
          const f32 bias = static_cast<f32>(element);
          x = bias == attention_nothing() ? bias : x + bias;
        }
      }
    }
    if constexpr (Stage == 3) {
      row[key] = x;
      top = fmaxf(top, x);
    } else {
      out[key * p.o_column()] = convert<typename P::T>(x);
    }
  }
  if constexpr (Stage == 3) {
    top = block_reduce<Block>(top, Max{});
    if constexpr (P::sinks) top = fmaxf(top, p.sink(head));
    const f32 base = attention_base(top);
    f32 sum = 0.0f;
    for (Index key = thread; key < p.keys(); key += Block) sum += row[key] = expf(row[key] - base);
    sum = block_reduce<Block>(sum, Sum{});
    if constexpr (P::sinks) sum += expf(p.sink(head) - base);
    const f32 inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
    for (Index key = thread; key < p.keys(); key += Block)
      out[key * p.o_column()] = convert<typename P::T>(row[key] * inverse);
  }
}
