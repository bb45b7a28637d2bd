// Linear attention: a recurrence over a state of key columns by value columns. Names as in
// packages/core/src/operators/linear-attention.ts. A problem (generated) has
//   key_size, group, value_size, steps(), scale; has_past, decay (0: none, 1: one for each head, 2: for each key column),
//   beta (0: none, 1: one for each step, 2: for each head);
//   query(b, t, head, d), key(b, t, h, d), value(b, t, h, m), past(b, h, d, m), decay_at(b, t, h, d), beta_at(b, t, h):
//   elements as f32; write(b, t, head, m, x), write_state(b, h, d, m, x).

// A block for Columns value columns of a head; a thread owns one column of the state, in shared memory.
template <int Columns, typename P>
TW_DEVICE void attention_linear(const P& p) {
  TW_SHARED_BYTES(bytes);
  f32* const state = reinterpret_cast<f32*>(bytes);  // [key_size][Columns]
  f32* const key = state + P::key_size * Columns;
  f32* const gate = key + P::key_size;
  f32* const query = gate + P::key_size;  // [group][key_size]
  const int thread = static_cast<int>(threadIdx.x), column = static_cast<int>(blockIdx.x) * Columns + thread;
  const int head = static_cast<int>(blockIdx.y), batch = static_cast<int>(blockIdx.z);
  const bool inside = column < P::value_size;
  f32* const own = state + thread;
  wait_for_predecessor();
  let_successor_start();
  for (int d = 0; d < P::key_size; ++d) {
    own[d * Columns] = 0.0f;
    if constexpr (P::has_past) {
      if (inside) own[d * Columns] = p.past(batch, head, d, column);
    }
  }
  for (int step = 0; step < p.steps(); ++step) {
    __syncthreads();
    for (int d = thread; d < P::key_size; d += Columns) {
      key[d] = p.key(batch, step, head, d);
      if constexpr (P::decay != 0) gate[d] = expf(p.decay_at(batch, step, head, d));
    }
    for (int i = thread; i < P::group * P::key_size; i += Columns)
      query[i] = p.query(batch, step, head * P::group + i / P::key_size, i % P::key_size);
    __syncthreads();
    f32 written = inside ? p.value(batch, step, head, column) : 0.0f;
    if constexpr (P::decay != 0 || P::beta != 0) {
#pragma unroll 8
      for (int d = 0; d < P::key_size; ++d) {
        f32 x = own[d * Columns];
        if constexpr (P::decay != 0) own[d * Columns] = x *= gate[d];
        if constexpr (P::beta != 0) written -= x * key[d];
      }
    }
    if constexpr (P::beta != 0) written *= p.beta_at(batch, step, head);
#pragma unroll 8
    for (int d = 0; d < P::key_size; ++d) own[d * Columns] += key[d] * written;
    for (int g = 0; g < P::group; ++g) {
      f32 sum = 0.0f;
#pragma unroll 8
      for (int d = 0; d < P::key_size; ++d) sum += query[g * P::key_size + d] * own[d * Columns];
      if (inside) p.write(batch, step, head * P::group + g, column, P::scale * sum);
    }
  }
  if (inside)
    for (int d = 0; d < P::key_size; ++d) p.write_state(batch, head, d, column, own[d * Columns]);
}
