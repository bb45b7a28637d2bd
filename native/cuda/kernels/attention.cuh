// What the attention kernels share. A problem (generated) has, besides types and sizes known at compile time,
//   T, M                      element types of queries, keys, values, and of the mask
//   size, value_size          of a head; columns of a query and of a value
//   queries(), keys(), group()  extents; query heads that a key head serves
//   packed                    rows of a tile are (head of the group, query), so that few queries fill it
//   q_vector … o_vector       rows are dense and 16-byte aligned
//   q(b, h), k(b, h), v(b, h), o(b, h), X_row(), X_column(): where a head begins, strides of its rows and columns
//   scale, softcap, causal, left, right, offset(b): see packages/core/src/operators/attention.ts
//   limited, limit(b)         keys from there on are padding
//   masked, mask_by_query, mask_by_pairs, mask_head(b, h), mask_row(), mask_column(), mask_width(): strides, and the keys
//                             that it knows; by pairs: two neighbours along the keys are one aligned load
//   sinks, sink(h)
//   splits(), partial_values(), partial_states(): rows' keys split over blocks: see attention_combine.
// Scores are kept in units of log2, so that a power of two makes a weight of each.

constexpr f32 log2_e = 1.4426950408889634f;

TW_DEVICE f32 attention_nothing() { return bit_cast<f32>(0xFF800000u); }

TW_DEVICE constexpr int attention_pad(int size) { return (size + 15) / 16 * 16; }

// A row of a tile as head and query.
template <typename P>
struct AttentionRow {
  typename P::Index head, query;
  bool inside;
  TW_DEVICE AttentionRow(const P& p, typename P::Index row) {
    using Index = typename P::Index;
    if constexpr (P::packed) {
      inside = row < p.group() * p.queries();
      const Index clamped = inside ? row : 0;
      head = static_cast<Index>(blockIdx.y) * p.group() + clamped / p.queries();
      query = clamped % p.queries();
    } else {
      inside = row < p.queries();
      head = static_cast<Index>(blockIdx.y);
      query = inside ? row : 0;
    }
  }
};

template <typename P>
TW_DEVICE typename P::Index attention_key_head(const P& p) {
  const typename P::Index head = static_cast<typename P::Index>(blockIdx.y);
  return P::packed ? head : head / p.group();
}

// The keys that some row of the tile may see, from a multiple of `Block`.
template <int Block, typename P>
struct AttentionKeys {
  typename P::Index begin, end;
  TW_DEVICE AttentionKeys(const P& p, typename P::Index batch, typename P::Index first_row, int rows) {
    using Index = typename P::Index;
    begin = 0;
    end = p.keys();
    if constexpr (P::limited) end = p.limit(batch) < end ? p.limit(batch) : end;
    if constexpr (P::masked) end = p.mask_width() < end ? p.mask_width() : end;
    // Packed rows may hold every query.
    const Index low = P::packed ? 0 : first_row;
    const Index high = P::packed || first_row + rows > p.queries() ? p.queries() - 1 : first_row + rows - 1;
    if constexpr (P::causal || P::right >= 0) {
      const Index last = p.offset(batch) + high + (P::causal ? 0 : P::right);
      end = last + 1 < end ? last + 1 : end;
    }
    if constexpr (P::left >= 0) {
      const Index oldest = p.offset(batch) + low - P::left;
      if (oldest > 0) begin = oldest / Block * Block;
    }
    if (end < begin) end = begin;
  }
};

// Whether a query at this position sees the key.
template <typename P>
TW_DEVICE bool attention_sees(const P&, typename P::Index position, typename P::Index key) {
  bool sees = true;
  if constexpr (P::causal) sees = sees && key <= position;
  if constexpr (P::right >= 0) sees = sees && key - position <= P::right;
  if constexpr (P::left >= 0) sees = sees && position - key <= P::left;
  return sees;
}

// A mask's element as what is added to a score.
template <typename M>
TW_DEVICE f32 attention_bias(M element) {
  if constexpr (is_same<M, b8>) return element.bits != 0 ? 0.0f : attention_nothing();
  else return static_cast<f32>(element) * log2_e;
}

// A product of query and key as score, with no mask yet. Accurate: to the last bits of float32.
template <bool Accurate, typename P>
TW_DEVICE f32 attention_score(f32 product) {
  if constexpr (P::softcap > 0) {
    const f32 x = product * (P::scale / P::softcap);
    if constexpr (Accurate) return P::softcap * log2_e * tanhf(x);
    else return P::softcap * log2_e * (1.0f - 2.0f * fast_reciprocal(1.0f + fast_exp(2.0f * x)));
  } else {
    return product * (P::scale * log2_e);
  }
}

// What maxima are subtracted as: rows that see nothing have weights of zero, not NaN.
TW_DEVICE f32 attention_base(f32 maximum) { return maximum == attention_nothing() ? 0.0f : maximum; }

// The share of the tile's key blocks that a split takes: [first, last) of `blocks`.
template <typename P>
TW_DEVICE void attention_share(const P& p, int blocks, int split, int& first, int& last) {
  const int each = ceil_div(blocks, p.splits());
  first = split * each < blocks ? split * each : blocks;
  last = first + each < blocks ? first + each : blocks;
}

// Where a block leaves a row's unnormalized values, and its maximum and sum, when keys are split.
template <int Rows, typename P>
TW_DEVICE i64 attention_partial_row(const P& p, int tiles, int tile, int split, int row) {
  const i64 unit = (static_cast<i64>(blockIdx.z) * gridDim.y + blockIdx.y) * tiles + tile;
  return (unit * p.splits() + split) * Rows + row;
}

// The second launch of split keys: a warp for each row weighs the parts by their maxima. At most 32 splits; blockIdx.x
// counts blocks of rows.
template <int Rows, int Block, typename P>
TW_DEVICE void attention_combine(const P& p) {
  constexpr int columns = attention_pad(P::value_size);
  using Index = typename P::Index;
  const Index row = static_cast<Index>(blockIdx.x) * (Block / warp_size) + warp_index();
  const Index rows = P::packed ? p.group() * p.queries() : p.queries();
  if (row >= rows) return;
  const int tiles = static_cast<int>(ceil_div(rows, Index(Rows)));
  const int tile = static_cast<int>(row / Rows), in_tile = static_cast<int>(row % Rows);
  const AttentionRow<P> at(p, row);
  wait_for_predecessor();
  let_successor_start();
  f32 maximum = attention_nothing(), sum = 0.0f;
  if (lane_index() < p.splits()) {
    const f32* state = p.partial_states() + 2 * attention_partial_row<Rows>(p, tiles, tile, lane_index(), in_tile);
    maximum = state[0];
    sum = state[1];
  }
  f32 top = warp_reduce(maximum, Max{});
  if constexpr (P::sinks) top = fmaxf(top, p.sink(at.head) * log2_e);
  const f32 weight = exp2f(maximum - attention_base(top));
  sum = warp_reduce(sum * weight, Sum{});
  if constexpr (P::sinks) sum += exp2f(p.sink(at.head) * log2_e - attention_base(top));
  const f32 inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
  auto* const out = p.o(static_cast<Index>(blockIdx.z), at.head) + at.query * p.o_row();
  const f32* const values = p.partial_values() + attention_partial_row<Rows>(p, tiles, tile, 0, in_tile) * columns;
  for (int first = 0; first < columns; first += warp_size) {
    const int column = first + lane_index();
    f32 total = 0.0f;
#pragma unroll 4
    for (int s = 0; s < p.splits(); ++s) {
      const f32 share = shuffle(weight, s);
      // What saw nothing has left nothing.
      if (column < columns && share != 0.0f) total += share * values[static_cast<i64>(s) * Rows * columns + column];
    }
    if (column < P::value_size) out[column * p.o_column()] = convert<typename P::T>(total * inverse);
  }
}
