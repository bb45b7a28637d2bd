// Attention of 16-bit floats on tensor cores (compute capability 8.0 and up), after attention_softmax.cuh. A warp owns
// 16 · MT rows of a tile; keys and values pass by in blocks of N through shared memory, double-buffered; scores, weights
// and results stay in registers. With One, a single block holds all keys and nothing is ever rescaled. KeyWarps warps
// share their rows, each with a part of every block's keys, and merge their results at the end: small tiles, and many of
// them, where queries are few. BiasKeys: see attention_gather_bias.

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

// What the warps of the same rows made of their keys, as floats in shared memory.
template <int KeyWarps, int Rows, typename P>
struct AttentionParts {
  using T = typename P::T;
  using Index = typename P::Index;
  static constexpr int columns = attention_pad(P::value_size), pitch = columns + 4;
  f32 *const values, *const states;  // [KeyWarps][Rows][pitch], [KeyWarps][Rows][maximum, sum]
  TW_DEVICE explicit AttentionParts(u8* shared)
      : values(reinterpret_cast<f32*>(shared)), states(values + KeyWarps * Rows * pitch) {}

  template <int MT>
  TW_DEVICE void put(int key_warp, int first, const AttentionState<MT, P>& state,
                     const f32 (&out)[MT][columns / 8][4]) const {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      const int at = key_warp * Rows + first + r / 2 * 16 + r % 2 * 8 + g;
      const f32 sum = warp_reduce<4>(state.sum[r], Sum{});
      if (t == 0) store_vec(states + 2 * at, Vec<f32, 2>{state.maximum[r] * AttentionUnit<P>::value, sum});
#pragma unroll
      for (int c = 0; c < columns / 8; ++c)
        store_vec(values + at * pitch + c * 8 + 2 * t,
                  Vec<f32, 2>{out[r / 2][c][r % 2 * 2], out[r / 2][c][r % 2 * 2 + 1]});
    }
  }

  // By all threads, a few columns of a row each.
  template <int Threads>
  TW_DEVICE void merge(const P& p, Index batch, Index first_row) const {
    constexpr int width = P::o_vector ? 8 : 1, chunks = (P::value_size + width - 1) / width;
    for (int i = static_cast<int>(threadIdx.x); i < Rows * chunks; i += Threads) {
      const int row = i / chunks, column = i % chunks * width;
      const AttentionRow<P> at(p, first_row + row);
      if (!at.inside) continue;
      Vec<f32, 2> part[KeyWarps];
      f32 top = attention_nothing();
      if constexpr (P::sinks) top = p.sink(at.head) * log2_e;
#pragma unroll
      for (int w = 0; w < KeyWarps; ++w) {
        part[w] = load_vec<2>(states + 2 * (w * Rows + row));
        top = fmaxf(top, part[w][0]);
      }
      f32 sum = 0.0f, total[width] = {};
      if constexpr (P::sinks) sum = fast_exp2(p.sink(at.head) * log2_e - attention_base(top));
#pragma unroll
      for (int w = 0; w < KeyWarps; ++w) {
        const f32 weight = fast_exp2(part[w][0] - attention_base(top));
        sum += part[w][1] * weight;
        const f32* const from = values + (w * Rows + row) * pitch + column;
#pragma unroll
        for (int c = 0; c < width; ++c) total[c] += from[c] * weight;
      }
      const f32 inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
      Vec<T, width> result;
#pragma unroll
      for (int c = 0; c < width; ++c) result.v[c] = convert<T>(total[c] * inverse);
      store_vec(p.o(batch, at.head) + at.query * p.o_row() + column * p.o_column(), result);
    }
  }
};

template <int Warps, int MT, int N, bool One, int KeyWarps, int BiasKeys, typename P>
TW_DEVICE void attention_mma(const P& p) {
  using Index = typename P::Index;
  using T = typename P::T;
  constexpr int threads = Warps * warp_size, rows = Warps / KeyWarps * MT * 16, stages = One ? 1 : 2;
  constexpr int own_keys = N / KeyWarps;
  static_assert(Warps % KeyWarps == 0 && own_keys % 16 == 0 && BiasKeys % N == 0, "whole instructions");
  constexpr int size = attention_pad(P::size), value_size = attention_pad(P::value_size);
  constexpr int pitch = size + 8, value_pitch = value_size + 8;
  constexpr int row_pitch = size > value_size ? pitch : value_pitch;
  constexpr int steps = size / 16, tiles = own_keys / 8, outs = value_size / 8;
  // Queries wait in registers where there is room, else in shared memory.
  constexpr bool held = MT * (steps + outs + tiles) * 4 <= 176;

  TW_SHARED_BYTES(bytes);
  T* const shared_q = reinterpret_cast<T*>(bytes);
  T* const shared_k = shared_q + rows * row_pitch;
  T* const shared_v = shared_k + stages * N * pitch;
  f32* const bias = reinterpret_cast<f32*>(shared_v + stages * N * value_pitch);

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

  const int lane = lane_index(), g = lane / 4, t = lane % 4;
  // Of the rows, and of their keys.
  const int warp = warp_index() % (Warps / KeyWarps), key_warp = warp_index() / (Warps / KeyWarps);
  if (block < last) {
    attention_load_queries<threads, rows, row_pitch>(p, shared_q, batch, first_row);
    load_keys(block);
  }
  cp_async_commit();
  if (block < last) load_values(block);
  cp_async_commit();

  if constexpr (BiasKeys > 0)
    attention_gather_bias<threads>(p, bias, batch, static_cast<Index>(blockIdx.y), keys.begin, block * N, last * N,
                                   keys.end);

  const Index warp_row = first_row + warp * MT * 16;
  const AttentionTile<MT, P> at_tile(p, batch, warp_row, first_row, rows);
  AttentionState<MT, P> state(p, warp_row);
  f32 out[MT][outs][4];
#pragma unroll
  for (int m = 0; m < MT; ++m)
#pragma unroll
    for (int n = 0; n < outs; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) out[m][n][e] = 0.0f;

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
    const T* const k_lane =
        shared_k + n % stages * (N * pitch) + (key_warp * own_keys + lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8;
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

    const int first_own = n * N + key_warp * own_keys;
    attention_mask<AttentionBlock::any, (BiasKeys > 0)>(p, at_tile, keys.begin + first_own, keys.end, bias + first_own,
                                                        s);
    f32 factor[2 * MT];
    attention_weigh<One>(state, s, factor);
    if constexpr (!One) {
#pragma unroll
      for (int r = 0; r < 2 * MT; ++r)
#pragma unroll
        for (int c = 0; c < outs; ++c)
#pragma unroll
          for (int e = 0; e < 2; ++e) out[r / 2][c][r % 2 * 2 + e] *= factor[r];
    }

    if constexpr (One) cp_async_wait<0>();
    else cp_async_wait<2>();  // the values are there; the next block may be under way
    __syncthreads();
    const T* const v_lane = shared_v + n % stages * (N * value_pitch) +
                            (key_warp * own_keys + lane / 8 % 2 * 8 + lane % 8) * value_pitch + lane / 16 * 8;
#pragma unroll
    for (int step = 0; step < own_keys / 16; ++step) {
      u32 a[MT][4];
#pragma unroll
      for (int m = 0; m < MT; ++m) attention_operand<T>(s[m], step, a[m]);
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

  if constexpr (KeyWarps > 1) {
    // What the blocks of keys have left.
    __syncthreads();
    const AttentionParts<KeyWarps, rows, P> parts(bytes);
    parts.put(key_warp, warp * MT * 16, state, out);
    __syncthreads();
    parts.template merge<threads>(p, batch, first_row);
    return;
  }
  if (p.splits() > 1) {
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      const int row = (warp * MT + r / 2) * 16 + r % 2 * 8 + g;
      const i64 at = attention_partial_row<rows>(p, tile_count, tile, split, row);
      const f32 sum = warp_reduce<4>(state.sum[r], Sum{});
      if (t == 0) store_vec(p.partial_states() + 2 * at, Vec<f32, 2>{state.maximum[r] * AttentionUnit<P>::value, sum});
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
    const f32 inverse = state.inverse(p, warp_row, r);
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
