// The product by warpgroups: two of them gather, interpolate and write the left operand, `Blocks` others multiply 64 rows
// each. They meet in a ring of stages: `full` barriers count the warps that gather and the bytes of the weights, which TMA
// brings; `empty` ones the warps that are done with a stage. Weights lie in the packed order of wgmma_result.cuh. `Shares`
// blocks of a cluster, whose tiles lie below each other, load their weights together (gemm/wgmma.cuh says what they owe
// each other). The generated text gives besides:
//   load(a, shared, barrier, batch, column, step)             starts the load of a step's weights: Columns / Shares from
//                                                             `column` on, into this block or all of its cluster

template <typename Deform>
struct DeformSums {
  using Accumulator = f32;
  using Result = typename ResultOf<Deform, Deform::splits>::Type;
  static constexpr bool swapped = false, permuted = true;
};

template <typename Deform, int Blocks, int Columns, int Depth, int Stages, int Shares>
struct DeformWarpgroups {
  using T = typename Deform::Element;
  static constexpr int rows = 64 * Blocks, span = Depth * 2;
  static constexpr int producers = 256, threads = producers + 128 * Blocks;
  static constexpr int left_bytes = rows * span, stage_bytes = left_bytes + Columns * span;
  static constexpr int places = Deform::taps * rows;
  static constexpr int part_columns = Columns / Shares;
  // A quarter of the multiprocessor holds a warp of every warpgroup. Those that gather take what sums leave.
  static constexpr int registers = 512 / (2 + Blocks) / 8 * 8;
  static constexpr int of_sums = Columns / 2 + (Blocks == 1 ? 72 : 40);
  static constexpr int of_gather = (512 - Blocks * of_sums) / 2 / 8 * 8 < 240 ? (512 - Blocks * of_sums) / 2 / 8 * 8 : 240;
  using Gather = DeformGather<Deform, 64, Depth, producers>;
  // A stage is free when the step after its own is multiplied, and that one is stored when the second after it is begun.
  static_assert(Stages >= 3, "stages to run ahead");
  static_assert(Blocks <= 2, "units of 64 rows take turns with two sets of registers");
  static_assert(Blocks * Columns <= 256, "sums that leave registers to gather");

  const Arguments& a;
  u8* const ring;
  Vec<i32, 4>* const pixels;  // [taps][rows] of one displacements' group
  Vec<f32, 4>* const weights;
  u64* const full;
  u64* const empty;
  const BlockTile tile;
  const DepthRange range;

  TW_DEVICE DeformWarpgroups(const Arguments& arguments, u8* shared)
      : a(arguments),
        ring(shared),
        pixels(reinterpret_cast<Vec<i32, 4>*>(shared + Stages * stage_bytes)),
        weights(reinterpret_cast<Vec<f32, 4>*>(pixels + places)),
        full(reinterpret_cast<u64*>(weights + places)),
        empty(full + Stages),
        tile(tile_of(arguments)),
        range(depth_range<Deform::splits>(Deform::taps * Deform::chunks, 1)) {}

  TW_DEVICE static BlockTile tile_of(const Arguments& a) {
    BlockTile t = tile_at<rows * Shares, Columns>(blockIdx.x / Shares, Deform::rows(a), Deform::columns(a));
    t.row += static_cast<i32>(blockIdx.x) % Shares * rows;
    return t;
  }

  TW_DEVICE void make_barriers() const {
    if (threadIdx.x == 0) {
      for (int s = 0; s < Stages; ++s) {
        barrier_init(&full[s], producers / 32 + 1);
        barrier_init(&empty[s], 4 * Blocks * Shares);
      }
      barrier_init_fence();
    }
    if constexpr (Shares > 1) cluster_meet();
    else __syncthreads();
  }

  TW_DEVICE void load_weights(int stage, i32 step) const {
    barrier_arrive_expect(&full[stage], Columns * span);
    const int part = Shares == 1 ? 0 : static_cast<int>(cluster_rank()) * part_columns;
    Deform::load(a, ring + stage * stage_bytes + left_bytes + part * span, &full[stage], tile.batch,
                 tile.column + part, step);
  }

  // Works out where the taps of a group of displacements read.
  TW_DEVICE void place(i32 group) const {
    constexpr int each = (places + producers - 1) / producers, some = each < 4 ? each : 4;
    const int thread = static_cast<int>(threadIdx.x);
    const DeformPixel pixel = deform_pixel<Deform>(a, tile.row + thread % rows);
    named_barrier_sync(1, producers);  // of the group before, all is stored
    for (int first = thread; first < places; first += some * producers) {
      DeformShift shift[some];
#pragma unroll
      for (int s = 0; s < some; ++s) {
        const int at = first + s * producers;
        if (at < places) shift[s] = deform_shift<Deform>(a, pixel, group, at / rows);
      }
#pragma unroll
      for (int s = 0; s < some; ++s) {
        const int at = first + s * producers;
        if (at >= places) continue;
        const DeformPlace place = deform_place<Deform>(a, pixel, at / rows, shift[s]);
        pixels[at] = place.pixels;
        weights[at] = place.weights;
      }
    }
    named_barrier_sync(1, producers);
  }

  // Interpolates what was gathered of 64 rows, and writes it into a stage.
  TW_DEVICE void store(const Gather& gather, int stage, int block, i32 tap) const {
    u8* const to = ring + stage * stage_bytes + block * 64 * span;
#pragma unroll
    for (int s = 0; s < Gather::slots; ++s) {
      if (!Gather::has_slot(s)) continue;
      const Vec<f32, 8> sum = gather.finish(s, weights + tap * rows + block * 64);
      Vec<u32, 4> packed;
#pragma unroll
      for (int i = 0; i < 4; ++i) packed[i] = pack2<T>(sum[2 * i], sum[2 * i + 1]);
      store_vec(reinterpret_cast<u32*>(to + chunk_offset<span>(Gather::row_of(s), Gather::chunk_of(s))), packed);
    }
  }

  // By the first two warpgroups. While the pixels of 64 rows are on their way, those before them are interpolated.
  TW_DEVICE void produce() const {
    const bool loads = threadIdx.x == 0;
    if (loads) {
      for (i32 i = 0; i < Stages && i < range.count; ++i) load_weights(i, range.begin + i);
    }
    __syncwarp();
    wait_for_predecessor();
    Gather gather[2];
    RingPlace<Stages> loaded, stored;
    DeformStep step = deform_step<Deform>(a, tile.batch, range.begin);
    i32 group = -1, last_tap = 0;
    bool pending = false;
    auto finish = [&](const Gather& what, int block) {
      if (!pending) return;
      if (block == 0) barrier_wait(&empty[stored.stage], stored.parity ^ 1);
      store(what, stored.stage, block, last_tap);
      if (block == Blocks - 1) {
        fence_async_shared();
        __syncwarp();
        if (lane_index() == 0) barrier_arrive(&full[stored.stage]);
        stored.next();
      }
      pending = false;
    };
    // Pairs of units, a set of registers for each: the two blocks of a step, or the one block of two steps.
    for (i32 i = 0; i < range.count; i += 2 / Blocks) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const i32 at = i + (Blocks == 1 ? half : 0);
        const int block = Blocks == 1 ? 0 : half, other = Blocks == 1 ? 0 : half ^ 1;
        if (at >= range.count) continue;
        if (block == 0) {
          if (step.group != group) {
            finish(gather[half ^ 1], other);
            place(step.group);
            group = step.group;
          }
          if (loads && at >= Stages) {
            barrier_wait(&empty[loaded.stage], loaded.parity ^ 1);
            load_weights(loaded.stage, range.begin + at);
          }
          __syncwarp();
          loaded.next();
        }
        gather[half].start(a, step, pixels + step.tap * rows + block * 64);
        finish(gather[half ^ 1], other);
        pending = true;
        last_tap = step.tap;
        if (block == Blocks - 1 && at + 1 < range.count) {
          if (++step.tap == Deform::taps) step = deform_step<Deform>(a, tile.batch, range.begin + at + 1);
        }
      }
    }
    let_successor_start();
    if (Blocks == 2 || range.count % 2 == 0) finish(gather[1], Blocks - 1);
    else finish(gather[0], 0);
  }

  TW_DEVICE void release(int stage) const {
    if constexpr (Shares == 1) {
      if (lane_index() == 0) barrier_arrive(&empty[stage]);
    } else {
      if (lane_index() < Shares) barrier_arrive_remote(&empty[stage], lane_index());
    }
  }

  // By the warpgroups after them.
  TW_DEVICE void consume(int block) const {
    f32 d[Columns / 2];
#pragma unroll
    for (int i = 0; i < Columns / 2; ++i) d[i] = 0.0f;
    const u64 left = wgmma_descriptor<span>(ring) + static_cast<u64>(block * 64 * span / 16);
    const u64 right = wgmma_descriptor<span>(ring + left_bytes);
    RingPlace<Stages> at;
    i32 last = -1;
    for (i32 i = 0; i < range.count; ++i) {
      barrier_wait(&full[at.stage], at.parity);
      const u64 offset = static_cast<u64>(at.stage * (stage_bytes / 16));
      wgmma_hold(d);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < span / 32; ++k) wgmma<T, Columns>(d, left + offset + 2 * k, right + offset + 2 * k, true);
      wgmma_commit();
      wgmma_hold(d);
      wgmma_wait<1>();
      if (last >= 0) release(last);
      last = at.stage;
      at.next();
    }
    wgmma_wait<0>();
    wgmma_hold(d);
    if (last >= 0) release(last);
    wait_for_predecessor();
    using Store = RegisterStore<DeformSums<Deform>, Columns, Blocks == 1 ? 16 : 8>;
    const BlockTile own{tile.batch, tile.row + block * 64, tile.column};
    Store{a, own, Deform::rows(a), Deform::columns(a)}.store(d);
  }
};

// Of a thread of this warpgroup.
template <int From, int To>
TW_DEVICE void registers_change() {
  if constexpr (To < From) registers_decrease<To>();
  else if constexpr (To > From) registers_increase<To>();
}

template <typename Deform, int Blocks, int Columns, int Depth, int Stages, int Shares>
TW_DEVICE void deform_conv_wgmma(const Arguments& a) {
  using Product = DeformWarpgroups<Deform, Blocks, Columns, Depth, Stages, Shares>;
  TW_SHARED_BYTES(shared);
  const Product product(a, shared);
  product.make_barriers();
  // The same for the warp, and known to be.
  const int warpgroup = shuffle(warp_index(), 0) / 4;
  if (warpgroup < 2) {
    registers_change<Product::registers, Product::of_gather>();
    product.produce();
  } else {
    registers_change<Product::registers, Product::of_sums>();
    product.consume(warpgroup - 2);
  }
  if constexpr (Shares > 1) cluster_sync();
}
