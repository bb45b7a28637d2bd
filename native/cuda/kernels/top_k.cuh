// The k best elements of a row, best first, equal ones by index: one block to a row. A radix selection finds the key of
// the last one that counts, then the chosen elements are sorted. Smaller keys are better.

// Unsigned numbers in the order of the elements; NaN is the largest, both zeros are one.
template <typename Key, typename T>
TW_DEVICE Key order_key(T element, bool largest) {
  Key key;
  if constexpr (is_same<T, f64>) {
    const u64 bits = bit_cast<u64>(element + 0.0);
    key = element != element ? ~u64{0} : bits >> 63 ? ~bits : bits | u64{1} << 63;
  } else if constexpr (is_float<T>) {
    const f32 value = static_cast<f32>(element);
    const u32 bits = bit_cast<u32>(value + 0.0f);
    key = value != value ? ~u32{0} : bits >> 31 ? ~bits : bits | u32{1} << 31;
  } else if constexpr (is_same<T, b8>) {
    key = element.bits;
  } else {
    // The sign bit flipped, in the key's width.
    key = static_cast<Key>(element);
    if constexpr (is_signed<T>) key ^= Key{1} << (8 * sizeof(Key) - 1);
  }
  return largest ? ~key : key;
}

template <typename Key>
struct Ranked {
  Key key;
  u32 index;
  TW_DEVICE bool before(const Ranked& other) const {
    return key < other.key || (key == other.key && index < other.index);
  }
};

// Sorts `size` (a power of two) elements in place; all threads of the block take part.
template <int Threads, typename Key>
TW_DEVICE void bitonic_sort(Ranked<Key>* items, u32 size) {
  for (u32 run = 2; run <= size; run *= 2) {
    for (u32 step = run / 2; step > 0; step /= 2) {
      __syncthreads();
      for (u32 i = threadIdx.x; i < size / 2; i += Threads) {
        const u32 low = 2 * i - (i & (step - 1)), high = low + step;
        const Ranked<Key> a = items[low], b = items[high];
        if (b.before(a) == ((low & run) == 0)) {
          items[low] = b;
          items[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

// The key of the element that is k-th (from 1), and in `ties` how many of its equals belong to the first k.
template <int Threads, typename Key, typename Load>
TW_DEVICE Key select_key(u32 n, u32 k, u32& ties, Load load) {
  __shared__ u32 histogram[256];
  __shared__ u32 chosen, left;
  Key prefix = 0;
  u32 wanted = k;
  for (int shift = 8 * sizeof(Key) - 8; shift >= 0; shift -= 8) {
    for (u32 i = threadIdx.x; i < 256; i += Threads) histogram[i] = 0;
    __syncthreads();
    const Key above = shift + 8 >= static_cast<int>(8 * sizeof(Key)) ? Key{0} : ~Key{0} << (shift + 8);
    for (u32 i = threadIdx.x; i < n; i += Threads) {
      const Key key = load(i);
      if ((key & above) == prefix) atomicAdd(&histogram[static_cast<u32>(key >> shift) & 255u], 1u);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      u32 digit = 0, rest = wanted;
      while (digit < 255 && histogram[digit] < rest) rest -= histogram[digit++];
      chosen = digit;
      left = rest;
    }
    __syncthreads();
    prefix |= static_cast<Key>(chosen) << shift;
    wanted = left;
    __syncthreads();
  }
  ties = wanted;
  return prefix;
}

// Moves the first k of a row into `items`, ties by index, and fills up to `size` with what comes last.
template <int Threads, typename Key, typename Load>
TW_DEVICE void collect_best(Ranked<Key>* items, u32 size, u32 n, u32 k, Load load) {
  __shared__ u32 better, counts[Threads / warp_size];
  u32 ties;
  const Key limit = select_key<Threads, Key>(n, k, ties, load);
  if (threadIdx.x == 0) better = 0;
  for (u32 i = k + threadIdx.x; i < size; i += Threads) items[i] = {~Key{0}, ~u32{0}};
  __syncthreads();
  u32 equal = 0;  // of the rounds so far
  for (u32 base = 0; base < n; base += Threads) {
    const u32 i = base + threadIdx.x;
    const Key key = i < n ? load(i) : ~Key{0};
    if (i < n && key < limit) items[atomicAdd(&better, 1u)] = {key, i};
    const bool tie = i < n && key == limit;
    // Equal ones keep the order of their indices.
    const u32 votes = warp_ballot(tie);
    if (lane_index() == 0) counts[warp_index()] = __popc(votes);
    __syncthreads();
    u32 before = equal, total = 0;
    for (int w = 0; w < Threads / warp_size; ++w) {
      if (w < warp_index()) before += counts[w];
      total += counts[w];
    }
    const u32 place = before + __popc(votes & ((1u << lane_index()) - 1));
    if (tie && place < ties) items[k - ties + place] = {key, i};
    equal += total;
    __syncthreads();
  }
}
