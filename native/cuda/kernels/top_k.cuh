// The k best elements of rows, best first, equal ones by index. Needs sort.cuh and selection.cuh.
//
// Short rows: a warp finds one after the other (pick_best) where few are wanted, else the row is sorted (sort_best). Of
// longer ones, the last one that counts is found digit by digit, and the first ones are sorted: by a block a row
// (select_best), or where rows are few by many blocks. Those list the best of a tile each, which one merges (list_best,
// merge_best), or where that would be too many, count digits together (count_leading, count_following, collect_best,
// finish_best).

// Elements of a row, `stride` apart: Width at a time where they are neighbours, of which whole vectors make up the row.
template <int Threads, int Width, bool Largest, typename T>
struct Row {
  using Rank = decltype(rising_key(T{}));
  using Key = decltype(ranked(Rank{}, 0u));
  using Element = T;
  static constexpr int threads = Threads, width = Width;
  const T* x;
  i64 stride;
  u32 size;

  TW_DEVICE static Rank rank_of(T element) { return Largest ? ~rising_key(element) : rising_key(element); }
  TW_DEVICE static Key key_of(T element, u32 index) { return ranked(rank_of(element), index); }
  // After all others.
  TW_DEVICE static Key no_key() { return ranked(~Rank{0}, ~0u); }
  // Width elements from `i`, a multiple of Width, on.
  TW_DEVICE Vec<T, Width> load(u32 i, bool whole) const {
    if constexpr (Width == 1) return {x[i * stride]};
    else return whole ? load_vec<Width>(x + i) : load_strided<Width>(x + i, 1);
  }
  TW_DEVICE bool aligned() const { return reinterpret_cast<u64>(x) % sizeof(Vec<T, Width>) == 0; }
  // take(key) for this thread's share of the elements from `begin`, a multiple of Width, to `end`.
  template <typename Take>
  TW_DEVICE void each(u32 begin, u32 end, const Take& take) const {
    constexpr int batch = 4;
    const bool whole = aligned();
    for (u32 first = begin + threadIdx.x * Width; first < end; first += batch * Threads * Width) {
      Vec<T, Width> elements[batch];
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const u32 i = first + b * Threads * Width;
        if (i < end) elements[b] = load(i, whole);
      }
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const u32 i = first + b * Threads * Width;
        if (i >= end) continue;
#pragma unroll
        for (int v = 0; v < Width; ++v) take(key_of(elements[b][v], i + v));
      }
    }
  }
};

// Where a row's results go.
template <typename T, typename Index>
struct Best {
  T* values;
  i64 values_stride;
  Index* indices;
  i64 indices_stride;
  u32 k;

  TW_DEVICE u32 found(u32 size) const { return min(k, size); }
  template <typename Row>
  TW_DEVICE void store(const Row& row, u32 i, u32 index) const {
    values[i * values_stride] = row.x[index * row.stride];
    indices[i * indices_stride] = static_cast<Index>(index);
  }
  // Of k results, those that a shorter row has none for are 0, and from nowhere.
  TW_DEVICE void store_rest(u32 size, u32 thread, u32 threads) const {
    for (u32 i = size + thread; i < k; i += threads) {
      values[i * values_stride] = convert<T>(0.0f);
      indices[i * indices_stride] = static_cast<Index>(-1);
    }
  }
  // What the first keys name.
  template <typename Row>
  TW_DEVICE void store_keys(const Row& row, const typename Row::Key* keys, u32 thread, u32 threads) const {
    for (u32 i = thread; i < found(row.size); i += threads) store(row, i, index_of(keys[i]));
    store_rest(row.size, thread, threads);
  }
};

template <typename T>
TW_DEVICE T warp_least(T value) {
#if !defined(TW_EMULATOR) && __CUDA_ARCH__ >= 800
  if constexpr (is_same<T, u32>) return __reduce_min_sync(0xFFFFFFFFu, value);
#endif
  return warp_reduce(value, Min());
}

// A warp's row of up to 32 * Elements elements, of which at most 32 are wanted.
template <int Elements, typename Row, typename Results>
TW_DEVICE void pick_best(const Row& row, const Results& results) {
  using Rank = typename Row::Rank;
  const u32 lane = lane_index();
  Rank ranks[Elements];
#pragma unroll
  for (int e = 0; e < Elements; ++e) {
    const u32 i = e * warp_size + lane;
    ranks[e] = i < row.size ? Row::rank_of(row.x[i * row.stride]) : ~Rank{0};
  }
  // This lane's best of those that are left, and which one it is.
  Rank best = ~Rank{0};
  int at = Elements;
#pragma unroll
  for (int e = Elements - 1; e >= 0; --e)
    if (ranks[e] <= best) best = ranks[e], at = e;
  u32 mine = 0;
  const u32 wanted = results.found(row.size);
  for (u32 round = 0; round < wanted; ++round) {
    const Rank least = warp_least(best);
    // Equal ones by index: places beyond the row come after all of it.
    const u32 index = warp_least(best == least ? static_cast<u32>(at) * warp_size + lane : ~0u);
    if (lane == round) mine = index;
    if (index % warp_size == lane) {
      const int taken = at;
      best = ~Rank{0};
      at = Elements;
#pragma unroll
      for (int e = Elements - 1; e >= 0; --e)
        if ((ranks[e] > least || (ranks[e] == least && e > taken)) && ranks[e] <= best) best = ranks[e], at = e;
    }
  }
  if (lane < wanted) results.store(row, lane, mine);
  results.store_rest(row.size, lane, warp_size);
}

TW_DEVICE u32 power_of_two_from(u32 n) {
  u32 result = 2;
  while (result < n) result *= 2;
  return result;
}

// Sorts a row whole: `Group` threads of the block, with room for the next power of two of keys. Rows that are there only
// to fill a block are not stored.
template <int Group, typename Row, typename Results>
TW_DEVICE void sort_best(typename Row::Key* keys, const Row& row, bool stored, u32 thread, const Results& results) {
  const u32 padded = power_of_two_from(row.size);
  for (u32 i = thread; i < padded; i += Group)
    keys[i] = i < row.size ? Row::key_of(row.x[i * row.stride], i) : Row::no_key();
  sort_keys<Group>(keys, padded, thread);
  if (stored) results.store_keys(row, keys, thread, Group);
}

// Puts the keys up to `last` behind the `count` that are there.
template <typename Key, typename Each>
TW_DEVICE void append_up_to(const Key& last, Key* keys, u32 count, const Each& each) {
  __shared__ u32 place;
  if (threadIdx.x == 0) place = count;
  __syncthreads();
  each([&](const Key& key) {
    if (!(last < key)) keys[atomicAdd(&place, 1u)] = key;
  });
  __syncthreads();
}

template <int Threads, typename Row, typename Results>
TW_DEVICE void sort_and_store(typename Row::Key* keys, const Row& row, const Results& results) {
  const u32 found = results.found(row.size), padded = power_of_two_from(found);
  for (u32 i = found + threadIdx.x; i < padded; i += Threads) keys[i] = Row::no_key();
  sort_keys<Threads>(keys, padded);
  results.store_keys(row, keys, threadIdx.x, Threads);
}

// `keys` has room for the next power of two of k.
template <int Threads, typename Row, typename Results>
TW_DEVICE void select_best(typename Row::Key* keys, const Row& row, const Results& results) {
  using Key = typename Row::Key;
  __shared__ u32 histogram[bins];
  const auto each = [&](const auto& take) { row.each(0, row.size, take); };
  const u32 found = results.found(row.size);
  if (found > 0) append_up_to(nth_key<Threads, Key>(histogram, found, each), keys, 0, each);
  sort_and_store<Threads>(keys, row, results);
}

// Lists the k best of the `Tile` elements from `begin` on, in any order, and what comes after all others for those that
// the row does not have.
template <int Tile, typename Row>
TW_DEVICE void list_best(typename Row::Key* list, const Row& row, u32 begin, u32 k) {
  using Key = typename Row::Key;
  constexpr int vectors = Tile / (Row::threads * Row::width);
  __shared__ u32 histogram[bins];
  const bool aligned = row.aligned();
  Key keys[vectors * Row::width];
#pragma unroll
  for (int v = 0; v < vectors; ++v) {
    const u32 i = begin + (v * Row::threads + threadIdx.x) * Row::width;
    const bool inside = i < row.size;
    Vec<typename Row::Element, Row::width> elements;
    if (inside) elements = row.load(i, aligned);
#pragma unroll
    for (int w = 0; w < Row::width; ++w) keys[v * Row::width + w] = inside ? Row::key_of(elements[w], i + w) : Row::no_key();
  }
  const auto each = [&](const auto& take) {
#pragma unroll
    for (int i = 0; i < vectors * Row::width; ++i) take(keys[i]);
  };
  const u32 wanted = min(k, min(row.size - begin, u32{Tile}));
  if (wanted > 0) append_up_to(nth_key<Row::threads, Key>(histogram, wanted, each), list, 0, each);
  for (u32 i = wanted + threadIdx.x; i < k; i += Row::threads) list[i] = Row::no_key();
}

// Of the `count` keys that the tiles of a row listed. `keys` has room for the next power of two of k.
template <int Threads, typename Row, typename Results>
TW_DEVICE void merge_best(const typename Row::Key* list, u32 count, typename Row::Key* keys, const Row& row,
                          const Results& results) {
  using Key = typename Row::Key;
  __shared__ u32 histogram[bins];
  const auto each = [&](const auto& take) {
    for (u32 i = threadIdx.x; i < count; i += Threads) take(list[i]);
  };
  const u32 found = results.found(row.size);
  if (found > 0) append_up_to(nth_key<Threads, Key>(histogram, found, each), keys, 0, each);
  sort_and_store<Threads>(keys, row, results);
}

// Of a row that many blocks share.
struct RowCounters {
  u32 chosen, edge, unused[2];
  u32 leading[bins], following[bins];
};

// What the digits of the last element that counts are, as far as they were counted: elements that share them are the edge.
struct Cut {
  u64 prefix;  // of the edge
  int shift;   // of what leads in keys, to their prefixes
  u32 before;  // elements of smaller prefixes
  u32 edge;    // of the same
};

// Elements of the edge that are told apart from a list of them.
constexpr u32 edge_limit = 16384;

template <int Threads>
TW_DEVICE Cut cut_of(const RowCounters& counters, u32 wanted) {
  if (wanted == 0) return {0, 0, 0, 0};
  const Bin first = find_bin<Threads>(counters.leading, wanted);
  if (first.count <= edge_limit) return {first.index, 64 - bin_bits, first.before, first.count};
  const Bin second = find_bin<Threads>(counters.following, wanted - first.before);
  return {static_cast<u64>(first.index) << bin_bits | second.index, 64 - 2 * bin_bits, first.before + second.before,
          second.count};
}

// Of the elements whose digits before those that are left by the shift are `prefix`: adds up in shared memory, so that
// few atomics go to the same place of global memory.
template <int Threads, typename Each>
TW_DEVICE void count_digits(u32* totals, int shift, u64 prefix, const Each& each) {
  __shared__ u32 histogram[bins];
  for (int i = threadIdx.x; i < bins; i += Threads) histogram[i] = 0;
  __syncthreads();
  each([&](const auto& key) {
    const u64 number = leading(key) >> shift;
    if (number >> bin_bits == prefix) atomicAdd(&histogram[number & (bins - 1)], 1u);
  });
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += Threads)
    if (histogram[i] > 0) atomicAdd(&totals[i], histogram[i]);
}

// Each of these looks at the elements from `begin` to `end`; the counters are 0 at first.
template <typename Row>
TW_DEVICE void count_leading(RowCounters& counters, const Row& row, u32 begin, u32 end) {
  count_digits<Row::threads>(counters.leading, 64 - bin_bits, 0,
                             [&](const auto& take) { row.each(begin, end, take); });
}

// Where too many share the first digits.
template <typename Row>
TW_DEVICE void count_following(RowCounters& counters, const Row& row, u32 wanted, u32 begin, u32 end) {
  if (wanted == 0) return;
  const Bin first = find_bin<Row::threads>(counters.leading, wanted);
  if (first.count <= edge_limit) return;
  count_digits<Row::threads>(counters.following, 64 - 2 * bin_bits, first.index,
                             [&](const auto& take) { row.each(begin, end, take); });
}

// Lists what is better than the edge, and apart from that the edge, as far as there is room for it.
template <typename Row>
TW_DEVICE void collect_best(RowCounters& counters, typename Row::Key* chosen, typename Row::Key* edges, const Row& row,
                            u32 wanted, u32 begin, u32 end) {
  using Key = typename Row::Key;
  __shared__ u32 starts[2];
  const Cut cut = cut_of<Row::threads>(counters, wanted);
  // Better ones in the lower half, those of the edge in the upper.
  u32 mine = 0, total;
  row.each(begin, end, [&](const Key& key) {
    const u64 prefix = leading(key) >> cut.shift;
    mine += prefix < cut.prefix ? 1u : prefix == cut.prefix ? 1u << 16 : 0u;
  });
  const u32 before = block_prefix<Row::threads>(mine, total);
  if (total == 0) return;
  if (threadIdx.x == 0) starts[0] = atomicAdd(&counters.chosen, total & 0xFFFFu);
  if (threadIdx.x == 32) starts[1] = atomicAdd(&counters.edge, total >> 16);
  __syncthreads();
  u32 place = starts[0] + (before & 0xFFFFu), edge = starts[1] + (before >> 16);
  if (mine == 0) return;
  row.each(begin, end, [&](const Key& key) {
    const u64 prefix = leading(key) >> cut.shift;
    if (prefix < cut.prefix) chosen[place++] = key;
    if (prefix == cut.prefix && edge++ < edge_limit) edges[edge - 1] = key;
  });
}

// `keys`, which may be `chosen` itself, has room for the next power of two of k.
template <int Threads, typename Row, typename Results>
TW_DEVICE void finish_best(const RowCounters& counters, const typename Row::Key* chosen,
                           const typename Row::Key* edges, typename Row::Key* keys, const Row& row,
                           const Results& results) {
  using Key = typename Row::Key;
  __shared__ u32 histogram[bins];
  const u32 found = results.found(row.size);
  const Cut cut = cut_of<Threads>(counters, found);
  if (keys != chosen)
    for (u32 i = threadIdx.x; i < cut.before; i += Threads) keys[i] = chosen[i];
  const auto take_from = [&](const auto& each) {
    const u32 wanted = found - cut.before;
    const Key last = wanted == cut.edge ? Row::no_key() : nth_key<Threads, Key>(histogram, wanted, each);
    append_up_to(last, keys, cut.before, each);
  };
  if (cut.edge <= edge_limit) {
    take_from([&](const auto& take) {
      for (u32 i = threadIdx.x; i < cut.edge; i += Threads) take(edges[i]);
    });
  } else {
    take_from([&](const auto& take) {
      row.each(0, row.size, [&](const Key& key) {
        if (leading(key) >> cut.shift == cut.prefix) take(key);
      });
    });
  }
  sort_and_store<Threads>(keys, row, results);
}
