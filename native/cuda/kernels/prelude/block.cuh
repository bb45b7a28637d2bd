// The threads of a block: reduction, running sums and named barriers.

// Reduces over a block of `Threads` threads (one-dimensional, a multiple of 32, at most 1024); every thread gets the
// result. Safe to call repeatedly.
template <int Threads, typename T, typename Op>
TW_DEVICE T block_reduce(T value, Op op) {
  static_assert(Threads % warp_size == 0 && Threads <= 1024, "whole warps");
  constexpr int warps = Threads / warp_size;
  value = warp_reduce(value, op);
  if constexpr (warps == 1) return value;
  __shared__ T partial[warps];
  if (lane_index() == 0) partial[warp_index()] = value;
  __syncthreads();
  value = lane_index() < warps ? partial[lane_index()] : Op::template identity<T>();
  value = warp_reduce(value, op);
  __syncthreads();  // before the next call writes partial results
  return value;
}

// The sum of the values of the threads before, and of all; safe to call repeatedly.
template <int Threads, typename T>
TW_DEVICE T block_prefix(T value, T& total) {
  constexpr int warps = Threads / warp_size;
  __shared__ T sums[warps];
  T inclusive = value;
#pragma unroll
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const T before = shuffle_up(inclusive, distance);
    if (lane_index() >= distance) inclusive += before;
  }
  if (lane_index() == warp_size - 1) sums[warp_index()] = inclusive;
  __syncthreads();
  const T sum = lane_index() < warps ? sums[lane_index()] : T(0);
  total = warp_reduce(sum, Sum());
  const T warps_before = warp_reduce(lane_index() < warp_index() ? sum : T(0), Sum());
  __syncthreads();  // before the next call writes sums
  return warps_before + inclusive - value;
}

// Barrier `id` (1 to 15; 0 is __syncthreads) of `threads` threads, whole warps.
TW_DEVICE void named_barrier_sync(int id, int threads) {
#ifdef TW_EMULATOR
  tw_emulator_barrier_sync(id, threads);
#else
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// Counts towards barrier `id` without waiting for it.
TW_DEVICE void named_barrier_arrive(int id, int threads) {
#ifdef TW_EMULATOR
  tw_emulator_barrier_arrive(id, threads);
#else
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
