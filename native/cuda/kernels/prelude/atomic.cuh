// Read-modify-write of one element in global or shared memory, for every element type; nothing is returned.

// The general way: a loop of compare-and-swap on the aligned word around the element.
template <typename T, typename Update>
TW_DEVICE void atomic_update(T* pointer, Update update) {
  if constexpr (sizeof(T) == 8) {
    u64* const word = reinterpret_cast<u64*>(pointer);
    u64 seen = *word, expected;
    do {
      expected = seen;
      seen = atomicCAS(word, expected, bit_cast<u64>(update(bit_cast<T>(expected))));
    } while (seen != expected);
  } else if constexpr (sizeof(T) == 4) {
    u32* const word = reinterpret_cast<u32*>(pointer);
    u32 seen = *word, expected;
    do {
      expected = seen;
      seen = atomicCAS(word, expected, bit_cast<u32>(update(bit_cast<T>(expected))));
    } while (seen != expected);
  } else {
    const u64 address = reinterpret_cast<u64>(pointer);
    u32* const word = reinterpret_cast<u32*>(address & ~u64{3});
    const int shift = 8 * static_cast<int>(address & 3);
    constexpr u32 mask = (1u << (8 * sizeof(T))) - 1;
    u32 seen = *word, expected;
    do {
      expected = seen;
      u32 bits;
      if constexpr (sizeof(T) == 2) bits = bit_cast<u16>(update(bit_cast<T>(static_cast<u16>(expected >> shift))));
      else bits = bit_cast<u8>(update(bit_cast<T>(static_cast<u8>(expected >> shift))));
      seen = atomicCAS(word, expected, (expected & ~(mask << shift)) | bits << shift);
    } while (seen != expected);
  }
}

template <typename T>
TW_DEVICE void atomic_add(T* pointer, T value) {
  if constexpr (is_same<T, f32> || is_same<T, f64> || is_same<T, i32> || is_same<T, u32> || is_same<T, u64>) {
    atomicAdd(pointer, value);
  } else if constexpr (is_same<T, i64>) {
    atomicAdd(reinterpret_cast<u64*>(pointer), static_cast<u64>(value));
  } else if constexpr (is_same<T, f16> || is_same<T, bf16>) {
    atomic_update(pointer, [=](T old) { return convert<T>(static_cast<f32>(old) + static_cast<f32>(value)); });
  } else {
    atomic_update(pointer, [=](T old) { return static_cast<T>(old + value); });
  }
}

template <typename T>
TW_DEVICE void atomic_mul(T* pointer, T value) {
  if constexpr (is_same<T, f16> || is_same<T, bf16>) {
    atomic_update(pointer, [=](T old) { return convert<T>(static_cast<f32>(old) * static_cast<f32>(value)); });
  } else {
    atomic_update(pointer, [=](T old) { return static_cast<T>(old * value); });
  }
}

// NaN propagates.
template <typename T>
TW_DEVICE void atomic_min(T* pointer, T value) {
  if constexpr (is_same<T, i32> || is_same<T, u32> || is_same<T, i64> || is_same<T, u64>) atomicMin(pointer, value);
  else atomic_update(pointer, [=](T old) { return minimum(old, value); });
}

template <typename T>
TW_DEVICE void atomic_max(T* pointer, T value) {
  if constexpr (is_same<T, i32> || is_same<T, u32> || is_same<T, i64> || is_same<T, u64>) atomicMax(pointer, value);
  else atomic_update(pointer, [=](T old) { return maximum(old, value); });
}
