/** Text that kernels begin with which find the best of many: keys, prefix sums, selection and sorting in a block. */

/**
 * Smaller keys are better, and no two keys are equal, so that what is found does not depend on the order of threads.
 *
 * - `rising_key(x)`: unsigned numbers in the order of elements; NaN is above all, both zeros are one.
 * - `block_prefix<Threads>(value, total)`: the sum of the values of the threads before.
 * - `find_bin<Threads>(histogram, wanted)`: where the `wanted`-th element (from 1) of a histogram of `bins` bins is.
 * - `nth_key<Threads>(histogram, wanted, each)`: a key that exactly `wanted` keys do not exceed. `each(take)` calls `take`
 *   with this thread's share of the keys; `histogram` is shared memory of `bins` counters.
 * - `sort_keys<Threads>(keys, size)`: sorts a power of two of keys in place. With a number of the thread within its group,
 *   each group of `Threads` threads of a block, whole warps, sorts as many keys of its own.
 *
 * All threads of a one-dimensional block of `Threads` threads take part, and the results of one are seen by all.
 */
export const selection = `
constexpr int bins = 2048, bin_bits = 11;

template <typename T>
TW_DEVICE u32 rising_key(T x) {
  if constexpr (is_float<T>) {
    const f32 value = static_cast<f32>(x) + 0.0f;
    const u32 bits = bit_cast<u32>(value);
    return value != value ? ~0u : bits >> 31 ? ~bits : bits | 0x80000000u;
  } else {
    return static_cast<u32>(x) ^ 0x80000000u;
  }
}

template <int Threads>
TW_DEVICE u32 block_prefix(u32 value, u32& total) {
  constexpr int warps = Threads / warp_size;
  __shared__ u32 sums[warps];
  u32 inclusive = value;
#pragma unroll
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const u32 before = shuffle_up(inclusive, distance);
    if (lane_index() >= distance) inclusive += before;
  }
  if (lane_index() == warp_size - 1) sums[warp_index()] = inclusive;
  __syncthreads();
  const u32 sum = lane_index() < warps ? sums[lane_index()] : 0;
  total = warp_reduce(sum, Sum());
  const u32 warps_before = warp_reduce(lane_index() < warp_index() ? sum : 0u, Sum());
  __syncthreads();  // before the next call writes sums
  return warps_before + inclusive - value;
}

struct Bin {
  u32 index;   // of the bin
  u32 before;  // elements of the bins before it
  u32 count;   // its own
};

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

template <int Threads, typename Each>
TW_DEVICE u64 nth_key(u32* histogram, u32 wanted, const Each& each) {
  // Bits that all keys share would only make all of them meet in one counter.
  u64 all = ~u64{0}, any = 0;
  each([&](u64 key) {
    all &= key;
    any |= key;
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
    each([&](u64 key) {
      if (key >> low >> width == prefix) atomicAdd(&histogram[key >> low & digits], 1u);
    });
    __syncthreads();
    const Bin bin = find_bin<Threads>(histogram, wanted);
    prefix = prefix << width | bin.index;
    wanted -= bin.before;
    if (wanted == bin.count) break;
  }
  return prefix << low | ((u64{1} << low) - 1);
}

template <int Threads>
TW_DEVICE void sort_keys(u64* keys, u32 size, u32 thread = threadIdx.x) {
  bool whole_block = true;
  for (u32 run = 2; run <= size; run *= 2) {
    for (u32 step = run / 2; step > 0; step /= 2) {
      // Pairs at most 32 apart lie among the 64 keys that one warp looks after.
      if (whole_block || step > warp_size) __syncthreads();
      else __syncwarp();
      whole_block = step > warp_size;
      for (u32 i = thread; i < size / 2; i += Threads) {
        const u32 low = 2 * i - (i & (step - 1)), high = low + step;
        const u64 a = keys[low], b = keys[high];
        if ((b < a) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
    }
  }
  __syncthreads();
}
`;
