// Attention in true float32, after attention.cuh: 256 threads as 16 × 16; a thread owns M rows and every 16th key of a
// block of N, then the same rows of the result. Keys and values pass by in shared memory, each loaded while the other
// is multiplied. Rows of 16 threads that share rows of the tile belong to one warp.

// Copies Rows rows, where `row_of(i)` finds them (null: not there), into shared rows of Pitch elements; the rest, up to
// Pad columns, is zero. `any` is some valid address.
template <int Rows, int Size, int Pad, int Pitch, bool Vector, typename Index, typename Row>
TW_DEVICE void attention_load_rows(f32* shared, const f32* any, Index column_stride, Row row_of) {
  constexpr int width = Vector ? 4 : 1, chunks = Pad / width;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < Rows * chunks; i += 256) {
    const int row = i / chunks, column = i % chunks * width;
    const f32* source = row_of(row);
    const bool inside = source != nullptr && column < Size;
    f32* const to = shared + row * Pitch + column;
    if constexpr (Vector) cp_async_16(to, inside ? source + column : any, inside ? 16 : 0);
    else *to = inside ? source[column * column_stride] : 0.0f;
  }
}

template <int M, int N, typename P>
TW_DEVICE void attention_simt(const P& p) {
  using Index = typename P::Index;
  constexpr int rows = 16 * M, keys_of_thread = N / 16;
  constexpr int size = attention_pad(P::size), value_size = attention_pad(P::value_size);
  constexpr int pitch = size + 4, value_pitch = value_size + 4, weight_pitch = N + 4;
  // Neighbouring columns of the result that a thread owns, and how many such groups.
  constexpr int width = value_size % 64 == 0 ? 4 : value_size % 32 == 0 ? 2 : 1, groups = value_size / (16 * width);

  TW_SHARED_BYTES(bytes);
  f32* const shared_q = reinterpret_cast<f32*>(bytes);
  f32* const shared_k = shared_q + rows * pitch;
  f32* const shared_v = shared_k + N * pitch;
  f32* const weights = shared_v + N * value_pitch;

  wait_for_predecessor();
  let_successor_start();
  const Index batch = static_cast<Index>(blockIdx.z);
  const int split = static_cast<int>(blockIdx.x) % p.splits();
  const int tile_count = static_cast<int>(gridDim.x) / p.splits();
  int tile = static_cast<int>(blockIdx.x) / p.splits();
  if constexpr (P::causal) tile = tile_count - 1 - tile;
  const Index first_row = static_cast<Index>(tile) * rows;
  const AttentionKeys<N, P> keys(p, batch, first_row, rows);
  int block, last;
  attention_share(p, static_cast<int>(ceil_div(keys.end - keys.begin, Index(N))), split, block, last);
  const Index key_head = attention_key_head(p);
  const f32* const k = p.k(batch, key_head);
  const f32* const v = p.v(batch, key_head);
  const auto load_keys = [&](int n) {
    const Index first = keys.begin + n * N;
    attention_load_rows<N, P::size, size, pitch, P::k_vector>(
        shared_k, k, p.k_column(), [&](int i) { return first + i < keys.end ? k + (first + i) * p.k_row() : nullptr; });
    cp_async_commit();
  };
  const auto load_values = [&](int n) {
    const Index first = keys.begin + n * N;
    attention_load_rows<N, P::value_size, value_size, value_pitch, P::v_vector>(
        shared_v, v, p.v_column(), [&](int i) { return first + i < keys.end ? v + (first + i) * p.v_row() : nullptr; });
    cp_async_commit();
  };
  if (block < last) {
    attention_load_rows<rows, P::size, size, pitch, P::q_vector>(shared_q, k, p.q_column(), [&](int i) -> const f32* {
      const AttentionRow<P> at(p, first_row + i);
      return at.inside ? p.q(batch, at.head) + at.query * p.q_row() : nullptr;
    });
    load_keys(block);
  }

  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  Index position[M], mask_at[M];
  f32 out[M][groups][width], maximum[M], sum[M];
#pragma unroll
  for (int i = 0; i < M; ++i) {
    const AttentionRow<P> at(p, first_row + ty * M + i);
    position[i] = at.query + p.offset(batch);
    if constexpr (P::masked) mask_at[i] = p.mask_head(batch, at.head) + at.query * p.mask_row();
    maximum[i] = attention_nothing();
    if constexpr (P::sinks) maximum[i] = p.sink(at.head) * log2_e;
    sum[i] = 0.0f;
#pragma unroll
    for (int c = 0; c < groups; ++c)
#pragma unroll
      for (int w = 0; w < width; ++w) out[i][c][w] = 0.0f;
  }
  const f32* const q_thread = shared_q + ty * M * pitch;
  const f32* const k_thread = shared_k + tx * pitch;
  f32* const weights_thread = weights + ty * M * weight_pitch;

  for (int n = block; n < last; ++n) {
    cp_async_wait<0>();
    __syncthreads();
    load_values(n);
    f32 s[M][keys_of_thread];
#pragma unroll
    for (int i = 0; i < M; ++i)
#pragma unroll
      for (int j = 0; j < keys_of_thread; ++j) s[i][j] = 0.0f;
#pragma unroll 4
    for (int d = 0; d < size; d += 4) {
      Vec<f32, 4> a[M], b[keys_of_thread];
#pragma unroll
      for (int i = 0; i < M; ++i) a[i] = load_vec<4>(q_thread + i * pitch + d);
#pragma unroll
      for (int j = 0; j < keys_of_thread; ++j) b[j] = load_vec<4>(k_thread + j * 16 * pitch + d);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int i = 0; i < M; ++i)
#pragma unroll
          for (int j = 0; j < keys_of_thread; ++j) s[i][j] += a[i][e] * b[j][e];
    }

    const Index first_key = keys.begin + n * N;
#pragma unroll
    for (int i = 0; i < M; ++i) {
      f32 top = maximum[i];
#pragma unroll
      for (int j = 0; j < keys_of_thread; ++j) {
        const Index key = first_key + j * 16 + tx;
        f32 x = attention_score<true, P>(s[i][j]);
        const bool sees = key < keys.end && attention_sees(p, position[i], key);
        if constexpr (P::masked) {
          const f32 bias = sees ? attention_bias(p.mask()[mask_at[i] + key * p.mask_column()]) : 0.0f;
          x = bias == attention_nothing() ? bias : x + bias;
        }
        s[i][j] = sees ? x : attention_nothing();
        top = fmaxf(top, s[i][j]);
      }
#pragma unroll
      for (int mask = 8; mask > 0; mask /= 2) top = fmaxf(top, shuffle_xor(top, mask));
      const f32 base = attention_base(top);
      const f32 factor = exp2f(maximum[i] - base);
      f32 total = 0.0f;
#pragma unroll
      for (int j = 0; j < keys_of_thread; ++j) {
        const f32 weight = exp2f(s[i][j] - base);
        total += weight;
        weights_thread[i * weight_pitch + j * 16 + tx] = weight;
      }
      sum[i] = sum[i] * factor + total;
      maximum[i] = top;
#pragma unroll
      for (int c = 0; c < groups; ++c)
#pragma unroll
        for (int w = 0; w < width; ++w) out[i][c][w] *= factor;
    }
    cp_async_wait<0>();
    __syncthreads();
    if (n + 1 < last) load_keys(n + 1);
#pragma unroll 2
    for (int j = 0; j < N; j += 4) {
      Vec<f32, 4> a[M];
#pragma unroll
      for (int i = 0; i < M; ++i) a[i] = load_vec<4>(weights_thread + i * weight_pitch + j);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int c = 0; c < groups; ++c) {
          const auto b = load_vec<width>(shared_v + (j + e) * value_pitch + (c * 16 + tx) * width);
#pragma unroll
          for (int i = 0; i < M; ++i)
#pragma unroll
            for (int w = 0; w < width; ++w) out[i][c][w] += a[i][e] * b[w];
        }
    }
  }

#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int mask = 8; mask > 0; mask /= 2) sum[i] += shuffle_xor(sum[i], mask);
    const int row = ty * M + i;
    if (p.splits() > 1) {
      const i64 at = attention_partial_row<rows>(p, tile_count, tile, split, row);
      if (tx == 0) store_vec(p.partial_states() + 2 * at, Vec<f32, 2>{maximum[i], sum[i]});
#pragma unroll
      for (int c = 0; c < groups; ++c)
#pragma unroll
        for (int w = 0; w < width; ++w) p.partial_values()[at * value_size + (c * 16 + tx) * width + w] = out[i][c][w];
      continue;
    }
    const AttentionRow<P> at(p, first_row + row);
    if constexpr (P::sinks) sum[i] += exp2f(p.sink(at.head) * log2_e - attention_base(maximum[i]));
    const f32 inverse = sum[i] == 0.0f ? 0.0f : 1.0f / sum[i];
    if (!at.inside) continue;
    f32* const to = p.o(batch, at.head) + at.query * p.o_row();
#pragma unroll
    for (int c = 0; c < groups; ++c) {
      const int column = (c * 16 + tx) * width;
      if constexpr (P::o_vector && P::value_size % width == 0) {
        Vec<f32, width> packed;
#pragma unroll
        for (int w = 0; w < width; ++w) packed[w] = out[i][c][w] * inverse;
        if (column < P::value_size) store_vec(to + column, packed);
      } else {
#pragma unroll
        for (int w = 0; w < width; ++w)
          if (column + w < P::value_size) to[(column + w) * p.o_column()] = out[i][c][w] * inverse;
      }
    }
  }
}
