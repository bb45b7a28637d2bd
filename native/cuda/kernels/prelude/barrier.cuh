// Hopper: asynchronous barriers in shared memory, thread block clusters, fences between the two ways to memory.
// A barrier counts arrivals and bytes; when both are complete its phase ends and the next begins. Phases have parities
// 0, 1, 0, …: `barrier_wait(b, p)` returns once the phase of parity p has ended, so that waiting for parity 1 on a
// fresh barrier returns at once.

// A tensor map as the driver encodes it. Kernels take it by address from their parameter struct.
struct alignas(64) TensorMap {
  u8 bytes[128];
};

#if __CUDA_ARCH__ >= 900

TW_DEVICE void barrier_init(u64* barrier, u32 arrivals) {
#ifdef TW_EMULATOR
  tw_emulator_mbarrier_init(barrier, arrivals);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}

// After barrier_init, by the thread that made the barriers; then __syncthreads or cluster_meet.
TW_DEVICE void barrier_init_fence() {
#ifndef TW_EMULATOR
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

TW_DEVICE void barrier_arrive(u64* barrier) {
#ifdef TW_EMULATOR
  tw_emulator_mbarrier_arrive(barrier, 0);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}

// The same without a branch, where one would cost more: see attention_wgmma.cuh.
TW_DEVICE void barrier_arrive_if(bool condition, u64* barrier) {
#ifdef TW_EMULATOR
  if (condition) tw_emulator_mbarrier_arrive(barrier, 0);
#else
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %1, 0; @p mbarrier.arrive.shared::cta.b64 _, [%0]; }" ::"r"(
                   shared_address(barrier)),
               "r"(static_cast<u32>(condition))
               : "memory");
#endif
}

// Arrives, and makes the phase wait for so many bytes of asynchronous copies as well.
TW_DEVICE void barrier_arrive_expect(u64* barrier, u32 bytes) {
#ifdef TW_EMULATOR
  tw_emulator_mbarrier_arrive(barrier, bytes);
#else
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
#endif
}

// Arrives at the barrier at the same place in block `rank` of the cluster: after what wgmma read here, so that the
// other block may load over it. Plain writes are ordered for this block only: release.cluster here and acquire.cluster
// in the wait cost a fence of all memory and an emptied L1 cache each time. For such writes there is cluster_sync.
TW_DEVICE void barrier_arrive_remote(u64* barrier, u32 rank) {
#ifdef TW_EMULATOR
  tw_emulator_mbarrier_arrive(static_cast<u64*>(tw_emulator_cluster_pointer(barrier, rank)), 0);
#else
  asm volatile(
      "{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; "
      "mbarrier.arrive.shared::cluster.b64 _, [remote]; }" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory");
#endif
}

TW_DEVICE void barrier_wait(u64* barrier, u32 parity) {
#ifdef TW_EMULATOR
  tw_emulator_mbarrier_wait(barrier, parity);
#else
  asm volatile(
      "{ .reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again; }" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

// This thread's writes to shared memory become visible to later TMA stores and wgmma; then a barrier.
TW_DEVICE void fence_async_shared() {
#ifndef TW_EMULATOR
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

TW_DEVICE u32 cluster_rank() {
#ifdef TW_EMULATOR
  return tw_emulator_cluster_rank();
#else
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#endif
}

TW_DEVICE u32 cluster_size() {
#ifdef TW_EMULATOR
  return tw_emulator_cluster_size();
#else
  u32 size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#endif
}

// A barrier of all threads of the cluster, in two halves or whole.
TW_DEVICE void cluster_arrive() {
#ifdef TW_EMULATOR
  tw_emulator_cluster_arrive();
#else
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
TW_DEVICE void cluster_wait() {
#ifdef TW_EMULATOR
  tw_emulator_cluster_wait();
#else
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
TW_DEVICE void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

// Waits for all threads of the cluster, with no order among memory accesses but what barrier_init_fence() gives.
TW_DEVICE void cluster_meet() {
#ifdef TW_EMULATOR
  tw_emulator_cluster_arrive();
#else
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
  cluster_wait();
}

// The same place in the shared memory of block `rank` of the cluster, for plain loads and stores.
template <typename T>
TW_DEVICE T* cluster_pointer(T* shared, u32 rank) {
#ifdef TW_EMULATOR
  return static_cast<T*>(tw_emulator_cluster_pointer(shared, rank));
#else
  u64 remote;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(remote) : "l"(shared), "r"(rank));
  return reinterpret_cast<T*>(remote);
#endif
}

// Four 8×8 matrices of 16-bit elements to shared memory: ldmatrix_x4 backwards.
TW_DEVICE void stmatrix_x4(void* shared_row, const u32 (&r)[4]) {
#ifdef TW_EMULATOR
  tw_emulator_stmatrix(r, shared_row, 4, false);
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(shared_row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
#endif
}
TW_DEVICE void stmatrix_x4_trans(void* shared_row, const u32 (&r)[4]) {
#ifdef TW_EMULATOR
  tw_emulator_stmatrix(r, shared_row, 4, true);
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(shared_row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
#endif
}

#endif
