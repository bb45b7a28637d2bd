// From scores to weights in the registers of tensor cores, after attention.cuh. A warp holds 16 · MT rows by 8 · Tiles
// keys as accumulators of mma.m16n8 (a warp of a wgmma holds the same, MT being 1): a thread has two rows of each 16.

// Scores that nothing is added to are multiplied by their unit when weights are made of them, in one instruction.
template <typename P>
struct AttentionUnit {
  static constexpr bool folded = P::softcap == 0 && !P::masked && !P::sinks && P::scale > 0;
  static constexpr f32 value = folded ? static_cast<f32>(P::scale) * log2_e : 1.0f;
};

// What a thread knows of its rows. `lowest` and `highest` are the positions of a tile that its blocks of keys are whole
// for, or not.
template <int MT, typename P>
struct AttentionTile {
  using Index = typename P::Index;
  Index position[2 * MT], mask_at[2 * MT];
  Index lowest, highest;
  // Of a warp whose first row is `warp_row`, of a tile of `rows` rows from `first_row` on.
  TW_DEVICE AttentionTile(const P& p, Index batch, Index warp_row, Index first_row, int rows) {
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      const AttentionRow<P> at(p, row(warp_row, r));
      position[r] = at.query + p.offset(batch);
      if constexpr (P::masked) mask_at[r] = p.mask_head(batch, at.head) + at.query * p.mask_row();
      else mask_at[r] = 0;
    }
    lowest = P::packed ? p.offset(batch) : first_row + p.offset(batch);
    highest = P::packed ? p.queries() - 1 + p.offset(batch) : lowest + rows - 1;
  }
  TW_DEVICE static Index row(Index warp_row, int r) { return warp_row + r / 2 * 16 + r % 2 * 8 + lane_index() / 4; }
};

// Maxima and sums of a thread's rows; the sums are of its own keys.
template <int MT, typename P>
struct AttentionState {
  f32 maximum[2 * MT], sum[2 * MT];
  TW_DEVICE AttentionState(const P& p, typename P::Index warp_row) {
#pragma unroll
    for (int r = 0; r < 2 * MT; ++r) {
      maximum[r] = attention_nothing();
      if constexpr (P::sinks)
        maximum[r] = p.sink(AttentionRow<P>(p, AttentionTile<MT, P>::row(warp_row, r)).head) * log2_e;
      sum[r] = 0.0f;
    }
  }
  TW_DEVICE f32 base(int r) const { return attention_base(maximum[r]) * AttentionUnit<P>::value; }

  // What a row's values are multiplied by at the end.
  TW_DEVICE f32 inverse(const P& p, typename P::Index warp_row, int r) const {
    f32 total = warp_reduce<4>(sum[r], Sum{});
    if constexpr (P::sinks) {
      const AttentionRow<P> at(p, AttentionTile<MT, P>::row(warp_row, r));
      total += fast_exp2(p.sink(at.head) * log2_e - base(r));
    }
    return total == 0.0f ? 0.0f : 1.0f / total;
  }
};

// A mask that all rows share, as what is added to scores, for keys [from, to) behind `begin`; none from `end` on. By
// `Threads` threads of the block, from its first one on; a barrier follows.
template <int Threads, typename P>
TW_DEVICE void attention_gather_bias(const P& p, f32* bias, typename P::Index batch, typename P::Index head,
                                     typename P::Index begin, int from, int to, typename P::Index end) {
  const auto* const mask = p.mask() + p.mask_head(batch, head);
  for (int i = from + static_cast<int>(threadIdx.x); i < to; i += Threads) {
    const typename P::Index key = begin + i;
    bias[i] = key < end ? attention_bias(mask[key * p.mask_column()]) : attention_nothing();
  }
}

// Whether every row of a tile sees every key of a block, apart from masks: asked for the block, or known.
enum class AttentionBlock { any, whole, partial };

// Products of keys from `first_key` on become scores: scaled, capped, masked; from `end` on there are none. Where a mask
// is the same for all rows, `bias` holds it from `first_key` on, in shared memory, as what is added, if `Gathered`.
template <AttentionBlock Block, bool Gathered, int MT, int Tiles, typename P>
TW_DEVICE void attention_mask(const P& p, const AttentionTile<MT, P>& tile, typename P::Index first_key,
                              typename P::Index end, const f32* bias, f32 (&s)[MT][Tiles][4]) {
  using Index = typename P::Index;
  const int own = 2 * (lane_index() % 4);
  const Index past = first_key + 8 * Tiles;
  if constexpr (!AttentionUnit<P>::folded) {
#pragma unroll
    for (int j = 0; j < Tiles; ++j) {
      const Index key = first_key + j * 8 + own;
      const auto load_bias = [&](Index at, f32(&to)[2]) {
        if constexpr (P::masked) {
          if constexpr (P::mask_by_pairs) {
            if (key >= end) return;
            const auto pair = load_vec<2>(p.mask() + at + key);
            to[0] = attention_bias(pair[0]);
            to[1] = attention_bias(pair[1]);
          } else {
#pragma unroll
            for (int e = 0; e < 2; ++e)
              if (key + e < end) to[e] = attention_bias(p.mask()[at + (key + e) * p.mask_column()]);
          }
        }
      };
      constexpr bool by_row = P::masked && (P::mask_by_query || P::packed);
      f32 common[2] = {0.0f, 0.0f};
      if constexpr (P::masked && !by_row) {
        if constexpr (Gathered) {
          const auto pair = load_vec<2>(bias + j * 8 + own);
          common[0] = pair[0];
          common[1] = pair[1];
        } else {
          load_bias(tile.mask_at[0], common);
        }
      }
#pragma unroll
      for (int r = 0; r < 2 * MT; ++r) {
        f32 rows[2] = {common[0], common[1]};
        if constexpr (by_row) load_bias(tile.mask_at[r], rows);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          f32& x = s[r / 2][j][r % 2 * 2 + e];
          if constexpr (P::softcap == 0 && P::masked && !by_row) {
            x = fmaf(x, P::scale * log2_e, rows[e]);
          } else {
            x = attention_score<false, P>(x);
            if constexpr (P::masked) x = rows[e] == attention_nothing() ? rows[e] : x + rows[e];
          }
        }
      }
    }
  }
  if constexpr (Block == AttentionBlock::whole) return;
  // Most blocks are seen whole: one question for all of their keys.
  constexpr bool known = Block == AttentionBlock::partial;
  if (known || past > end) {
#pragma unroll
    for (int j = 0; j < Tiles; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e)
#pragma unroll
        for (int r = 0; r < 2 * MT; ++r) {
          f32& x = s[r / 2][j][r % 2 * 2 + e];
          x = first_key + j * 8 + own + e < end ? x : attention_nothing();
        }
  }
  if constexpr (P::causal || P::left >= 0 || P::right >= 0) {
    const bool whole = (!P::causal || past - 1 <= tile.lowest) && (P::right < 0 || past - 1 - tile.lowest <= P::right) &&
                       (P::left < 0 || tile.highest - first_key <= P::left);
    if (known || !whole) {
#pragma unroll
      for (int j = 0; j < Tiles; ++j)
#pragma unroll
        for (int r = 0; r < 2 * MT; ++r)
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            f32& x = s[r / 2][j][r % 2 * 2 + e];
            x = attention_sees(p, tile.position[r], first_key + j * 8 + own + e) ? x : attention_nothing();
          }
    }
  }
}

// How many blocks of `Keys` from `begin` on, in a row, every row of a tile sees whole.
template <int Keys, int MT, typename P>
TW_DEVICE int attention_whole_blocks(const AttentionTile<MT, P>& tile, typename P::Index begin,
                                     typename P::Index end) {
  if constexpr (P::left >= 0) return 0;
  auto past = end - begin;
  if constexpr (P::causal) past = tile.lowest + 1 - begin < past ? tile.lowest + 1 - begin : past;
  if constexpr (P::right >= 0)
    past = tile.lowest + P::right + 1 - begin < past ? tile.lowest + P::right + 1 - begin : past;
  return past > 0 ? static_cast<int>(past / Keys) : 0;
}

// Scores become weights. `factor` is what values summed so far are multiplied by; 1 block that holds all keys has none.
template <bool One, int MT, int Tiles, typename P>
TW_DEVICE void attention_weigh(AttentionState<MT, P>& state, f32 (&s)[MT][Tiles][4], f32 (&factor)[2 * MT]) {
  constexpr f32 unit = AttentionUnit<P>::value;
#pragma unroll
  for (int r = 0; r < 2 * MT; ++r) {
    f32 top = state.maximum[r];
#pragma unroll
    for (int j = 0; j < Tiles; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) top = fmaxf(top, s[r / 2][j][r % 2 * 2 + e]);
    top = fmaxf(top, shuffle_xor(top, 1));
    top = fmaxf(top, shuffle_xor(top, 2));
    const f32 base = attention_base(top) * unit;
    f32 total = 0.0f;
#pragma unroll
    for (int j = 0; j < Tiles; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        f32& x = s[r / 2][j][r % 2 * 2 + e];
        x = fast_exp2(x * unit - base);
        total += x;
      }
    if constexpr (One) {
      state.sum[r] = total;
      factor[r] = 1.0f;
    } else {
      factor[r] = fast_exp2(state.maximum[r] * unit - base);
      state.sum[r] = state.sum[r] * factor[r] + total;
    }
    state.maximum[r] = top;
  }
}

// The weights of 16 keys as the A operand of mma.m16n8k16.
template <typename T, int Tiles>
TW_DEVICE void attention_operand(const f32 (&s)[Tiles][4], int step, u32 (&a)[4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const f32(&x)[4] = s[2 * step + half];
    a[2 * half] = pack2<T>(x[0], x[1]);
    a[2 * half + 1] = pack2<T>(x[2], x[3]);
  }
}
