// The 32 threads of a warp: exchange and reduction. All threads of the warp must take part; blocks are one-dimensional.

constexpr int warp_size = 32;

TW_DEVICE int lane_index() { return static_cast<int>(threadIdx.x & 31u); }
TW_DEVICE int warp_index() { return static_cast<int>(threadIdx.x >> 5); }

// Values of up to 8 bytes travel as one or two registers.
template <typename T, typename Exchange>
TW_DEVICE T shuffle_with(T value, Exchange exchange) {
  if constexpr (sizeof(T) == 8) {
    const u64 bits = bit_cast<u64>(value);
    const u32 low = exchange(static_cast<u32>(bits)), high = exchange(static_cast<u32>(bits >> 32));
    return bit_cast<T>(low | static_cast<u64>(high) << 32);
  } else if constexpr (sizeof(T) == 4) {
    return bit_cast<T>(exchange(bit_cast<u32>(value)));
  } else if constexpr (sizeof(T) == 2) {
    return bit_cast<T>(static_cast<u16>(exchange(bit_cast<u16>(value))));
  } else {
    static_assert(sizeof(T) == 1, "an element type");
    return bit_cast<T>(static_cast<u8>(exchange(bit_cast<u8>(value))));
  }
}

// The value of lane `lane`, of lane `own xor mask`, of lane `own + distance`, of lane `own - distance` (own where there
// is none), within groups of `Width` lanes.
template <int Width = warp_size, typename T>
TW_DEVICE T shuffle(T value, int lane) {
  return shuffle_with(value, [=](u32 bits) { return __shfl_sync(0xFFFFFFFFu, bits, lane, Width); });
}
template <int Width = warp_size, typename T>
TW_DEVICE T shuffle_xor(T value, int mask) {
  return shuffle_with(value, [=](u32 bits) { return __shfl_xor_sync(0xFFFFFFFFu, bits, mask, Width); });
}
template <int Width = warp_size, typename T>
TW_DEVICE T shuffle_down(T value, int distance) {
  return shuffle_with(value, [=](u32 bits) { return __shfl_down_sync(0xFFFFFFFFu, bits, distance, Width); });
}
template <int Width = warp_size, typename T>
TW_DEVICE T shuffle_up(T value, int distance) {
  return shuffle_with(value, [=](u32 bits) { return __shfl_up_sync(0xFFFFFFFFu, bits, distance, Width); });
}

// A bit per lane: where the predicate holds.
TW_DEVICE u32 warp_ballot(bool predicate) { return __ballot_sync(0xFFFFFFFFu, predicate); }

// One lane of the warp, always the same one; for instructions that a single thread issues.
TW_DEVICE bool elect_one() {
#if !defined(TW_EMULATOR) && __CUDA_ARCH__ >= 900
  u32 elected;
  asm volatile("{ .reg .pred p; elect.sync _|p, 0xFFFFFFFF; selp.u32 %0, 1, 0, p; }" : "=r"(elected));
  return elected != 0;
#else
  return lane_index() == 0;
#endif
}

// Reduction operators: associative, commutative, with the value that changes nothing.
struct Sum {
  template <typename T>
  TW_DEVICE static T identity() { return T(0); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a + b; }
};
struct Product {
  template <typename T>
  TW_DEVICE static T identity() { return T(1); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return a * b; }
};
template <typename T>
TW_DEVICE T lowest() {
  if constexpr (is_same<T, f32> || is_same<T, f64>) return bit_cast<f32>(0xFF800000u);
  else if constexpr (is_signed<T>) return static_cast<T>(T(1) << (8 * sizeof(T) - 1));
  else return T(0);
}
template <typename T>
TW_DEVICE T highest() {
  if constexpr (is_same<T, f32> || is_same<T, f64>) return bit_cast<f32>(0x7F800000u);
  else return static_cast<T>(~lowest<T>());
}
// Both propagate NaN.
struct Min {
  template <typename T>
  TW_DEVICE static T identity() { return highest<T>(); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return minimum(a, b); }
};
struct Max {
  template <typename T>
  TW_DEVICE static T identity() { return lowest<T>(); }
  template <typename T>
  TW_DEVICE T operator()(T a, T b) const { return maximum(a, b); }
};

// Reduces over groups of `Width` neighbouring lanes; every lane gets the result.
template <int Width = warp_size, typename T, typename Op>
TW_DEVICE T warp_reduce(T value, Op op) {
#pragma unroll
  for (int mask = Width / 2; mask > 0; mask /= 2) value = op(value, shuffle_xor(value, mask));
  return value;
}
