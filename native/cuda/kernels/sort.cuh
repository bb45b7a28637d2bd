// Elements in order: numbers that rank them, and blocks that sort.

// Unsigned numbers of 64 bits for elements of 64, else of 32, in the order of the elements; NaN is above all, both zeros
// are one.
template <typename T>
TW_DEVICE auto rising_key(T element) {
  if constexpr (is_same<T, f64>) {
    const u64 bits = bit_cast<u64>(element + 0.0);
    return element != element ? ~u64{0} : bits >> 63 ? ~bits : bits | u64{1} << 63;
  } else if constexpr (is_same<T, b8>) {
    return static_cast<u32>(element.bits);
  } else if constexpr (is_integer<T> && sizeof(T) == 8) {
    return is_signed<T> ? static_cast<u64>(element) ^ u64{1} << 63 : static_cast<u64>(element);
  } else if constexpr (is_integer<T>) {
    return is_signed<T> ? static_cast<u32>(element) ^ 0x80000000u : static_cast<u32>(element);
  } else {
    const f32 value = static_cast<f32>(element) + 0.0f;
    const u32 bits = bit_cast<u32>(value);
    const u32 key = value != value ? ~0u : bits >> 31 ? ~bits : bits | 0x80000000u;
    // Bits that tell none apart are the same, so that nothing is decided by them.
    return is_same<T, f16> ? key & 0xFFFFE000u : is_same<T, bf16> ? key & 0xFFFF0000u : key;
  }
}

// What elements of 64 bits are sorted by: rank, then index. Those of fewer have both in one number.
struct Ranked {
  u64 rank;
  u32 index;
  TW_DEVICE bool operator<(const Ranked& other) const {
    return rank < other.rank || (rank == other.rank && index < other.index);
  }
};
TW_DEVICE u64 ranked(u32 rank, u32 index) { return static_cast<u64>(rank) << 32 | index; }
TW_DEVICE Ranked ranked(u64 rank, u32 index) { return {rank, index}; }
TW_DEVICE u32 index_of(u64 key) { return static_cast<u32>(key); }
TW_DEVICE u32 index_of(const Ranked& key) { return key.index; }
// The 64 bits that decide first.
TW_DEVICE u64 leading(u64 key) { return key; }
TW_DEVICE u64 leading(const Ranked& key) { return key.rank; }

// Sorts `size` (a power of two) keys in place, before(a, b) ones to the front. All threads of a one-dimensional block of
// `Threads` threads take part, and the result is seen by all; or with a number of the thread within its group, each
// group of `Threads` threads of a block, whole warps, sorts as many keys of its own.
template <int Threads, typename Key, typename Before>
TW_DEVICE void sort_keys(Key* keys, u32 size, u32 thread, const Before& before) {
  bool whole_block = true;
  for (u32 run = 2; run <= size; run *= 2) {
    for (u32 step = run / 2; step > 0; step /= 2) {
      // Pairs at most 32 apart lie among the 64 keys that one warp looks after.
      if (whole_block || step > warp_size) __syncthreads();
      else __syncwarp();
      whole_block = step > warp_size;
      for (u32 i = thread; i < size / 2; i += Threads) {
        const u32 low = 2 * i - (i & (step - 1)), high = low + step;
        const Key a = keys[low], b = keys[high];
        if (before(b, a) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
    }
  }
  __syncthreads();
}
template <int Threads, typename Key>
TW_DEVICE void sort_keys(Key* keys, u32 size, u32 thread = threadIdx.x) {
  sort_keys<Threads>(keys, size, thread, [](const Key& a, const Key& b) { return a < b; });
}
