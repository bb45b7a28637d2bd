// Attention of 16-bit floats by warpgroups, Hopper only, after attention_softmax.cuh. A warpgroup owns 64 rows of a
// tile. The tensor memory accelerator brings queries, keys and values; scores, weights and results stay in registers,
// the weights as an operand of wgmma. While a warpgroup makes weights of a block's scores, the tensor cores multiply the
// weights of the block before with its values; other warpgroups fill what gaps remain.
//
// Queries, Keys and Values are types of the generated text, tensor maps in the arguments behind them:
//   span                                                      bytes of a line, swizzled over as many
//   prefetch(a)                                               fetches the tensor map
//   load(a, shared, barrier, column, row, head, batch)        starts a load of a line of each row of a box: of all rows
//                                                             of the tile, or of a block's keys; what is not there is 0
// Barriers count the bytes of queries, and of each stage's keys and values apart. With `Stages` for all blocks of keys
// one thread starts every load; else a warp of its own does, and `empty` barriers tell it which stages may be refilled.

// A 4×4 transposition among the four lanes of a row: lane t has element i of lane t as its i-th, and gets element t of
// lane i.
TW_DEVICE void attention_transpose(u32 (&v)[4]) {
  const int lane = lane_index();
#pragma unroll
  for (int mask = 1; mask <= 2; mask *= 2) {
    const bool upper = (lane & mask) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & mask) continue;
      const u32 got = shuffle_xor(upper ? v[i] : v[i + mask], mask);
      v[i] = upper ? got : v[i];
      v[i + mask] = upper ? v[i + mask] : got;
    }
  }
}

// `Groups` warpgroups with 64 rows each; blocks of N keys. `Ring`: a warp of its own loads; `Moves`: it is one of a
// warpgroup that leaves its registers to the others. `BiasKeys`: keys whose mask waits in shared memory, a multiple of N,
// where one mask serves all rows; else 0.
template <int Groups, int N, int Stages, bool Ring, bool Moves, int BiasKeys, typename P, typename Queries,
          typename Keys, typename Values>
struct WarpgroupAttention {
  using T = typename P::T;
  using Index = typename P::Index;
  static constexpr int rows = 64 * Groups, consumers = 4 * Groups;
  static constexpr int size = attention_pad(P::size), value_size = attention_pad(P::value_size);
  static constexpr int tiles = N / 8, outs = value_size / 8;
  static constexpr int q_bytes = round_up(2 * rows * size, 1024), k_bytes = round_up(2 * N * size, 1024);
  static constexpr int v_bytes = round_up(2 * N * value_size, 1024);
  static constexpr bool one = !Ring && Stages == 1;
  // What the loading warpgroup gives is what the others take: ptxas gives each thread 168 registers at first, or 128.
  static constexpr int few_registers = Groups == 3 ? 32 : 40, many_registers = Groups == 3 ? 160 : 232;
  static_assert(!Moves || (Ring && (Groups == 2 || Groups == 3)), "registers change hands as counted here");
  static_assert(N % 16 == 0 && N <= 256 && BiasKeys % N == 0, "whole instructions");

  const Arguments& a;
  const P p;
  u8 *const q, *const k, *const v;
  f32* const bias;
  u64 *const full_q, *const full_k, *const full_v, *const empty_k, *const empty_v;
  const Index batch, head, first_row;
  const AttentionKeys<N, P> keys;
  const int blocks;

  TW_DEVICE WarpgroupAttention(const Arguments& arguments, u8* shared, int tile)
      : a(arguments),
        p{arguments},
        q(shared),
        k(q + q_bytes),
        v(k + Stages * k_bytes),
        bias(reinterpret_cast<f32*>(v + Stages * v_bytes)),
        full_q(reinterpret_cast<u64*>(bias + BiasKeys)),
        full_k(full_q + 1),
        full_v(full_k + Stages),
        empty_k(full_v + Stages),
        empty_v(empty_k + Stages),
        batch(static_cast<Index>(blockIdx.z)),
        head(static_cast<Index>(blockIdx.y)),
        first_row(static_cast<Index>(tile) * rows),
        keys(p, batch, first_row, rows),
        blocks(static_cast<int>(ceil_div(keys.end - keys.begin, Index(N)))) {}

  // By one thread; __syncthreads follows.
  TW_DEVICE static void make_barriers(u8* shared) {
    u64* const full = reinterpret_cast<u64*>(shared + q_bytes + Stages * (k_bytes + v_bytes) + 4 * BiasKeys);
    for (int i = 0; i <= 2 * Stages; ++i) barrier_init(full + i, 1);
    if constexpr (Ring)
      for (int i = 0; i < 2 * Stages; ++i) barrier_init(full + 1 + 2 * Stages + i, consumers);
    barrier_init_fence();
  }

  template <typename Operand, int Rows, int Columns>
  TW_DEVICE void load(u8* to, u64* barrier, Index row, Index of_head) const {
    constexpr int columns = Operand::span / 2;
    barrier_arrive_expect(barrier, 2 * Rows * Columns);
#pragma unroll
    for (int c = 0; c < Columns / columns; ++c)
      Operand::load(a, to + c * Rows * Operand::span, barrier, c * columns, static_cast<i32>(row),
                    static_cast<i32>(of_head), static_cast<i32>(batch));
  }

  // Every load of the tile, by one thread, in the order of use.
  TW_DEVICE void produce() const {
    if (blocks == 0) return;
    const Index key_head = attention_key_head(p);
    load<Queries, rows, size>(q, full_q, first_row, head);
#pragma unroll 1
    for (int n = 0; n < blocks; ++n) {
      const int stage = n % Stages;
      const u32 round = static_cast<u32>(n / Stages);
      if constexpr (Ring)
        if (round > 0) barrier_wait(empty_k + stage, (round - 1) & 1);
      load<Keys, N, size>(k + stage * k_bytes, full_k + stage, keys.begin + n * N, key_head);
      if constexpr (Ring)
        if (round > 0) barrier_wait(empty_v + stage, (round - 1) & 1);
      load<Values, N, value_size>(v + stage * v_bytes, full_v + stage, keys.begin + n * N, key_head);
    }
  }

  TW_DEVICE static void wait_full(u64* barriers, int n) { barrier_wait(barriers + n % Stages, n / Stages & 1); }

  TW_DEVICE static void release(u64* barriers, int n, bool condition = true) {
    if constexpr (Ring) barrier_arrive_if(condition && lane_index() == 0, barriers + n % Stages);
  }

  // Keys from there on are padding, or beyond the mask, for every row; what memory holds there may be anything.
  TW_DEVICE Index known_keys() const {
    Index end = p.keys();
    if constexpr (P::limited) end = p.limit(batch) < end ? p.limit(batch) : end;
    if constexpr (P::masked) end = p.mask_width() < end ? p.mask_width() : end;
    return end < 0 ? 0 : end;
  }

  // The mask of all blocks, by all consumers.
  TW_DEVICE void gather_bias() const {
    if constexpr (BiasKeys > 0) {
      attention_gather_bias<consumers * warp_size>(p, bias, batch, head, keys.begin, 0, blocks * N, keys.end);
      named_barrier_sync(1, consumers * warp_size);
    }
  }

  // Starts s = q · kᵀ of a block. The first wgmma overwrites s.
  TW_DEVICE void start_scores(int n, u64 at_q, f32 (&s)[1][tiles][4]) const {
    wait_full(full_k, n);
    const u64 at_k = wgmma_descriptor<Keys::span>(k) + static_cast<u64>(n % Stages * (k_bytes / 16));
    f32(&d)[N / 2] = reinterpret_cast<f32(&)[N / 2]>(s);
    wgmma_hold(d);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < size / 16; ++step) {
      constexpr int q_line = Queries::span, k_line = Keys::span;
      const int q_at = step * 32 / q_line * rows * q_line + step * 32 % q_line;
      const int k_at = step * 32 / k_line * N * k_line + step * 32 % k_line;
      wgmma<T, N>(d, at_q + q_at / 16, at_k + k_at / 16, step > 0);
    }
    wgmma_commit();
  }

  // Starts out += weights · v of a block.
  TW_DEVICE void start_values(int n, u32 (&weights)[N / 16][4], f32 (&out)[outs][4]) const {
    wait_full(full_v, n);
    if constexpr (P::limited || P::masked) clear_values(n);
    const u64 at_v = wgmma_descriptor<Values::span>(v, 8 * Values::span, N * Values::span) +
                     static_cast<u64>(n % Stages * (v_bytes / 16));
    f32(&d)[value_size / 2] = reinterpret_cast<f32(&)[value_size / 2]>(out);
    wgmma_hold(d);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < N / 16; ++step) wgmma<T, value_size, 1>(d, weights[step], at_v + step * Values::span, true);
    wgmma_commit();
  }

  // Values that no weight reaches become zeros: nothing times NaN is NaN. Each warpgroup does so for itself.
  TW_DEVICE void clear_values(int n) const {
    const Index known = known_keys(), first = keys.begin + n * N;
    if (known >= p.keys() || first + N <= known) return;
    const int from = known > first ? static_cast<int>(known - first) : 0;
    constexpr int chunks = Values::span / 16;
    const int thread = static_cast<int>(threadIdx.x) % 128;
    for (int c = 0; c < 2 * value_size / Values::span; ++c) {
      u8* const line = v + n % Stages * v_bytes + c * N * Values::span;
      for (int i = from * chunks + thread; i < N * chunks; i += 128)
        store_vec(reinterpret_cast<u32*>(line) + 4 * i, Vec<u32, 4>{0, 0, 0, 0});
    }
    fence_async_shared();
    named_barrier_sync(2 + static_cast<int>(threadIdx.x) / 128, 128);
  }

  TW_DEVICE void consume(int warp) const {
    const int group = warp / 4;
    const Index group_row = first_row + group * 64, warp_row = group_row + warp % 4 * 16;
    gather_bias();
    // Blocks that rows of this warpgroup see some key of.
    int own = 0;
    if (group_row < p.queries()) {
      const AttentionKeys<N, P> seen(p, batch, group_row, 64);
      own = static_cast<int>(ceil_div(seen.end - keys.begin, Index(N)));
      own = own < blocks ? own : blocks;
    }
    const AttentionTile<1, P> tile(p, batch, warp_row, group_row, 64);
    AttentionState<1, P> state(p, warp_row);
    f32 out[outs][4];
#pragma unroll
    for (int c = 0; c < outs; ++c)
#pragma unroll
      for (int e = 0; e < 4; ++e) out[c][e] = 0.0f;

    if (own > 0) {
      f32(&d_out)[value_size / 2] = reinterpret_cast<f32(&)[value_size / 2]>(out);
      const u64 at_q = wgmma_descriptor<Queries::span>(q) + static_cast<u64>(group * (64 * Queries::span / 16));
      f32 s[1][tiles][4], factor[2];
      u32 weights[N / 16][4] = {};
      barrier_wait(full_q, 0);
      start_scores(0, at_q, s);
      wgmma_wait<0>();
      wgmma_hold(reinterpret_cast<f32(&)[N / 2]>(s));
      release(empty_k, 0);
      make_weights<AttentionBlock::any>(0, tile, state, s, factor);
      if constexpr (!one) {
        // No branch may come between the wait for scores and the end of the softmax: ptxas would wait for the values,
        // too. So blocks that need no questions have a loop of their own.
        const int whole = attention_whole_blocks<N>(tile, keys.begin, keys.end);
        const int plain = whole < own ? whole : own;
        multiply<AttentionBlock::whole>(1, plain, at_q, tile, state, s, factor, weights, out);
        if (plain < own)
          multiply<AttentionBlock::partial>(plain > 1 ? plain : 1, own, at_q, tile, state, s, factor, weights, out);
      }
      settle(own, s, weights, out);
      shrink(factor, out);
      start_values(own - 1, weights, out);
      wgmma_wait<0>();
      wgmma_hold(d_out);
      wgmma_hold(reinterpret_cast<u32(&)[N / 4]>(weights));
      release(empty_v, own - 1);
    }
    // What only rows of other warpgroups see passes by, each stage in its turn.
    if constexpr (Ring) {
      for (int n = own; n < blocks; ++n) {
        wait_full(full_k, n);
        release(empty_k, n);
        wait_full(full_v, n);
        release(empty_v, n);
      }
    }
    store(state, warp_row, out);
  }

  // Blocks [first, last): scores of each, the values of the one before, and what the next are multiplied with. The wait
  // for the values is the next iteration's, or ptxas would move it up before the softmax that is to hide it.
  template <AttentionBlock Block>
  TW_DEVICE void multiply(int first, int last, u64 at_q, const AttentionTile<1, P>& tile, AttentionState<1, P>& state,
                          f32 (&s)[1][tiles][4], f32 (&factor)[2], u32 (&weights)[N / 16][4],
                          f32 (&out)[outs][4]) const {
    // A loop known to run once would become one piece with what precedes it, and hold the scores of two blocks.
    i32 end[1] = {last};
    wgmma_hold(end);
#pragma unroll 1
    for (int n = first; n < end[0]; ++n) {
      settle(n, s, weights, out);
      start_scores(n, at_q, s);
      shrink(factor, out);
      start_values(n - 1, weights, out);
      wgmma_wait<1>();
      wgmma_hold(reinterpret_cast<f32(&)[N / 2]>(s));
      release(empty_k, n);
      make_weights<Block>(n, tile, state, s, factor);
      wgmma_hold(reinterpret_cast<f32(&)[N / 2]>(s));
    }
  }

  // Before block n: the values of block n - 2 are in, and the weights of block n - 1 take the place of theirs, which are
  // read no more.
  TW_DEVICE void settle(int n, const f32 (&s)[1][tiles][4], u32 (&weights)[N / 16][4], f32 (&out)[outs][4]) const {
    if constexpr (!one) {
      wgmma_wait<0>();
      wgmma_hold(reinterpret_cast<f32(&)[value_size / 2]>(out));
      wgmma_hold(reinterpret_cast<u32(&)[N / 4]>(weights));
      release(empty_v, n - 2, n >= 2);
    }
#pragma unroll
    for (int step = 0; step < N / 16; ++step) attention_operand<T>(s[0], step, weights[step]);
    // Now, not where they are first read: the next scores want the registers.
    wgmma_hold(reinterpret_cast<u32(&)[N / 4]>(weights));
  }

  // What is summed so far, as the newest maxima want it.
  TW_DEVICE static void shrink(const f32 (&factor)[2], f32 (&out)[outs][4]) {
    if constexpr (!one) {
#pragma unroll
      for (int c = 0; c < outs; ++c)
#pragma unroll
        for (int e = 0; e < 4; ++e) out[c][e] *= factor[e / 2];
    }
  }

  template <AttentionBlock Block>
  TW_DEVICE void make_weights(int n, const AttentionTile<1, P>& tile, AttentionState<1, P>& state, f32 (&s)[1][tiles][4],
                              f32 (&factor)[2]) const {
    attention_mask<Block, (BiasKeys > 0)>(p, tile, keys.begin + n * N, keys.end, bias + n * N, s);
    attention_weigh<one>(state, s, factor);
  }

  // Four neighbouring accumulators make 16 bytes for each lane.
  TW_DEVICE void store(const AttentionState<1, P>& state, Index warp_row, const f32 (&out)[outs][4]) const {
    const int t = lane_index() % 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const f32 inverse = state.inverse(p, warp_row, r);
      const AttentionRow<P> at(p, AttentionTile<1, P>::row(warp_row, r));
      T* const row = p.o(batch, at.head) + at.query * p.o_row();
      if constexpr (P::o_vector) {
#pragma unroll
        for (int c = 0; c + 4 <= outs; c += 4) {
          u32 pairs[4];
#pragma unroll
          for (int i = 0; i < 4; ++i) pairs[i] = pack2<T>(out[c + i][2 * r] * inverse, out[c + i][2 * r + 1] * inverse);
          attention_transpose(pairs);
          if (at.inside && (c + t) * 8 < P::value_size)
            store_vec(reinterpret_cast<u32*>(row) + (c + t) * 4, Vec<u32, 4>{pairs[0], pairs[1], pairs[2], pairs[3]});
        }
#pragma unroll
        for (int c = outs / 4 * 4; c < outs; ++c) {
          const u32 pair = pack2<T>(out[c][2 * r] * inverse, out[c][2 * r + 1] * inverse);
          if (at.inside && c * 8 < P::value_size) reinterpret_cast<u32*>(row)[c * 4 + t] = pair;
        }
      } else {
#pragma unroll
        for (int c = 0; c < outs; ++c)
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const int column = c * 8 + 2 * t + e;
            if (at.inside && column < P::value_size)
              row[column * p.o_column()] = convert<T>(out[c][2 * r + e] * inverse);
          }
      }
    }
  }
};

template <int Groups, int N, int Stages, bool Ring, bool Moves, int BiasKeys, typename P, typename Queries,
          typename Keys, typename Values>
TW_DEVICE void attention_wgmma(const Arguments& a) {
  using Attention = WarpgroupAttention<Groups, N, Stages, Ring, Moves, BiasKeys, P, Queries, Keys, Values>;
  TW_SHARED_BYTES(shared);
  // The same for the warp, and known to be.
  const int warp = shuffle(warp_index(), 0);
  if (threadIdx.x == 0) {
    Queries::prefetch(a);
    Keys::prefetch(a);
    Values::prefetch(a);
    Attention::make_barriers(shared);
  }
  __syncthreads();
  wait_for_predecessor();
  let_successor_start();
  int tile = static_cast<int>(blockIdx.x);
  // Later queries see more keys where attention is causal: they go first.
  if constexpr (P::causal) tile = static_cast<int>(gridDim.x) - 1 - tile;
  const Attention attention(a, shared, tile);
  if constexpr (Ring) {
    if (warp >= Attention::consumers) {
      if constexpr (Moves) registers_decrease<Attention::few_registers>();
      if (warp == Attention::consumers && elect_one()) attention.produce();
      return;
    }
    if constexpr (Moves) registers_increase<Attention::many_registers>();
  } else {
    if (warp == 0 && elect_one()) attention.produce();
    __syncwarp();
  }
  attention.consume(warp);
}
