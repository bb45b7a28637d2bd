// Hopper: bulk copies of tensor boxes between global and shared memory. One thread issues them. Coordinates are in
// elements, the fastest dimension first; loads read zeros outside of the tensor, stores drop what lies outside.
// Loads complete on a barrier, which must expect the box's bytes. Shared addresses are 128-byte aligned (1024 with the
// 128-byte swizzle).

#if __CUDA_ARCH__ >= 900

// How long loaded data should stay in the L2 cache.
[[maybe_unused]] constexpr u64 cache_normal = 0x1000000000000000ull;
[[maybe_unused]] constexpr u64 cache_evict_first = 0x12F0000000000000ull;
[[maybe_unused]] constexpr u64 cache_evict_last = 0x14F0000000000000ull;

TW_DEVICE void prefetch_tensor_map(const TensorMap* map) {
#ifdef TW_EMULATOR
  (void)map;
#else
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

TW_DEVICE void tma_load(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0};
  tw_emulator_tma_load(shared, map, barrier, 1, c, nullptr, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%4}], "
      "[%2], %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0)
      : "memory");
#endif
}
TW_DEVICE void tma_load(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1};
  tw_emulator_tma_load(shared, map, barrier, 2, c, nullptr, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%4, %5}], "
      "[%2], %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1)
      : "memory");
#endif
}
TW_DEVICE void tma_load(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2};
  tw_emulator_tma_load(shared, map, barrier, 3, c, nullptr, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%4, %5, %6}], "
      "[%2], %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
#endif
}
TW_DEVICE void tma_load(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2, i32 c3) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3};
  tw_emulator_tma_load(shared, map, barrier, 4, c, nullptr, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%4, %5, %6, %7}], "
      "[%2], %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
#endif
}
TW_DEVICE void tma_load(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2, i32 c3, i32 c4) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3, c4};
  tw_emulator_tma_load(shared, map, barrier, 5, c, nullptr, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%4, %5, %6, %7, %8}], "
      "[%2], %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
      : "memory");
#endif
}

// Into the same place of every block of the cluster whose bit is set; each one's barrier gets the bytes.
TW_DEVICE void tma_load_multicast(void* shared, const TensorMap* map, u64* barrier, u64 cache, u16 blocks, i32 c0, i32 c1) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1};
  tw_emulator_tma_load(shared, map, barrier, 2, c, nullptr, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%5, %6}], [%2], %3, %4;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "h"(blocks), "l"(cache), "r"(c0), "r"(c1)
      : "memory");
#endif
}
TW_DEVICE void tma_load_multicast(void* shared, const TensorMap* map, u64* barrier, u64 cache, u16 blocks, i32 c0, i32 c1, i32 c2) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2};
  tw_emulator_tma_load(shared, map, barrier, 3, c, nullptr, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%5, %6, %7}], [%2], %3, %4;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "h"(blocks), "l"(cache), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
#endif
}
TW_DEVICE void tma_load_multicast(void* shared, const TensorMap* map, u64* barrier, u64 cache, u16 blocks, i32 c0, i32 c1, i32 c2, i32 c3) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3};
  tw_emulator_tma_load(shared, map, barrier, 4, c, nullptr, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%5, %6, %7, %8}], [%2], %3, %4;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "h"(blocks), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
#endif
}
TW_DEVICE void tma_load_multicast(void* shared, const TensorMap* map, u64* barrier, u64 cache, u16 blocks, i32 c0, i32 c1, i32 c2, i32 c3, i32 c4) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3, c4};
  tw_emulator_tma_load(shared, map, barrier, 5, c, nullptr, blocks);
#else
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%5, %6, %7, %8, %9}], [%2], %3, %4;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "h"(blocks), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
      : "memory");
#endif
}

// Pixels in im2col order: the map's pixels per column, from (c0, c1 …) on, each shifted by the filter tap's offsets.
TW_DEVICE void tma_load_im2col(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2, u16 o0) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2};
  const u16 o[3] = {o0};
  tw_emulator_tma_load(shared, map, barrier, 3, c, o, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1, {%4, %5, %6}], [%2], {%7}, %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "h"(o0)
      : "memory");
#endif
}
TW_DEVICE void tma_load_im2col(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2, i32 c3, u16 o0, u16 o1) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3};
  const u16 o[3] = {o0, o1};
  tw_emulator_tma_load(shared, map, barrier, 4, c, o, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1, {%4, %5, %6, %7}], [%2], {%8, %9}, %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "h"(o0), "h"(o1)
      : "memory");
#endif
}
TW_DEVICE void tma_load_im2col(void* shared, const TensorMap* map, u64* barrier, u64 cache, i32 c0, i32 c1, i32 c2, i32 c3, i32 c4, u16 o0, u16 o1, u16 o2) {
#ifdef TW_EMULATOR
  (void)cache;
  const i32 c[5] = {c0, c1, c2, c3, c4};
  const u16 o[3] = {o0, o1, o2};
  tw_emulator_tma_load(shared, map, barrier, 5, c, o, 0);
#else
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1, {%4, %5, %6, %7, %8}], [%2], {%9, %10, %11}, %3;" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "l"(cache), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4), "h"(o0), "h"(o1), "h"(o2)
      : "memory");
#endif
}

// A box from shared to global memory, after fence_async_shared() and a barrier.
TW_DEVICE void tma_store(const TensorMap* map, const void* shared, i32 c0) {
#ifdef TW_EMULATOR
  const i32 c[5] = {c0};
  tw_emulator_tma_store(map, shared, 1, c);
#else
  asm volatile("cp.async.bulk.tensor.1d.global.shared::cta.bulk_group [%0, {%2}], [%1];" ::"l"(map),
               "r"(shared_address(shared)), "r"(c0)
               : "memory");
#endif
}
TW_DEVICE void tma_store(const TensorMap* map, const void* shared, i32 c0, i32 c1) {
#ifdef TW_EMULATOR
  const i32 c[5] = {c0, c1};
  tw_emulator_tma_store(map, shared, 2, c);
#else
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
               "r"(shared_address(shared)), "r"(c0), "r"(c1)
               : "memory");
#endif
}
TW_DEVICE void tma_store(const TensorMap* map, const void* shared, i32 c0, i32 c1, i32 c2) {
#ifdef TW_EMULATOR
  const i32 c[5] = {c0, c1, c2};
  tw_emulator_tma_store(map, shared, 3, c);
#else
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
               "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2)
               : "memory");
#endif
}
TW_DEVICE void tma_store(const TensorMap* map, const void* shared, i32 c0, i32 c1, i32 c2, i32 c3) {
#ifdef TW_EMULATOR
  const i32 c[5] = {c0, c1, c2, c3};
  tw_emulator_tma_store(map, shared, 4, c);
#else
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(map),
               "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
               : "memory");
#endif
}
TW_DEVICE void tma_store(const TensorMap* map, const void* shared, i32 c0, i32 c1, i32 c2, i32 c3, i32 c4) {
#ifdef TW_EMULATOR
  const i32 c[5] = {c0, c1, c2, c3, c4};
  tw_emulator_tma_store(map, shared, 5, c);
#else
  asm volatile("cp.async.bulk.tensor.5d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(map),
               "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
               : "memory");
#endif
}

// Closes the group of stores that this thread issued since the last call.
TW_DEVICE void tma_store_commit() {
#ifdef TW_EMULATOR
  tw_emulator_tma_store_commit();
#else
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}

// Waits until at most N of this thread's youngest groups still read shared memory.
template <int N>
TW_DEVICE void tma_store_wait_read() {
#ifdef TW_EMULATOR
  tw_emulator_tma_store_wait(N);
#else
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
#endif
}

// Waits until at most N of this thread's youngest groups are incomplete. Before the end of a kernel that has a
// successor, with N = 0.
template <int N>
TW_DEVICE void tma_store_wait() {
#ifdef TW_EMULATOR
  tw_emulator_tma_store_wait(N);
#else
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
#endif
}

#endif
