// Loads and stores of whole vectors, asynchronous copies into shared memory, and dynamic shared memory.

// The block's dynamic shared memory as `u8* name`, aligned for every swizzle.
#ifdef TW_EMULATOR
#define TW_SHARED_BYTES(name) u8* const name = static_cast<u8*>(tw_emulator_dynamic_shared())
#else
extern __shared__ __align__(1024) u8 tw_shared_bytes[];
#define TW_SHARED_BYTES(name) u8* const name = tw_shared_bytes
#endif

// The address of shared memory as instructions take it.
TW_DEVICE u32 shared_address(const void* pointer) {
#ifdef TW_EMULATOR
  return tw_emulator_shared_address(pointer);
#else
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
#endif
}

// N elements from an address aligned to N elements (16 bytes where they are more).
template <int N, typename T>
TW_DEVICE Vec<T, N> load_vec(const T* pointer) {
#ifdef TW_EMULATOR
  tw_emulator_check_aligned(pointer, alignof(Vec<T, N>));
#endif
  return *reinterpret_cast<const Vec<T, N>*>(pointer);
}

template <typename T, int N>
TW_DEVICE void store_vec(T* pointer, const Vec<T, N>& value) {
#ifdef TW_EMULATOR
  tw_emulator_check_aligned(pointer, alignof(Vec<T, N>));
#endif
  *reinterpret_cast<Vec<T, N>*>(pointer) = value;
}

// Elements `stride` apart.
template <int Width, typename T>
TW_DEVICE Vec<T, Width> load_strided(const T* pointer, i64 stride) {
  Vec<T, Width> result;
#pragma unroll
  for (int i = 0; i < Width; ++i) result.v[i] = pointer[i * stride];
  return result;
}

// As load_vec, for global memory that nothing writes during the launch and that is read once: skips the L1 cache.
template <int N, typename T>
TW_DEVICE Vec<T, N> load_streaming(const T* pointer) {
#ifdef TW_EMULATOR
  return load_vec<N>(pointer);
#else
  constexpr int bytes = sizeof(T) * N;
  static_assert(bytes <= 16 || bytes % 16 == 0, "a whole number of loads");
  Vec<T, N> result;
  if constexpr (bytes >= 16) {
#pragma unroll
    for (int i = 0; i < bytes / 16; ++i) {
      u32 word[4];
      asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                   : "l"(reinterpret_cast<const u8*>(pointer) + 16 * i));
      memcpy(reinterpret_cast<u8*>(&result) + 16 * i, word, 16);
    }
  } else if constexpr (bytes == 8) {
    u32 word[2];
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(word[0]), "=r"(word[1]) : "l"(pointer));
    memcpy(&result, word, 8);
  } else if constexpr (bytes == 4) {
    u32 word;
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(word) : "l"(pointer));
    memcpy(&result, &word, 4);
  } else if constexpr (bytes == 2) {
    u16 word;
    asm volatile("ld.global.nc.L1::no_allocate.u16 %0, [%1];" : "=h"(word) : "l"(pointer));
    memcpy(&result, &word, 2);
  } else {
    u32 word;
    asm volatile("ld.global.nc.L1::no_allocate.u8 %0, [%1];" : "=r"(word) : "l"(pointer));
    const u8 byte = static_cast<u8>(word);
    memcpy(&result, &byte, 1);
  }
  return result;
#endif
}

// Asks the L2 cache for the line at an address, which need not be valid.
TW_DEVICE void prefetch_l2(const void* pointer) {
#ifdef TW_EMULATOR
  (void)pointer;
#else
  asm volatile("prefetch.global.L2 [%0];" ::"l"(pointer));
#endif
}

// Starts a copy of 16 bytes (both addresses aligned to 16) from global to shared memory; bytes from `valid_bytes` on
// are not read and become zero.
TW_DEVICE void cp_async_16(void* shared, const void* global, int valid_bytes = 16) {
#ifdef TW_EMULATOR
  tw_emulator_cp_async(shared, global, 16, valid_bytes);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(valid_bytes)
               : "memory");
#endif
}

// The same for 4 or 8 bytes, aligned alike; goes through the L1 cache.
template <int Bytes>
TW_DEVICE void cp_async_small(void* shared, const void* global, int valid_bytes = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8, "4 or 8 bytes");
#ifdef TW_EMULATOR
  tw_emulator_cp_async(shared, global, Bytes, valid_bytes);
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(Bytes),
               "r"(valid_bytes)
               : "memory");
#endif
}

// Closes the group of copies that this thread started since the last call.
TW_DEVICE void cp_async_commit() {
#ifdef TW_EMULATOR
  tw_emulator_cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most N of this thread's youngest groups are under way. Other threads see the data after a barrier.
template <int N>
TW_DEVICE void cp_async_wait() {
#ifdef TW_EMULATOR
  tw_emulator_cp_async_wait(N);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}
