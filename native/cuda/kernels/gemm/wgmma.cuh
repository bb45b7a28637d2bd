// The product of two tiles by warpgroups. One thread of a warp of its own starts the loads; warpgroups multiply what has
// arrived. Both walk the same list of tiles, and through each tile's steps along the depth, and meet in a ring of stages:
// `full` barriers count the bytes of a stage, `empty` ones the warps that are done with it.
//
// An operand is a type made by the generated text, a tensor map in the arguments behind it:
//   Element
//   constant              whether it may be read before the preceding kernel has ended
//   Place, place(a, batch, row)                 what is the same for all steps of a tile that begins at `row`
//   prefetch(a)                                 fetches the tensor map
//   load(a, shared, barrier, place, step)       starts a load of the tile's rows, `span` bytes of depth each, swizzled;
//                                               where blocks share Across, of a block's part of them, into all of these
//                                               blocks: load(a, shared, barrier, place, step, blocks)
// The contraction, besides blocks.cuh, wgmma_result.cuh, wgmma_prologue.cuh and row_moments.cuh: operands Down (64 rows to
// a wgmma) and Across, steps(a), span, `shares`: blocks of a cluster whose tiles lie below each other and which load one
// tile of Across together; and `early`: whether the next kernel's blocks may come before the loads are through.

// Names the instruction for elements of a type.
template <typename Element>
struct WgmmaType {
  using Type = Element;
};
template <>
struct WgmmaType<f32> {
  using Type = tf32;
};

template <int Stages>
struct RingPlace {
  i32 stage = 0;
  u32 parity = 0;

  TW_DEVICE void next() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
  TW_DEVICE void skip(i32 steps) {
    const u32 to = stage + steps;
    stage = to % Stages;
    parity ^= to / Stages & 1;
  }
};

// Tiles of Rows × Columns. `Together` warpgroups share a tile; with `Turns` = 2 there are two such teams, and one stores
// its tile while the other multiplies. A cluster is `shares` tiles by the splits of each one's depth, the splits of a tile
// side by side. Clusters take every so-many-th group of tiles, where sums go to the result straight from registers; else
// there is a cluster for each.
//
// Blocks that share an operand write into each other's rings, which takes four promises:
//  - Barriers exist before another block's bytes or arrivals reach them: cluster_meet() after they are made.
//  - A stage is written when all of the blocks are done with it: every warp arrives at each block's `empty`, and the loading
//    thread waits for all of them. No block can be a round ahead of that: what it would arrive for needs the bytes
//    that the waiting thread has yet to send.
//  - Bytes may come before the block expects them, never in an earlier phase: whoever sends them has waited for this
//    block's warps, which had seen that phase end. The phase itself ends with the block's own arrival.
//  - Memory outlives what others do to it. All bytes for a block are waited for by the block itself; the last arrivals at
//    its `empty` barriers are not, so that sums take the ring's place but not theirs, and cluster_sync()
//    comes before the end.
// `Resident` blocks are to share a multiprocessor; where that is one with two warpgroups that store from registers, these
// take over what the loading thread has no use for.
template <typename Contraction, int Rows, int Columns, int Together, int Turns, int Stages, int Resident>
struct WarpgroupProduct {
  using Down = typename Contraction::Down;
  using Across = typename Contraction::Across;
  using T = typename Contraction::Accumulator;
  using Operand = typename WgmmaType<typename Down::Element>::Type;
  using Tile = SharedSums<Contraction, Rows, Columns>;
  static constexpr int splits = Contraction::splits, shares = Contraction::shares, cluster = splits * shares;
  static constexpr int span = Contraction::span;
  static constexpr bool from_registers = splits == 1 && Contraction::permuted;
  static constexpr int consumers = 4 * Together * Turns;
  static constexpr bool moves_registers = from_registers && consumers == 8 && Resident == 1;
  static constexpr int warps = consumers + (moves_registers ? 4 : 1), threads = 32 * warps;
  // Of the loading thread and of the others; shared operands take more words to load.
  static constexpr int few_registers = shares > 1 ? 56 : 40, many_registers = shares > 1 ? 224 : 232;
  // A quarter of the multiprocessor holds every fourth warp.
  static constexpr int share = 65536 / 128 / ((warps * Resident + 3) / 4) / 8 * 8;
  static constexpr int registers = moves_registers ? many_registers : share < 255 ? share : 255;
  static constexpr int blocks = Rows / Together / 64;
  using Rewrite = TilePrologue<typename Contraction::Prologue, 64 * blocks, span>;
  static constexpr bool rewrites = !Contraction::Prologue::none;
  static constexpr int down_bytes = Rows * span, stage_bytes = down_bytes + Columns * span;
  static constexpr int part_columns = Columns / shares;  // of Across, that a block loads
  // The memory of a barrier serves nothing else: sums may be more than the ring, and barriers lie behind both.
  static constexpr int ring_bytes = Stages * stage_bytes;
  static constexpr int barriers_at = from_registers || Tile::bytes < ring_bytes ? ring_bytes : Tile::bytes;
  static_assert(Rows == 64 * Together * blocks && Columns % 8 == 0, "whole instructions");
  static_assert(sizeof(typename Down::Element) > 1 || Columns <= 32 || Columns % 16 == 0, "a width for integers");
  static_assert(!rewrites || !Contraction::swapped, "only the operand of wgmma's rows is computed");
  static_assert(shares == 1 || Columns % (8 * shares) == 0, "parts begin where the swizzle does");
  static constexpr bool normalized = Contraction::Normalization::normalized;
  static_assert(from_registers || Turns == 1, "by turns only without shared memory");
  static_assert(!normalized || (from_registers && span == 128), "a block has whole rows, and their sums in registers");

  const Arguments& a;
  u8* const shared;
  u64* const full;
  u64* const empty;
  u64* const turn;  // of each team: the other one is through with its products
  const u32 tiles;  // in groups of those that share an operand

  TW_DEVICE WarpgroupProduct(const Arguments& arguments, u8* memory)
      : a(arguments),
        shared(memory),
        full(reinterpret_cast<u64*>(memory + barriers_at)),
        empty(full + Stages),
        turn(empty + Stages),
        tiles(static_cast<u32>(ceil_div(Contraction::rows(a), Rows * shares)) *
              static_cast<u32>(ceil_div(Contraction::columns(a), Columns)) *
              static_cast<u32>(Contraction::batches(a))) {}

  // A group's last tiles may lie below the operand: they store nothing.
  TW_DEVICE BlockTile tile(u32 index) const {
    BlockTile t = tile_at<Rows * shares, Columns>(index, Contraction::rows(a), Contraction::columns(a));
    t.row += member() * Rows;
    return t;
  }

  TW_DEVICE static int split() { return splits == 1 ? 0 : static_cast<int>(cluster_rank()) % splits; }
  TW_DEVICE static int member() { return shares == 1 ? 0 : static_cast<int>(cluster_rank()) / splits; }
  TW_DEVICE static u32 first_tile() { return blockIdx.x / cluster; }
  TW_DEVICE static u32 tile_step() { return gridDim.x / cluster; }

  TW_DEVICE DepthRange range() const {
    const i32 steps = Contraction::steps(a);
    if constexpr (splits == 1) return {0, steps};
    const i32 at = split(), some = steps / splits, more = steps % splits;
    return {some * at + (at < more ? at : more), some + (at < more ? 1 : 0)};
  }

  TW_DEVICE void make_barriers() const {
    if (threadIdx.x == 0) {
      for (int s = 0; s < Stages; ++s) {
        barrier_init(&full[s], 1);
        barrier_init(&empty[s], 4 * Together * shares);
      }
      for (int team = 0; Turns > 1 && team < Turns; ++team) barrier_init(&turn[team], 4 * Together);
      barrier_init_fence();
    }
    if constexpr (shares > 1) cluster_meet();
    else __syncthreads();
  }

  TW_DEVICE void load(const typename Down::Place& down, const typename Across::Place& across, int stage, i32 step,
                      bool constants, bool others) const {
    u8* const to = shared + stage * stage_bytes;
    if (Down::constant ? constants : others) Down::load(a, to, &full[stage], down, step);
    if (Across::constant ? constants : others) {
      if constexpr (shares == 1) Across::load(a, to + down_bytes, &full[stage], across, step);
      else Across::load(a, to + down_bytes + member() * (part_columns * span), &full[stage], across, step, sharers());
    }
  }

  // The blocks that multiply this one's part of Across.
  TW_DEVICE static u16 sharers() {
    u32 blocks = 0;
#pragma unroll
    for (int i = 0; i < shares; ++i) blocks |= 1u << i * splits;
    return static_cast<u16>(blocks << split());
  }

  // By one thread. Constants of the first stages are on their way before the preceding kernel has ended.
  TW_DEVICE void produce() const {
    if constexpr (Contraction::early) let_successor_start();
    Down::prefetch(a);
    Across::prefetch(a);
    const DepthRange depth = range();
    RingPlace<Stages> at;
    i32 begun = 0;
    for (u32 index = first_tile(); index < tiles; index += tile_step()) {
      const BlockTile here = tile(index);
      // Tiles below the operand load others' rows: what maps make of a base pixel behind the last image, nobody says.
      const bool below = shares > 1 && here.row >= Contraction::rows(a);
      const auto down = Down::place(a, here.batch, below ? 0 : here.row);
      const auto across = Across::place(a, here.batch, here.column + member() * part_columns);
      if (index == first_tile()) {
        if constexpr (Down::constant || Across::constant) {
          for (; begun < Stages && begun < depth.count; ++begun) {
            barrier_arrive_expect(&full[begun], stage_bytes);
            load(down, across, begun, depth.begin + begun, true, false);
          }
        }
        wait_for_predecessor();
        for (i32 i = 0; i < begun; ++i) {
          load(down, across, at.stage, depth.begin + i, false, true);
          at.next();
        }
      }
      for (i32 i = begun; i < depth.count; ++i) {
        barrier_wait(&empty[at.stage], at.parity ^ 1);
        barrier_arrive_expect(&full[at.stage], stage_bytes);
        load(down, across, at.stage, depth.begin + i, true, true);
        at.next();
      }
      begun = 0;
    }
    if constexpr (!Contraction::early) let_successor_start();
  }

  // The sums of tile `index`: blocks of 64 rows of this warpgroup, `group` being its index in its team.
  TW_DEVICE void multiply(RingPlace<Stages>& at, const DepthRange& depth, u32 index, int group,
                          T (&d)[blocks][Columns / 2], RowMoments (&moments)[blocks]) const {
    const i32 steps = depth.count;
#pragma unroll
    for (int b = 0; b < blocks; ++b) {
      moments[b] = {};
#pragma unroll
      for (int i = 0; i < Columns / 2; ++i) d[b][i] = T(0);
    }
    const u64 down = wgmma_descriptor<span>(shared) + static_cast<u64>(group * blocks * 64 * span / 16);
    const u64 across = wgmma_descriptor<span>(shared + down_bytes);
    // Where nothing is multiplied, nothing may be waited for either: the compiler would find sums that were cleared
    // among those that a wait is for, and let each wgmma wait for the one before.
    if (steps <= 0) return;
    const i32 first_row = rewrites ? tile(index).row + group * blocks * 64 : 0;
    Rewrite rewrite(a, first_row, rewrites ? Contraction::rows(a) : 0);
    i32 last = -1;
    for (i32 i = 0; i < steps; ++i) {
      rewrite.load(depth.begin + i);
      barrier_wait(&full[at.stage], at.parity);
      rewrite.apply(shared + at.stage * stage_bytes + group * (blocks * 64 * span));
      const u64 offset = static_cast<u64>(at.stage * (stage_bytes / 16));
#pragma unroll
      for (int b = 0; b < blocks; ++b) wgmma_hold(d[b]);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < span / 32; ++k) {
#pragma unroll
        for (int b = 0; b < blocks; ++b)
          wgmma<Operand, Columns>(d[b], down + offset + b * (64 * span / 16) + 2 * k, across + offset + 2 * k, true);
      }
      wgmma_commit();
      if constexpr (normalized) {
        const u8* const rows = shared + at.stage * stage_bytes + group * blocks * 64 * span;
#pragma unroll
        for (int b = 0; b < blocks; ++b) moments[b].template add<typename Down::Element>(rows + b * 64 * span);
      }
#pragma unroll
      for (int b = 0; b < blocks; ++b) wgmma_hold(d[b]);
      wgmma_wait<1>();
      if (last >= 0) release(last);
      last = at.stage;
      at.next();
    }
    wgmma_wait<0>();
#pragma unroll
    for (int b = 0; b < blocks; ++b) wgmma_hold(d[b]);
    release(last);
  }

  TW_DEVICE void release(int stage) const {
    if constexpr (shares == 1) {
      if (lane_index() == 0) barrier_arrive(&empty[stage]);
    } else {
      if (lane_index() < shares) barrier_arrive_remote(&empty[stage], split() + splits * lane_index());
    }
  }

  TW_DEVICE void consume(int warp) const {
    using Store = RegisterStore<Contraction, Columns, registers - blocks * Columns / 2 - 64>;
    const int team = warp / (4 * Together), group = warp / 4 % Together;
    const DepthRange depth = range();
    RingPlace<Stages> at;
    if (Turns > 1 && team > 0) at.skip(depth.count);
    // What operands are computed from is the preceding kernel's.
    if constexpr (rewrites) wait_for_predecessor();
    T d[blocks][Columns / 2];
    RowMoments moments[blocks];
    u32 parity = team > 0 ? 0 : 1;
    for (u32 index = first_tile() + team * tile_step(); index < tiles; index += Turns * tile_step()) {
      if constexpr (Turns > 1) {
        // A parity tells a stage's last round from the one before it, no more: teams must not run ahead of each other.
        barrier_wait(&turn[team], parity);
        parity ^= 1;
      }
      multiply(at, depth, index, group, d, moments);
      if constexpr (Turns > 1) {
        if (lane_index() == 0) barrier_arrive(&turn[1 - team]);
      }
      if (index < Turns * tile_step()) wait_for_predecessor();
      const BlockTile here = tile(index);
#pragma unroll
      for (int b = 0; b < blocks; ++b) {
        const BlockTile part{here.batch, here.row + (group * blocks + b) * 64, here.column};
        if constexpr (normalized) {
          using N = typename Contraction::Normalization;
          normalize_products<N, Columns>(a, RowScales::of<N>(a, moments[b]), here.column, d[b]);
        }
        Store{a, part, Contraction::rows(a), Contraction::columns(a)}.store(d[b]);
      }
      if (Turns > 1) at.skip(depth.count);
    }
  }

  // The one tile of a block whose sums meet in shared memory, which the ring has no more use for.
  TW_DEVICE void consume_shared(int warp) const {
    T* const sums = reinterpret_cast<T*>(shared);
    if (warp < consumers) {
      T d[blocks][Columns / 2];
      RowMoments moments[blocks];
      RingPlace<Stages> at;
      if constexpr (rewrites) wait_for_predecessor();
      multiply(at, range(), first_tile(), warp / 4, d, moments);
      // All that was loaded has come; other warps may still multiply it.
      named_barrier_sync(1, 32 * consumers);
#pragma unroll
      for (int b = 0; b < blocks; ++b) Tile::put(sums, (warp / 4 * blocks + b) * 64, d[b]);
    }
    if constexpr (splits > 1) cluster_sync();
    else __syncthreads();
    wait_for_predecessor();
    Tile::template store<splits>(a, sums, tile(first_tile()), split(), member() * splits, threadIdx.x, threads);
    // The other blocks may still read our sums, and arrive at our barriers.
    if constexpr (cluster > 1) cluster_sync();
  }
};

template <typename Contraction, int Rows, int Columns, int Together, int Turns, int Stages, int Resident>
TW_DEVICE void gemm_wgmma(const Arguments& a) {
  using Product = WarpgroupProduct<Contraction, Rows, Columns, Together, Turns, Stages, Resident>;
  TW_SHARED_BYTES(shared);
  const Product product(a, shared);
  product.make_barriers();
  // The same for the warp, and known to be.
  const int warp = shuffle(warp_index(), 0);
  if (warp >= Product::consumers) {
    if constexpr (Product::moves_registers) registers_decrease<Product::few_registers>();
    if (warp == Product::consumers && elect_one()) product.produce();
    __syncwarp();
  } else {
    if constexpr (Product::moves_registers) registers_increase<Product::many_registers>();
    if constexpr (Product::from_registers) product.consume(warp);
  }
  if constexpr (!Product::from_registers) product.consume_shared(warp);
  else if constexpr (Product::shares > 1) cluster_sync();
}
