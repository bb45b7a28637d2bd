// The key of the last one among the first so many, found digit by digit without sorting. Smaller keys are better. All
// threads of a one-dimensional block of `Threads` threads take part, and results are seen by all. Needs sort.cuh.

constexpr int bins = 2048, bin_bits = 11;

struct Bin {
  u32 index;   // of the bin
  u32 before;  // elements of the bins before it
  u32 count;   // its own
};

// Where the `wanted`-th element (from 1) of a histogram of `bins` bins is.
template <int Threads>
TW_DEVICE Bin find_bin(const u32* histogram, u32 wanted) {
  static_assert(bins % Threads == 0, "as many bins for each thread");
  constexpr int own = bins / Threads;
  __shared__ Bin found;
  u32 counts[own], sum = 0, total;
#pragma unroll
  for (int i = 0; i < own; ++i) sum += counts[i] = histogram[threadIdx.x * own + i];
  u32 before = block_prefix<Threads>(sum, total);
#pragma unroll
  for (int i = 0; i < own; ++i) {
    if (before < wanted && wanted <= before + counts[i]) found = {threadIdx.x * own + i, before, counts[i]};
    before += counts[i];
  }
  __syncthreads();
  const Bin result = found;
  __syncthreads();  // before the next call writes it
  return result;
}

struct BitAnd {
  template <typename T>
  TW_DEVICE static T identity() { return ~T(0); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a & b; }
};
struct BitOr {
  template <typename T>
  TW_DEVICE static T identity() { return T(0); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a | b; }
};

struct Nth {
  u64 number;  // that no more than the wanted ones exceed in rank
  bool shared; // whether it is a number of the list, of which more than are wanted may be
  u32 left;    // how many of those are wanted
};

// The `wanted`-th (from 1) of a list of numbers, or one between it and its successor. `each(take)` calls `take` with this
// thread's share of the numbers; `histogram` is shared memory of `bins` counters.
template <int Threads, typename Each>
TW_DEVICE Nth find_nth(u32* histogram, u32 wanted, const Each& each) {
  // Bits that all numbers share would only make all of them meet in one counter.
  u64 all = ~u64{0}, any = 0;
  each([&](u64 number) {
    all &= number;
    any |= number;
  });
  all = block_reduce<Threads>(all, BitAnd());
  any = block_reduce<Threads>(any, BitOr());
  int low = all == any ? 0 : 64 - __clzll(static_cast<i64>(all ^ any));
  u64 prefix = low == 64 ? 0 : all >> low;
  while (low > 0) {
    const int width = low < bin_bits ? low : bin_bits;
    low -= width;
    for (int i = threadIdx.x; i < bins; i += Threads) histogram[i] = 0;
    __syncthreads();
    const u64 digits = (u64{1} << width) - 1;
    each([&](u64 number) {
      if (number >> low >> width == prefix) atomicAdd(&histogram[number >> low & digits], 1u);
    });
    __syncthreads();
    const Bin bin = find_bin<Threads>(histogram, wanted);
    prefix = prefix << width | bin.index;
    wanted -= bin.before;
    if (wanted == bin.count) return {prefix << low | ((u64{1} << low) - 1), false, 0};
    // So they would further down: zeros below an element's own bits and above those of indices.
    const u64 left = (all ^ any) & ((u64{1} << low) - 1);
    const int next = left == 0 ? 0 : 64 - __clzll(static_cast<i64>(left));
    prefix = prefix << (low - next) | (all >> next & ((u64{1} << (low - next)) - 1));
    low = next;
  }
  return {prefix, true, wanted};
}

// A key that exactly `wanted` keys do not exceed. No two keys are equal, so that what is found does not depend on the
// order of threads.
template <int Threads, typename Key = u64, typename Each>
TW_DEVICE Key nth_key(u32* histogram, u32 wanted, const Each& each) {
  if constexpr (is_same<Key, u64>) {
    return find_nth<Threads>(histogram, wanted, each).number;
  } else {
    const Nth nth = find_nth<Threads>(histogram, wanted, [&](const auto& take) {
      each([&](const Key& key) { take(key.rank); });
    });
    if (!nth.shared) return {nth.number, ~0u};
    // Of equal rank: by index.
    const u64 last = nth_key<Threads>(histogram, nth.left, [&](const auto& take) {
      each([&](const Key& key) {
        if (key.rank == nth.number) take(u64{key.index});
      });
    });
    return {nth.number, static_cast<u32>(last)};
  }
}
