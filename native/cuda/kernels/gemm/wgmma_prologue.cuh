// Maps of the operand `Down` where TMA has put it: a warpgroup rewrites its own rows of a stage in shared memory, before
// its wgmma read them there. Meanwhile the wgmma of the stage before are under way. The generated text gives
//   none                   whether there are none; else
//   sides                  operands besides Down: eight channels at a time of each image, or of all of them
//   pixels                 rows of the product to an image; 0: all rows share their sides
//   channels(a)            of Down: what a line has more are zeros, and stay so
//   load(a, side, image, channel)     eight channels of every side, from `channel` on
//   apply(x, side)         two neighbours along the depth, of Down and of every side
// Sides are read where they lie: a few lines, which the first-level cache keeps.

// `Rows` of a warpgroup, lines of `Span` bytes.
template <typename Prologue, int Rows, int Span, bool None = Prologue::none>
struct TilePrologue {
  TW_DEVICE TilePrologue(const Arguments&, i32, i32) {}
  TW_DEVICE void load(i32) {}
  TW_DEVICE void apply(u8*) const {}
};
template <typename Prologue, int Rows, int Span>
struct TilePrologue<Prologue, Rows, Span, false> {
  static constexpr int chunks = Span / 16, lines = 128 / chunks, passes = Rows / lines;
  static constexpr int sides = Prologue::sides > 0 ? Prologue::sides : 1;
  static constexpr int pixels = Prologue::pixels > 0 ? Prologue::pixels : 1;
  static_assert(lines % 8 == 0 && Rows % lines == 0, "a thread keeps its place in the pattern of the swizzle");

  const Arguments& a;
  const i32 first, last;  // rows of the product: this thread's first one, and the last there is
  const i32 within;       // channel of it within a stage
  bool same;              // whether all rows of the warpgroup are of one image
  i32 channel;            // that it holds of the stage at hand
  Vec<u32, 4> side[sides];

  // `row` is the warpgroup's first one, of `rows` of the product.
  TW_DEVICE TilePrologue(const Arguments& arguments, i32 row, i32 rows)
      : a(arguments),
        first(row + static_cast<int>(threadIdx.x % 128) / chunks),
        last(rows - 1),
        within((static_cast<int>(threadIdx.x) % chunks ^
                chunk_permutation<Span>(static_cast<int>(threadIdx.x % 128) / chunks)) * 8),
        same(true) {
    if constexpr (Prologue::pixels > 0) same = image(row) == image(row + Rows - 1);
  }

  // Rows below the product are as the last one: what they add up to is never stored.
  TW_DEVICE i32 image(i32 row) const {
    if constexpr (Prologue::pixels == 0) return 0;
    return static_cast<u32>(row < last ? row : last) / static_cast<u32>(pixels);
  }

  // Before the stage of step `step` has come.
  TW_DEVICE void load(i32 step) {
    channel = step * (Span / 2) + within;
    if (channel < Prologue::channels(a)) Prologue::load(a, side, image(first), channel);
  }

  // `tile` is the warpgroup's first line in shared memory.
  TW_DEVICE void apply(u8* tile) const {
    u8* const mine = tile + threadIdx.x % 128 * 16;
    if (channel < Prologue::channels(a)) {
      if (same) {
#pragma unroll 4
        for (int pass = 0; pass < passes; ++pass) rewrite(mine + pass * (lines * Span), side);
      } else {
        // Few at a time: sums leave few registers.
#pragma unroll 2
        for (int pass = 0; pass < passes; ++pass) {
          Vec<u32, 4> own[sides];
          Prologue::load(a, own, image(first + pass * lines), channel);
          rewrite(mine + pass * (lines * Span), own);
        }
      }
    }
    fence_async_shared();
    named_barrier_sync(2 + warp_index() / 4, 128);
  }

  TW_DEVICE static void rewrite(u8* chunk, const Vec<u32, 4> (&of)[sides]) {
    u32* const at = reinterpret_cast<u32*>(chunk);
    auto x = load_vec<4>(at);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      u32 pair[sides]{};
#pragma unroll
      for (int s = 0; s < Prologue::sides; ++s) pair[s] = of[s].v[k];
      x.v[k] = Prologue::apply(x.v[k], pair);
    }
    store_vec(at, x);
  }
};
