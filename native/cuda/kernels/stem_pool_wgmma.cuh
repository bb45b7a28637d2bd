#include "stem_pool.cuh"

// The products of stem_pool.cuh by warpgroups: warps of a group walk down the same rows, so WarpsX is a multiple of
// four, and a warp has all channels. What a lane reads of the image is in registers before the first product; rows
// share what both read, so that the step from one row to the next is whole steps of the depth. Where the depth ends in
// the middle of a step, what follows in the image meets weights of zero. Weights lie as [step][half][eight
// channels][8][8], the last of them along the depth.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
template <typename Stem, typename Lines>
struct WarpgroupProducts {
  static constexpr int down = Stem::stride_y * Stem::channels * Lines::run;
  static_assert(Stem::dilation_y == 1 && down % 8 == 0, "rows that are whole steps apart");

  // Written by ordinary stores, they are read by the tensor cores themselves.
  TW_DEVICE static void weights_came() { fence_async_shared(); }

  template <int Second, int Rows, int Columns>
  TW_DEVICE static void add(f32 (&sums)[Rows][Columns][4], const u32* line, const u8* weights, int) {
    constexpr int shift = down / 8, fragments = (Rows - 1) * shift + Lines::steps;
    constexpr int last = (Rows - 1) * down + Stem::taps_y * Stem::channels * Lines::run - 1;
    u32 inputs[fragments][4];
#pragma unroll
    for (int f = 0; f < fragments; ++f)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int first = f * 8 + half * 4, at = first + 3 <= last ? first + lane_index() % 4 : last;
        const u32* const from = line + at / Lines::run * Lines::pitch + at % Lines::run;
        inputs[f][half * 2] = from[0];
        inputs[f][half * 2 + 1] = from[Second];
      }
    const u64 descriptor = wgmma_descriptor<0>(weights, 128, Columns * 128);
#pragma unroll
    for (int r = 0; r < Rows; ++r) wgmma_hold(reinterpret_cast<f32(&)[Columns * 4]>(sums[r]));
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Lines::steps; ++step)
#pragma unroll
      for (int r = 0; r < Rows; ++r)
        wgmma<typename Stem::Element, Columns * 8>(reinterpret_cast<f32(&)[Columns * 4]>(sums[r]),
                                                   inputs[r * shift + step], descriptor + step * (Columns * 16), true);
    wgmma_commit();
    wgmma_wait<0>();
#pragma unroll
    for (int r = 0; r < Rows; ++r) wgmma_hold(reinterpret_cast<f32(&)[Columns * 4]>(sums[r]));
    wgmma_hold(reinterpret_cast<u32(&)[fragments * 4]>(inputs));
  }
};
#endif
