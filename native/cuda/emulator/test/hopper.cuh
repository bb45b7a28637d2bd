// The kernels of the emulator's test that need compute capability 9.0.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL

TW_USE_WGMMA(f16, 64)
TW_USE_WGMMA(bf16, 256)
TW_USE_WGMMA_TRANSPOSED(f16, 64, 0, 1)
TW_USE_WGMMA_TRANSPOSED(f16, 64, 1, 0)
TW_USE_WGMMA(tf32, 24)
TW_USE_WGMMA(i8, 32)
TW_USE_WGMMA(u8, 32)

struct HopperArguments {
  TensorMap map0;
  TensorMap map1;
  TensorMap map2;
  f32* out0;
  i64 n0;
};

template <typename D, int Half>
TW_DEVICE void write_tile(f32* out, const D (&d)[Half]) {
  const int lane = lane_index(), row = 16 * (warp_index() % 4) + lane / 4;
  for (int i = 0; i < Half; ++i) {
    out[(row + 8 * (i / 2 % 2)) * 2 * Half + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = static_cast<f32>(d[i]);
  }
}

// D[64][N] = A[64][K] · B[N][K]ᵀ, K-major with the 128-byte swizzle: a producer warp feeds a ring of two stages, a
// warpgroup multiplies. n0 is the number of 128-byte slabs of K.
template <typename T, int N, typename D>
TW_DEVICE void ring(const HopperArguments& a) {
  constexpr int elements = is_same<T, tf32> ? 32 : is_same<T, f16> || is_same<T, bf16> ? 64 : 128;
  constexpr int bytes_a = 64 * 128, bytes_b = N * 128, stages = 2;
  TW_SHARED_BYTES(memory);
  __shared__ u64 full[stages], empty[stages];
  if (threadIdx.x == 0) {
    for (int s = 0; s < stages; ++s) {
      barrier_init(&full[s], 1);
      barrier_init(&empty[s], 4);
    }
    barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    registers_decrease<40>();
    wait_for_predecessor();
    if (warp_index() == 4 && elect_one()) {
      prefetch_tensor_map(&a.map0);
      for (i64 k = 0; k < a.n0; ++k) {
        const int s = static_cast<int>(k % stages);
        barrier_wait(&empty[s], static_cast<u32>(k / stages + 1) & 1u);
        barrier_arrive_expect(&full[s], bytes_a + bytes_b);
        u8* stage = memory + s * (bytes_a + bytes_b);
        tma_load(stage, &a.map0, &full[s], cache_normal, static_cast<i32>(k) * elements, 0);
        tma_load(stage + bytes_a, &a.map1, &full[s], cache_normal, static_cast<i32>(k) * elements, 0);
      }
    }
  } else {
    registers_increase<232>();
    wait_for_predecessor();
    D d[N / 2];
    for (i64 k = 0; k < a.n0; ++k) {
      const int s = static_cast<int>(k % stages);
      barrier_wait(&full[s], static_cast<u32>(k / stages) & 1u);
      const u8* stage = memory + s * (bytes_a + bytes_b);
      const u64 da = wgmma_descriptor<128>(stage), db = wgmma_descriptor<128>(stage + bytes_a);
      wgmma_hold(d);
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < 4; ++i) wgmma<T, N>(d, da + 2 * i, db + 2 * i, k > 0 || i > 0);
      wgmma_commit();
      wgmma_wait<0>();
      wgmma_hold(d);
      if (lane_index() == 0) barrier_arrive(&empty[s]);
    }
    write_tile(a.out0, d);
  }
}
extern "C" __global__ void __launch_bounds__(256, 1) ring_f16(const __grid_constant__ HopperArguments a) { ring<f16, 64, f32>(a); }
extern "C" __global__ void __launch_bounds__(256, 1) ring_bf16(const __grid_constant__ HopperArguments a) { ring<bf16, 256, f32>(a); }
extern "C" __global__ void __launch_bounds__(256, 1) ring_tf32(const __grid_constant__ HopperArguments a) { ring<tf32, 24, f32>(a); }
extern "C" __global__ void __launch_bounds__(256, 1) ring_i8(const __grid_constant__ HopperArguments a) { ring<i8, 32, i32>(a); }
extern "C" __global__ void __launch_bounds__(256, 1) ring_u8(const __grid_constant__ HopperArguments a) { ring<u8, 32, i32>(a); }

// One slab of 64 k's: A K-major from registers, B[K][64] with N fastest. Then A[K][64] with M fastest, B K-major.
template <bool TurnA>
TW_DEVICE void turned(const HopperArguments& a) {
  TW_SHARED_BYTES(memory);
  __shared__ u64 full;
  if (threadIdx.x == 0) {
    barrier_init(&full, 1);
    barrier_init_fence();
  }
  __syncthreads();
  wait_for_predecessor();
  if (threadIdx.x == 0) {
    barrier_arrive_expect(&full, 2 * 64 * 128);
    tma_load(memory, &a.map0, &full, cache_evict_first, 0, 0);
    tma_load(memory + 8192, &a.map1, &full, cache_evict_last, 0, 0);
  }
  barrier_wait(&full, 0);
  f32 d[32];
  if constexpr (!TurnA) {
    u32 fragment[4][4];
    const int lane = lane_index(), row = 16 * warp_index() + lane % 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) ldmatrix_x4(fragment[i], memory + 128 * row + 16 * ((2 * i + lane / 16) ^ (row % 8)));
#pragma unroll
    for (int i = 0; i < 4; ++i) wgmma_hold(fragment[i]);
    wgmma_hold(d);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      // The next 16 k's are two groups of 8, each 1024 bytes.
      wgmma<f16, 64, 1>(d, fragment[i], wgmma_descriptor<128>(memory + 8192, 1024, 8192) + 128 * i, i > 0);
    }
  } else {
    wgmma_hold(d);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      wgmma<f16, 64, 1, 0>(d, wgmma_descriptor<128>(memory, 1024, 8192) + 128 * i, wgmma_descriptor<128>(memory + 8192) + 2 * i, i > 0);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
  wgmma_hold(d);
  write_tile(a.out0, d);
}
extern "C" __global__ void __launch_bounds__(128, 1) wgmma_turned_b(const __grid_constant__ HopperArguments a) { turned<false>(a); }
extern "C" __global__ void __launch_bounds__(128, 1) wgmma_turned_a(const __grid_constant__ HopperArguments a) { turned<true>(a); }

// Boxes through shared memory: a load at (n0, n0) from map0, and a store of it to map1.
extern "C" __global__ void __launch_bounds__(32, 1) tma_copy(const __grid_constant__ HopperArguments a) {
  TW_SHARED_BYTES(memory);
  __shared__ u64 full;
  if (threadIdx.x == 0) {
    barrier_init(&full, 1);
    barrier_init_fence();
    wait_for_predecessor();
    barrier_arrive_expect(&full, 16 * 32 * 4);
    tma_load(memory, &a.map0, &full, cache_normal, static_cast<i32>(a.n0), static_cast<i32>(a.n0));
    barrier_wait(&full, 0);
    tma_store(&a.map1, memory, static_cast<i32>(a.n0), static_cast<i32>(a.n0));
    tma_store_commit();
    tma_store_wait_read<0>();
    tma_store_wait<0>();
  }
}

// im2col of a [N][H][W][C] tensor with C = 8 halves: 64 output pixels from the n0-th on, tap (1, 2).
struct Im2colArguments {
  TensorMap map0;
  u64* out0;
  i64 q, p, n;
};
extern "C" __global__ void __launch_bounds__(128, 1) im2col(const __grid_constant__ Im2colArguments a) {
  TW_SHARED_BYTES(memory);
  __shared__ u64 full;
  if (threadIdx.x == 0) {
    barrier_init(&full, 1);
    barrier_init_fence();
  }
  __syncthreads();
  wait_for_predecessor();
  if (threadIdx.x == 0) {
    barrier_arrive_expect(&full, 64 * 16);
    tma_load_im2col(memory, &a.map0, &full, cache_normal, 0, static_cast<i32>(2 * a.q - 1), static_cast<i32>(2 * a.p - 1),
                    static_cast<i32>(a.n), static_cast<u16>(2), static_cast<u16>(1));
  }
  barrier_wait(&full, 0);
  a.out0[threadIdx.x] = reinterpret_cast<const u64*>(memory)[threadIdx.x];
}

// Clusters of four: a multicast load into all, a sum over the blocks through their shared memory, remote arrivals.
extern "C" __global__ void __launch_bounds__(128, 1) cluster_sum(const __grid_constant__ HopperArguments a) {
  TW_SHARED_BYTES(memory);
  u64* full = reinterpret_cast<u64*>(memory + 4096);
  f32* own = reinterpret_cast<f32*>(memory + 2048);
  if (threadIdx.x == 0) {
    barrier_init(full, 1);
    barrier_init(full + 1, 4);
    barrier_init_fence();
  }
  cluster_meet();
  wait_for_predecessor();
  const u32 rank = cluster_rank();
  if (threadIdx.x == 0) {
    barrier_arrive_expect(full, 16 * 32 * 4);
    if (rank == 1) tma_load_multicast(memory, &a.map0, full, cache_normal, static_cast<u16>(0xF), 0, 0);
  }
  barrier_wait(full, 0);
  own[threadIdx.x] = reinterpret_cast<const f32*>(memory)[threadIdx.x + 128 * rank] + static_cast<f32>(blockIdx.x);
  __syncthreads();
  if (threadIdx.x < cluster_size()) barrier_arrive_remote(full + 1, threadIdx.x);
  barrier_wait(full + 1, 0);
  cluster_sync();
  f32 sum = 0;
  for (u32 r = 0; r < cluster_size(); ++r) sum += cluster_pointer(own, r)[threadIdx.x];
  a.out0[128 * blockIdx.x + threadIdx.x] = sum;
  cluster_sync();
}

// What clusters and barriers must not do, by `n0`: 0 arrives at a block that has ended, 1 stores sums over a barrier.
extern "C" __global__ void __launch_bounds__(32) cluster_faults(const __grid_constant__ HopperArguments a) {
  TW_SHARED_BYTES(memory);
  u64* full = reinterpret_cast<u64*>(memory);
  if (threadIdx.x == 0) {
    barrier_init(full, 1);
    barrier_init_fence();
  }
  cluster_meet();
  if (a.n0 == 0 && cluster_rank() == 0 && threadIdx.x == 0) barrier_arrive_remote(full, 1);
  if (a.n0 == 1) reinterpret_cast<f32*>(memory)[threadIdx.x] = 1.5f;
  if (a.n0 == 3 && threadIdx.x == 0) barrier_init(full, 1);
}

// Two 8×8 matrices there and back.
extern "C" __global__ void __launch_bounds__(32) store_matrices(const __grid_constant__ HopperArguments a) {
  __shared__ __align__(16) u16 tile[4 * 64], turned[4 * 64];
  wait_for_predecessor();
  const int lane = lane_index();
  for (int i = lane; i < 256; i += 32) tile[i] = static_cast<u16>(i);
  __syncthreads();
  u32 r[4];
  ldmatrix_x4(r, tile + 8 * lane);
  stmatrix_x4_trans(turned + 8 * lane, r);
  __syncthreads();
  for (int i = lane; i < 256; i += 32) a.out0[i] = turned[i];
}

#endif
