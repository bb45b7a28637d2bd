// Attention of 16-bit floats on tensor cores (compute capability 8.0 and up), after attention.cuh. A warp owns 16 · MT
// rows of a tile; keys and values pass by in blocks of N through shared memory, double-buffered; scores, weights and
// results stay in registers. With One, a single block holds all keys and nothing is ever rescaled.

// Copies rows [first, first + Rows) of Size columns, where they exist, into shared rows of Pitch elements; the rest, up
// to a multiple of 16 columns, is zero. Ends in a group of asynchronous copies to commit, or, without Vector, in
// stores.
template <int Threads, int Rows, int Size, int Pitch, bool Vector, typename T, typename Index>
TW_DEVICE void attention_load(T* shared, const T* global, Index row_stride, Index column_stride, Index first, Index end) {
  constexpr int pad = attention_pad(Size);
  if constexpr (Vector) {
    constexpr int chunks = pad / 8, count = Rows * chunks;
#pragma unroll 4
    for (int base = 0; base < count; base += Threads) {
      const int i = base + static_cast<int>(threadIdx.x);
      const int row = i / chunks, chunk = i % chunks;
      if (count % Threads == 0 || i < count) {
        const bool inside = first + row < end && chunk * 8 < Size;
        const T* source = inside ? global + (first + row) * row_stride + chunk * 8 : global;
        cp_async_16(shared + row * Pitch + chunk * 8, source, inside ? 16 : 0);
      }
    }
  } else {
    for (int i = static_cast<int>(threadIdx.x); i < Rows * pad; i += Threads) {
      const int row = i / pad, column = i % pad;
      const bool inside = first + row < end && column < Size;
      shared[row * Pitch + column] = inside ? global[(first + row) * row_stride + column * column_stride] : T{0};
    }
  }
}

// Rows of a tile, which may belong to several heads.
template <int Threads, int Rows, int Pitch, typename P>
TW_DEVICE void attention_load_queries(const P& p, typename P::T* shared, typename P::Index batch,
                                      typename P::Index first) {
  using T = typename P::T;
  if constexpr (!P::packed) {
    attention_load<Threads, Rows, P::size, Pitch, P::q_vector>(
        shared, p.q(batch, static_cast<typename P::Index>(blockIdx.y)), p.q_row(), p.q_column(), first, p.queries());
  } else {
    constexpr int width = P::q_vector ? 8 : 1, chunks = attention_pad(P::size) / width;
    for (int i = static_cast<int>(threadIdx.x); i < Rows * chunks; i += Threads) {
      const int row = i / chunks, column = i % chunks * width;
      const AttentionRow<P> at(p, first + row);
      const bool inside = at.inside && column < P::size;
      const T* source = p.q(batch, at.head) + at.query * p.q_row() + (inside ? column * p.q_column() : 0);
      if constexpr (P::q_vector) cp_async_16(shared + row * Pitch + column, source, inside ? 16 : 0);
      else shared[row * Pitch + column] = inside ? *source : T{0};
    }
  }
}

template <int Warps, int MT, int N, bool One, typename P>
TW_DEVICE void attention_mma(const P& p) {
  using Index = typename P::Index;
  using T = typename P::T;
  constexpr int threads = Warps * warp_size, rows = Warps * MT * 16, stages = One ? 1 : 2;
  constexpr int size = attention_pad(P::size), value_size = attention_pad(P::value_size);
  constexpr int pitch = size + 8, value_pitch = value_size + 8;
  constexpr int row_pitch = size > value_size ? pitch : value_pitch;
  constexpr int steps = size / 16, tiles = N / 8, outs = value_size / 8;
  // Queries wait in registers where there is room, else in shared memory.
  constexpr bool held = MT * (steps + outs + tiles) * 4 <= 176;
  constexpr bool folded = P::softcap == 0 && !P::masked && !P::sinks && P::scale > 0;
  constexpr f32 unit = folded ? static_cast<f32>(P::scale) * log2_e : 1.0f;

  TW_SHARED_BYTES(bytes);
  T* const shared_q = reinterpret_cast<T*>(bytes);
  T* const shared_k = shared_q + rows * row_pitch;
  T* const shared_v = shared_k + stages * N * pitch;

  wait_for_predecessor();
  let_successor_start();
  const Index batch = static_cast<Index>(blockIdx.z);
  const Index key_head = attention_key_head(p);
  const int tile_count = static_cast<int>(gridDim.x) / p.splits();
  const int split = static_cast<int>(blockIdx.x) % p.splits();
  int tile = static_cast<int>(blockIdx.x) / p.splits();
  // Later queries see more keys where attention is causal: they go first.
  if constexpr (P::causal) tile = tile_count - 1 - tile;
  const Index first_row = static_cast<Index>(tile) * rows;
  const AttentionKeys<N, P> keys(p, batch, first_row, rows);
  int block, last;
  attention_share(p, static_cast<int>(ceil_div(keys.end - keys.begin, Index(N))), split, block, last);
  const T* const k = p.k(batch, key_head);
  const T* const v = p.v(batch, key_head);
  const auto load_keys = [&](int n) {
    attention_load<threads, N, P::size, pitch, P::k_vector>(shared_k + n % stages * (N * pitch), k, p.k_row(),
                                                            p.k_column(), keys.begin + n * N, keys.end);
  };
  const auto load_values = [&](int n) {
    attention_load<threads, N, P::value_size, value_pitch, P::v_vector>(
        shared_v + n % stages * (N * value_pitch), v, p.v_row(), p.v_column(), keys.begin + n * N, keys.end);
  };

  const int lane = lane_index(), warp = warp_index(), g = lane / 4, t = lane % 4;
  if (block < last) {
    attention_load_queries<threads, rows, row_pitch>(p, shared_q, batch, first_row);
    load_keys(block);
  }
  cp_async_commit();
  if (block < last) load_values(block);
  cp_async_commit();

  // The thread's rows: g and g + 8 of each 16.
  Index position[2 * MT], mask_at[2 * MT];
#pragma unroll
  for (int r = 0; r < 2 * MT; ++r) {
    const AttentionRow<P> at(p, first_row + (warp * MT + r / 2) * 16 + r % 2 * 8 + g);
    position[r] = at.query + p.offset(batch);
    if constexpr (P::masked) mask_at[r] = p.mask_head(batch, at.head) + at.query * p.mask_row();
  }
  const Index lowest = P::packed ? p.offset(batch) : first_row + p.offset(batch);
  const Index highest = P::packed ? p.queries() - 1 + p.offset(batch) : lowest + rows - 1;

  f32 out[MT][outs][4], maximum[2 * MT], sum[2 * MT];
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int n = 0; n < outs; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) out[m][n][e] = 0.0f;
#pragma unroll
  for (int r = 0; r < 2 * MT; ++r) {
    maximum[r] = attention_nothing();
    if constexpr (P::sinks)
      maximum[r] = p.sink(AttentionRow<P>(p, first_row + (warp * MT + r / 2) * 16 + r % 2 * 8 + g).head) * log2_e;
    sum[r] = 0.0f;
  }

  u32 q[held ? MT : 1][held ? steps : 1][4];
  const T* const q_lane = shared_q + (warp * MT * 16 + lane % 16) * row_pitch + lane / 16 * 8;
  for (int n = block; n < last; ++n) {
    cp_async_wait<1>();  // the keys are there; the values may be under way
    __syncthreads();
    if constexpr (held)
      if (n == block)
#pragma unroll
        for (int m = 0; m < MT; ++m)
#pragma unroll
          for (int s = 0; s < steps; ++s) ldmatrix_x4(q[m][s], q_lane + m * 16 * row_pitch + s * 16);
    if constexpr (!One) {
      if (n + 1 < last) load_keys(n + 1);
      cp_async_commit();
      if (n + 1 < last) load_values(n + 1);
      cp_async_commit();
    }

    f32 s[MT][tiles][4];
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
      for (int j = 0; j < tiles; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) s[m][j][e] = 0.0f;
    const T* const k_lane = shared_k + n % stages * (N * pitch) + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8;
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      u32 a[held ? 1 : MT][4];
      if constexpr (!held)
#pragma unroll
        for (int m = 0; m < MT; ++m) ldmatrix_x4(a[m], q_lane + m * 16 * row_pitch + step * 16);
#pragma unroll
      for (int j = 0; j < tiles; j += 2) {
        u32 b[4];
        ldmatrix_x4(b, k_lane + j * 8 * pitch + step * 16);
        const u32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
#pragma unroll
        for (int m = 0; m < MT; ++m) {
          if constexpr (held) {
            mma_m16n8k16<T>(s[m][j], q[m][step], low);
            mma_m16n8k16<T>(s[m][j + 1], q[m][step], high);
          } else {
            mma_m16n8k16<T>(s[m][j], a[m], low);
            mma_m16n8k16<T>(s[m][j + 1], a[m], high);
          }
        }
      }
    }

    // Scale, mask, and the new maxima.
    const Index first_key = keys.begin + n * N;
    const bool whole = first_key + N <= keys.end && (!P::causal || first_key + N - 1 <= lowest) &&
                       (P::right < 0 || first_key + N - 1 - lowest <= P::right) &&
                       (P::left < 0 || highest - first_key <= P::left);
    f32 top[2 * MT];
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) top[r] = maximum[r];
#pragma unroll
    for (int j = 0; j < tiles; ++j) {
      const Index key = first_key + j * 8 + 2 * t;
      f32 shared_bias[2] = {0.0f, 0.0f};
      const auto load_bias = [&](Index at, f32(&bias)[2]) {
        if constexpr (P::masked) {
          if constexpr (P::mask_by_pairs) {
            if (key >= keys.end) return;
            const auto pair = load_vec<2>(p.mask() + at + key);
            bias[0] = attention_bias(pair[0]);
            bias[1] = attention_bias(pair[1]);
          } else {
#pragma unroll
            for (int e = 0; e < 2; ++e)
              if (key + e < keys.end) bias[e] = attention_bias(p.mask()[at + (key + e) * p.mask_column()]);
          }
        }
      };
      if constexpr (P::masked && !P::mask_by_query && !P::packed) load_bias(mask_at[0], shared_bias);
#pragma unroll
      for (int r = 0; r < 2 * MT; ++r) {
        f32 bias[2] = {shared_bias[0], shared_bias[1]};
        if constexpr (P::masked && (P::mask_by_query || P::packed)) load_bias(mask_at[r], bias);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          f32& x = s[r / 2][j][r % 2 * 2 + e];
          if constexpr (!folded) x = attention_score<false, P>(x);
          if constexpr (P::masked) x = bias[e] == attention_nothing() ? bias[e] : x + bias[e];
          if (!whole && (key + e >= keys.end || !attention_sees(p, position[r], key + e))) x = attention_nothing();
          top[r] = fmaxf(top[r], x);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      top[r] = fmaxf(top[r], shuffle_xor(top[r], 1));
      top[r] = fmaxf(top[r], shuffle_xor(top[r], 2));
      const f32 base = attention_base(top[r]) * unit;
      f32 total = 0.0f;
#pragma unroll
      for (int j = 0; j < tiles; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          f32& x = s[r / 2][j][r % 2 * 2 + e];
          x = fast_exp2(x * unit - base);
          total += x;
        }
      if constexpr (One) {
        sum[r] = total;
      } else {
        const f32 factor = fast_exp2(maximum[r] * unit - base);
        sum[r] = sum[r] * factor + total;
#pragma unroll
        for (int c = 0; c < outs; ++c)
#pragma unroll
          for (int e = 0; e < 2; ++e) out[r / 2][c][r % 2 * 2 + e] *= factor;
      }
      maximum[r] = top[r];
    }

    if constexpr (One) cp_async_wait<0>();
    else cp_async_wait<2>();  // the values are there; the next block may be under way
    __syncthreads();
    const T* const v_lane =
        shared_v + n % stages * (N * value_pitch) + (lane / 8 % 2 * 8 + lane % 8) * value_pitch + lane / 16 * 8;
#pragma unroll
    for (int step = 0; step < N / 16; ++step) {
      u32 a[MT][4];
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const f32(&x)[4] = s[m][2 * step + half];
          a[m][2 * half] = pack2<T>(x[0], x[1]);
          a[m][2 * half + 1] = pack2<T>(x[2], x[3]);
        }
#pragma unroll
      for (int c = 0; c < outs; c += 2) {
        u32 b[4];
        ldmatrix_x4_trans(b, v_lane + step * 16 * value_pitch + c * 8);
        const u32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
#pragma unroll
        for (int m = 0; m < MT; ++m) {
          mma_m16n8k16<T>(out[m][c], a[m], low);
          mma_m16n8k16<T>(out[m][c + 1], a[m], high);
        }
      }
    }
  }
  cp_async_wait<0>();

#pragma unroll
  for (int r = 0; r < 2 * MT; ++r) sum[r] = warp_reduce<4>(sum[r], Sum{});
  if (p.splits() > 1) {
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      const int row = (warp * MT + r / 2) * 16 + r % 2 * 8 + g;
      const i64 at = attention_partial_row<rows>(p, tile_count, tile, split, row);
      if (t == 0) store_vec(p.partial_states() + 2 * at, Vec<f32, 2>{maximum[r] * unit, sum[r]});
#pragma unroll
      for (int c = 0; c < outs; ++c)
        store_vec(p.partial_values() + at * value_size + c * 8 + 2 * t,
                  Vec<f32, 2>{out[r / 2][c][r % 2 * 2], out[r / 2][c][r % 2 * 2 + 1]});
    }
    return;
  }

  // Through the warp's own rows of shared memory, so that whole vectors go out.
  __syncwarp();
#pragma unroll
  for (int r = 0; r < 2 * MT; ++r) {
    if constexpr (P::sinks) {
      const AttentionRow<P> at(p, first_row + (warp * MT + r / 2) * 16 + r % 2 * 8 + g);
      sum[r] += fast_exp2(p.sink(at.head) * log2_e - attention_base(maximum[r]));
    }
    const f32 inverse = sum[r] == 0.0f ? 0.0f : 1.0f / sum[r];
    T* const row = shared_q + ((warp * MT + r / 2) * 16 + r % 2 * 8 + g) * row_pitch + 2 * t;
#pragma unroll
    for (int c = 0; c < outs; ++c)
      *reinterpret_cast<u32*>(row + c * 8) =
          pack2<T>(out[r / 2][c][r % 2 * 2] * inverse, out[r / 2][c][r % 2 * 2 + 1] * inverse);
  }
  __syncwarp();
  constexpr int width = P::o_vector ? 8 : 1, chunks = (P::value_size + width - 1) / width;
  for (int i = lane; i < MT * 16 * chunks; i += warp_size) {
    const int row = warp * MT * 16 + i / chunks, column = i % chunks * width;
    const AttentionRow<P> at(p, first_row + row);
    if (!at.inside) continue;
    T* const to = p.o(batch, at.head) + at.query * p.o_row() + column * p.o_column();
    store_vec(to, load_vec<width>(shared_q + row * row_pitch + column));
  }
}
