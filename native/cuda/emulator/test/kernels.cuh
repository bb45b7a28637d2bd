// The kernels of the emulator's test. They are also what the prelude is compiled with for real GPUs.

struct AddArguments {
  const f32* in0;
  const f32* in1;
  f32* out0;
  i64 n0;
};
extern "C" __global__ void __launch_bounds__(256) add(const __grid_constant__ AddArguments a) {
  wait_for_predecessor();
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i < a.n0) a.out0[i] = a.in0[i] + a.in1[i];
}

struct ReduceArguments {
  const f32* in0;
  f32* out0;
  i64 n0;
};
// Sum, maximum and minimum of each row.
extern "C" __global__ void __launch_bounds__(256) reduce(const __grid_constant__ ReduceArguments a) {
  wait_for_predecessor();
  const f32* row = a.in0 + blockIdx.x * a.n0;
  f32 sum = 0, top = Max::identity<f32>(), bottom = Min::identity<f32>();
  for (i64 i = threadIdx.x; i < a.n0; i += 256) {
    sum += row[i];
    top = maximum(top, row[i]);
    bottom = minimum(bottom, row[i]);
  }
  sum = block_reduce<256>(sum, Sum{});
  top = block_reduce<256>(top, Max{});
  bottom = block_reduce<256>(bottom, Min{});
  if (threadIdx.x == 0) {
    a.out0[3 * blockIdx.x] = sum;
    a.out0[3 * blockIdx.x + 1] = top;
    a.out0[3 * blockIdx.x + 2] = bottom;
  }
}

struct WarpArguments {
  i32* out0;
};
// One warp: every kind of exchange, 32 values each.
extern "C" __global__ void __launch_bounds__(32) warp(const __grid_constant__ WarpArguments a) {
  wait_for_predecessor();
  const i32 lane = lane_index();
  i32* out = a.out0 + lane;
  out[0] = shuffle(lane * lane, 5);
  out[32] = shuffle_up(lane, 3);
  out[64] = shuffle_down(lane, 3);
  out[96] = shuffle_xor(lane, 9);
  out[128] = shuffle<8>(lane, 3);
  out[160] = shuffle_down<8>(lane, 2);
  out[192] = warp_reduce(lane, Sum{});
  out[224] = warp_reduce<8>(lane, Max{});
  out[256] = static_cast<i32>(warp_ballot(lane % 3 == 0));
  out[288] = static_cast<i32>(warp_reduce(static_cast<i64>(lane) << 33, Sum{}) >> 33);
  out[320] = shuffle_xor(static_cast<i8>(-lane), 1);
  if (lane < 16) out[352] = static_cast<i32>(__shfl_sync(0xFFFFu, lane, lane ^ 1));  // halves on paths of their own
  else out[352] = static_cast<i32>(__shfl_sync(0xFFFF0000u, 100 + lane, lane ^ 1));
}

struct CopyArguments {
  const f32* in0;
  f32* out0;
  i64 n0;
};
// Two stages of asynchronous copies with zero-filled ends; each thread reads what its neighbour copied.
extern "C" __global__ void __launch_bounds__(64) async_copy(const __grid_constant__ CopyArguments a) {
  wait_for_predecessor();
  TW_SHARED_BYTES(memory);
  f32* stage = reinterpret_cast<f32*>(memory);
  const i32 t = static_cast<i32>(threadIdx.x), n = static_cast<i32>(a.n0);
  for (i32 s = 0; s < 2; ++s) {
    const i32 first = 256 * s + 4 * t;
    const i32 valid = first >= n ? 0 : n - first >= 4 ? 16 : 4 * (n - first);
    cp_async_16(stage + first, a.in0 + (valid ? first : 0), valid);
    cp_async_commit();
  }
  const i32 neighbour = (t + 1) % 64;
  cp_async_wait<1>();
  __syncthreads();
  store_vec(a.out0 + 4 * t, load_vec<4>(stage + 4 * neighbour));
  cp_async_wait<0>();
  __syncthreads();
  store_vec(a.out0 + 256 + 4 * t, load_vec<4>(stage + 256 + 4 * neighbour));
}
// Reads a copy that nobody waited for.
extern "C" __global__ void __launch_bounds__(64) hasty_copy(const __grid_constant__ CopyArguments a) {
  __shared__ Vec<f32, 4> stage[64];
  cp_async_16(&stage[threadIdx.x], a.in0 + 4 * threadIdx.x);
  cp_async_commit();
  store_vec(a.out0 + 4 * threadIdx.x, stage[threadIdx.x]);
  cp_async_wait<0>();
}

template <typename In, typename Out>
struct MmaArguments {
  const In* in0;  // A, row-major [16][K]
  const In* in1;  // B, [8][K]: K runs fastest
  Out* out0;      // [16][8]
};
// One tile through ldmatrix and mma.sync; a row of A or B is 32 bytes for every type.
template <typename In, typename Out>
TW_DEVICE void one_tile(const MmaArguments<In, Out>& a) {
  wait_for_predecessor();
  __shared__ __align__(16) u8 tile_a[16 * 32], tile_b[8 * 32];
  const int lane = lane_index();
  for (int chunk = lane; chunk < 32; chunk += 32) cp_async_16(tile_a + 16 * chunk, reinterpret_cast<const u8*>(a.in0) + 16 * chunk);
  if (lane < 16) cp_async_16(tile_b + 16 * lane, reinterpret_cast<const u8*>(a.in1) + 16 * lane);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  u32 ra[4], rb[2];
  // Matrices: rows 0-7 and 8-15 of the first 16 bytes, then of the second.
  ldmatrix_x4(ra, tile_a + 32 * (lane % 16) + 16 * (lane / 16));
  ldmatrix_x2(rb, tile_b + 32 * (lane % 8) + 16 * (lane / 8 % 2));
  Out c[4] = {Out(0), Out(0), Out(0), Out(0)};
  if constexpr (is_same<In, f16> || is_same<In, bf16>) mma_m16n8k16<In>(c, ra, rb);
  else if constexpr (is_same<In, f32>) mma_m16n8k8(c, ra, rb);
  else mma_m16n8k32<In>(c, ra, rb);
  const int g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; ++i) a.out0[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = c[i];
}
using MmaF16 = MmaArguments<f16, f32>;
using MmaBf16 = MmaArguments<bf16, f32>;
using MmaTf32 = MmaArguments<f32, f32>;
using MmaI8 = MmaArguments<i8, i32>;
using MmaU8 = MmaArguments<u8, i32>;
extern "C" __global__ void __launch_bounds__(32) mma_f16(const __grid_constant__ MmaF16 a) { one_tile(a); }
extern "C" __global__ void __launch_bounds__(32) mma_bf16(const __grid_constant__ MmaBf16 a) { one_tile(a); }
extern "C" __global__ void __launch_bounds__(32) mma_tf32(const __grid_constant__ MmaTf32 a) { one_tile(a); }
extern "C" __global__ void __launch_bounds__(32) mma_i8(const __grid_constant__ MmaI8 a) { one_tile(a); }
extern "C" __global__ void __launch_bounds__(32) mma_u8(const __grid_constant__ MmaU8 a) { one_tile(a); }

// As mma_f16, with B stored [K][8] and transposed by ldmatrix.
extern "C" __global__ void __launch_bounds__(32) mma_f16_trans(const __grid_constant__ MmaF16 a) {
  wait_for_predecessor();
  __shared__ __align__(16) f16 tile_a[16 * 16], tile_b[16 * 8];
  const int lane = lane_index();
  for (int i = lane; i < 256; i += 32) tile_a[i] = a.in0[i];
  for (int i = lane; i < 128; i += 32) tile_b[i] = a.in1[i];
  __syncthreads();
  u32 ra[4], rb[2];
  ldmatrix_x4(ra, tile_a + 16 * (lane % 16) + 8 * (lane / 16));
  ldmatrix_x2_trans(rb, tile_b + 8 * (lane % 16));
  f32 c[4] = {0, 0, 0, 0};
  mma_m16n8k16<f16>(c, ra, rb);
  const int g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; ++i) a.out0[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = c[i];
}

struct AtomicArguments {
  i32* out0;
  f32* out1;
  f16* out2;
  i8* out3;
  i64* out4;
};
extern "C" __global__ void __launch_bounds__(128) atomics(const __grid_constant__ AtomicArguments a) {
  wait_for_predecessor();
  const i32 i = static_cast<i32>(blockIdx.x) * 128 + static_cast<i32>(threadIdx.x);
  atomic_add(a.out0, 1);
  atomic_max(a.out0 + 1, i);
  atomic_min(a.out0 + 2, -i);
  atomic_add(a.out1, 0.5f);
  atomic_min(a.out1 + 1, static_cast<f32>(-i));
  atomic_mul(a.out1 + 2, i % 64 == 0 ? 2.0f : 1.0f);
  atomic_add(a.out2 + 1, convert<f16>(i % 128 == 0 ? 1.5f : 0.0f));
  atomic_max(a.out3 + 3, static_cast<i8>(i));
  atomic_add(a.out3 + 2, static_cast<i8>(1));
  atomic_add(a.out4, -1LL);
  atomic_max(a.out4 + 1, static_cast<i64>(i) << 32);
}

struct ConvertArguments {
  const f64* in0;
  const i64* in1;
  f16* out0;
  bf16* out1;
  i8* out2;
  i32* out3;
  u64* out4;
  f16* out5;
  bf16* out6;
  i8* out7;
};
extern "C" __global__ void __launch_bounds__(64) conversions(const __grid_constant__ ConvertArguments a) {
  wait_for_predecessor();
  const u32 i = threadIdx.x;
  a.out0[i] = convert<f16>(a.in0[i]);
  a.out1[i] = convert<bf16>(a.in0[i]);
  a.out2[i] = round_saturate<i8>(static_cast<f32>(a.in0[i]));
  a.out3[i] = convert<i32>(a.in0[i]);
  a.out4[i] = convert<u64>(a.in0[i]);
  a.out5[i] = convert<f16>(a.in1[i]);
  a.out6[i] = convert<bf16>(a.in1[i]);
  a.out7[i] = convert<i8>(convert<b8>(a.in0[i]));
}

struct FaultArguments {
  f32* out0;
  i64 n0;
};
// Faults, one for each value of n0.
extern "C" __global__ void __launch_bounds__(64) faults(const __grid_constant__ FaultArguments a) {
  wait_for_predecessor();
  TW_SHARED_BYTES(memory);
  if (a.n0 == 0 && threadIdx.x < 32) __syncthreads();              // half of the block
  if (a.n0 == 1 && threadIdx.x == 3) a.out0[64] = 1.0f;            // just behind the allocation
  if (a.n0 == 2 && threadIdx.x == 3) a.out0[1 << 20] = 1.0f;       // far behind
  if (a.n0 == 3 && threadIdx.x == 3) memory[128] = 1;              // behind dynamic shared memory
  if (a.n0 == 4 && threadIdx.x < 7) shuffle(a.out0[0], 0);         // a part of the warp
  if (a.n0 == 5 && threadIdx.x >= 32) named_barrier_sync(1, 64);   // a barrier that the others pass by
  if (a.n0 == 6) cp_async_16(memory + 4, a.out0);                  // misaligned
  if (a.n0 == 7) a.out0[threadIdx.x] = static_cast<f32>(5 / (static_cast<i32>(a.n0) - 7));
}

// Producers and consumers on named barriers.
extern "C" __global__ void __launch_bounds__(128) named_barriers(const __grid_constant__ FaultArguments a) {
  wait_for_predecessor();
  __shared__ f32 slot[64];
  const u32 i = threadIdx.x % 64;
  for (i32 round = 0; round < a.n0; ++round) {
    if (threadIdx.x < 64) {
      if (round > 0) named_barrier_sync(2, 128);
      slot[i] = static_cast<f32>(round * 100 + static_cast<i32>(i));
      named_barrier_arrive(1, 128);
    } else {
      named_barrier_sync(1, 128);
      a.out0[64 * round + i] = slot[63 - i];
      if (round + 1 < a.n0) named_barrier_arrive(2, 128);
    }
  }
}
