#include "gemm/blocks.cuh"
#include "gemm/channels.cuh"

// Convolution of images of few channels on tensor cores, straight from the image: a block brings the rows it needs into
// shared memory once, as 16-bit floats, a line for each row and channel, and every output reads its taps there. The
// depth of the product is cut into runs: the taps of one filter row and channel, filled up with zeros to a power of
// two. A register of an operand holds two neighbours of a run, which lie in one word of a line. In return, an infinite
// pixel or a NaN reaches the outputs whose runs are filled up with it. The generated text gives a type Stem:
//   Element                                 f16 or bf16
//   channels, taps_y, taps_x, dilation_y, stride_y, stride_x
//   outputs                                 channels of the result
//   images(a), in_y(a), in_x(a), out_y(a), out_x(a), pad_y(a), pad_x(a)
//   vector                                  pixels side by side that are loaded at once: 1, 2 or 4
//   ahead                                   pixels before a tile's first tap that its lines begin with, so that vectors
//                                           are aligned; weights begin with a zero where it is odd
//   pixels<N>(a, n, c, y, x)                the input from there on, as Vec<Element, N>
//   weights(a)                              fragments of the weights, see StemLines
//   Result                                  of gemm/blocks.cuh; rows are output pixels, columns channels

// What a block of Threads threads keeps of the image for Height * Width outputs, and for how many eights of channels.
template <typename Stem, int Height, int Width, int Eights, int Threads>
struct StemLines {
  static constexpr int threads = Threads;
  // Words of a run, each of two taps.
  static constexpr int run = Stem::taps_x <= 2 ? 1 : Stem::taps_x <= 4 ? 2 : Stem::taps_x <= 8 ? 4 : 8;
  static_assert(Stem::ahead % 2 + Stem::taps_x <= 2 * run && run <= 8, "taps of a run");
  static constexpr int lines =
      ((Height - 1) * Stem::stride_y + (Stem::taps_y - 1) * Stem::dilation_y + 1) * Stem::channels;
  // Words that a load brings, before a tile's first tap, and of a line.
  static constexpr int together = Stem::vector == 1 ? 1 : Stem::vector / 2;
  static constexpr int skip = Stem::ahead / 2;
  static constexpr int used = round_up(skip + ((Width - 1) * Stem::stride_x + 2 * run + 1) / 2, together);
  // Lanes that read different runs at once read different banks.
  static constexpr int pitch = run >= 4 ? used : (used + 15) / 32 * 32 + 16;
  // At odd strides every second output begins in the middle of a word: a copy of each line is one pixel ahead.
  static constexpr int copies = Stem::stride_x % 2 == 0 ? 1 : 2;
  static_assert(copies == 1 || (Stem::vector == 1 && Stem::ahead == 0), "pixels that copies share");
  static constexpr int copy_words = lines * pitch;
  // Pixels that a thread loads at once, and room for them.
  static constexpr int loaded = Stem::vector > 1 ? Stem::vector : copies + 1;
  using Pixels = Vec<typename Stem::Element, loaded == 3 ? 4 : loaded>;
  // From a conv row to the next.
  static constexpr int row_words = Stem::stride_y * Stem::channels * pitch;
  // Of sixteen along the depth, the last with zeros.
  static constexpr int steps = (Stem::taps_y * Stem::channels * run + 7) / 8;
  // Weights lie as [step][pair of eight columns][lane][4]: what two instructions want of a lane. Columns are permuted
  // so that a lane's sums of four instructions are eight channels side by side.
  static constexpr int pairs = Eights / 2;
  static_assert(Eights % 4 == 0 && pairs * 16 >= Stem::outputs, "all channels");
  static constexpr int weight_bytes = steps * pairs * warp_size * 16;

  // The word where the taps of an output column of the tile begin, and how far on those of a column `by` further do,
  // which is even or one.
  TW_DEVICE static constexpr int begin(int column) {
    return skip + column * Stem::stride_x % 2 * copy_words + column * Stem::stride_x / 2;
  }
  TW_DEVICE static constexpr int further(int by) {
    return by * Stem::stride_x / 2 + (by * Stem::stride_x % 2 != 0 ? copy_words : 0);
  }

  // The word of the lane's pair in half a step: four words, which may belong to several runs. Beyond the last run
  // weights are zero, and the last word is read again.
  TW_DEVICE static constexpr int word(int half, int t) {
    constexpr int words = Stem::taps_y * Stem::channels * run;
    const int at = half * 4 + 3 < words || half * 4 + t < words ? half * 4 + t : words - 1;
    const int line = at / run;
    if constexpr (Stem::dilation_y == 1) return line * pitch + at % run;
    return (line / Stem::channels * Stem::dilation_y * Stem::channels + line % Stem::channels) * pitch + at % run;
  }
};

// What a thread loads at once of a row of the image from x on, with zeros around it: an aligned vector, which is wholly
// inside or outside, else the pixels of a word and of its copy.
template <typename Lines, typename Stem>
TW_DEVICE typename Lines::Pixels stem_pixels(const Arguments& a, i32 n, i32 c, i32 y, i32 x, bool has_row) {
  const u32 in_x = Stem::in_x(a);
  if constexpr (Stem::vector > 1) {
    if (has_row && static_cast<u32>(x) < in_x) return Stem::template pixels<Stem::vector>(a, n, c, y, x);
    return {};
  } else {
    typename Lines::Pixels pixels{};
#pragma unroll
    for (int i = 0; i < Lines::loaded; ++i)
      if (has_row && static_cast<u32>(x + i) < in_x)
        pixels.v[i] = Stem::template pixels<1>(a, n, c, y, x + i).v[0];
    return pixels;
  }
}

// Rows of the image from (y, x) on. A thread keeps its place along x and walks down the rows, all channels of each,
// with several loads under way.
template <typename Lines, typename Stem>
TW_DEVICE void stem_fetch(const Arguments& a, u32* shared, i32 n, i32 y, i32 x) {
  constexpr int words = Lines::together, across = Lines::used / words, rows = Lines::lines / Stem::channels;
  constexpr int slots = Lines::threads < across ? 1 : Lines::threads / across, each = ceil_div(rows, slots);
  constexpr int loads = (Stem::vector > 1 ? 2 : Lines::loaded) * Stem::channels, few = loads > 16 ? 1 : 16 / loads;
  constexpr int together = each < few ? each : few;
  const u32 in_y = Stem::in_y(a);
  for (int i = threadIdx.x; i < slots * across; i += Lines::threads) {
    const int slot = i / across, at = (i - slot * across) * words;
    for (int first = slot; first < rows; first += together * slots) {
      typename Lines::Pixels pixels[together][Stem::channels];
#pragma unroll
      for (int l = 0; l < together; ++l) {
        const int row = first + l * slots;
        const bool has_row = row < rows && static_cast<u32>(y + row) < in_y;
#pragma unroll
        for (int c = 0; c < Stem::channels; ++c)
          pixels[l][c] = stem_pixels<Lines, Stem>(a, n, c, y + row, x + at * 2, has_row);
      }
#pragma unroll
      for (int l = 0; l < together; ++l) {
        const int row = first + l * slots;
        if (row >= rows) continue;
#pragma unroll
        for (int c = 0; c < Stem::channels; ++c)
#pragma unroll
          for (int copy = 0; copy < Lines::copies; ++copy) {
            Vec<u32, words> pairs;
#pragma unroll
            for (int w = 0; w < words; ++w)
              pairs.v[w] = pixels[l][c].v[2 * w + copy].bits |
                           static_cast<u32>(pixels[l][c].v[2 * w + copy + 1].bits) << 16;
            store_vec(shared + copy * Lines::copy_words + (row * Stem::channels + c) * Lines::pitch + at, pairs);
          }
      }
    }
  }
}

// Starts to bring the weights.
template <typename Lines, typename Stem>
TW_DEVICE void stem_weights(const Arguments& a, u8* shared) {
  for (int i = threadIdx.x * 16; i < Lines::weight_bytes; i += Lines::threads * 16)
    cp_async_16(shared + i, reinterpret_cast<const u8*>(Stem::weights(a)) + i);
  cp_async_commit();
}

// Brings what outputs from (y, x) on read, and waits for the weights as well; a barrier of the block must follow.
template <typename Lines, typename Stem>
TW_DEVICE void stem_image(const Arguments& a, u32* shared, i32 n, i32 y, i32 x) {
  stem_fetch<Lines, Stem>(a, shared, n, y * Stem::stride_y - Stem::pad_y(a),
                          x * Stem::stride_x - Stem::pad_x(a) - Stem::ahead);
  let_successor_start();
  cp_async_wait<0>();
}

// A warp's products, one after another.
template <typename Stem, typename Lines>
struct WarpProducts {
  // The weights have come; a barrier of the block follows.
  TW_DEVICE static void weights_came() {}

  // Adds those of outputs of `Rows` rows, the lane's first of which begins at `line` and the second of which is
  // `Second` words further, with the warp's `Columns` eights of channels.
  template <int Second, int Rows, int Columns>
  TW_DEVICE static void add(f32 (&sums)[Rows][Columns][4], const u32* line, const u8* weights, int warp_n) {
    const int lane = lane_index();
    const u8* const fragments = weights + warp_n * (Columns / 2) * warp_size * 16 + lane * 16;
#pragma unroll
    for (int step = 0; step < Lines::steps; ++step) {
      const int low = Lines::word(step * 2, lane % 4), high = Lines::word(step * 2 + 1, lane % 4);
      u32 b[Columns][2];
#pragma unroll
      for (int c = 0; c < Columns; c += 2) {
        const auto two =
            load_vec<4>(reinterpret_cast<const u32*>(fragments + (step * Lines::pairs + c / 2) * warp_size * 16));
        b[c][0] = two.v[0], b[c][1] = two.v[1], b[c + 1][0] = two.v[2], b[c + 1][1] = two.v[3];
      }
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        const u32* const from = line + r * Lines::row_words;
        const u32 inputs[4] = {from[low], from[low + Second], from[high], from[high + Second]};
#pragma unroll
        for (int c = 0; c < Columns; ++c) mma_m16n8k16<typename Stem::Element>(sums[r][c], inputs, b[c]);
      }
    }
  }
};

// A block makes WarpsY * Rows outputs along y, WarpsX * 16 along x, and WarpsN * Columns * 8 channels.
template <typename Stem, int WarpsX, int WarpsY, int WarpsN, int Rows, int Columns>
TW_DEVICE void stem_block(const Arguments& a) {
  constexpr int height = WarpsY * Rows, width = WarpsX * 16;
  using Lines = StemLines<Stem, height, width, WarpsN * Columns, WarpsX * WarpsY * WarpsN * warp_size>;
  TW_SHARED_BYTES(shared);
  u8* const weights = shared;
  u32* const image = reinterpret_cast<u32*>(shared + Lines::weight_bytes);
  const u32 across = ceil_div(Stem::out_x(a), width), down = ceil_div(Stem::out_y(a), height);
  const i32 tile_x = blockIdx.x % across * width;
  const i32 tile_y = blockIdx.x / across % down * height;
  const i32 n = blockIdx.x / across / down;
  stem_weights<Lines, Stem>(a, weights);
  wait_for_predecessor();
  stem_image<Lines, Stem>(a, image, n, tile_y, tile_x);
  __syncthreads();

  const int warp = warp_index(), lane = lane_index();
  const int warp_x = warp % WarpsX, warp_n = warp / WarpsX % WarpsN, warp_y = warp / WarpsX / WarpsN;
  // The lane's output of the first eight; the second eight lie eight strides further.
  const u32* const line = image + Lines::begin(warp_x * 16 + lane / 4) + warp_y * Rows * Lines::row_words;
  f32 sums[Rows][Columns][4]{};
  WarpProducts<Stem, Lines>::template add<Lines::further(8)>(sums, line, weights, warp_n);

#pragma unroll
  for (int r = 0; r < Rows; ++r) {
    const i32 y = tile_y + warp_y * Rows + r;
    if (y >= Stem::out_y(a)) break;
    const i32 row = (n * Stem::out_y(a) + y) * Stem::out_x(a);
    ChannelSides<typename Stem::Result> sides[Columns / 2];
#pragma unroll
    for (int i = 0; i < Columns / 2; ++i) {
      const i32 x = tile_x + warp_x * 16 + i % 2 * 8 + lane / 4;
      const i32 column = (warp_n * Columns + i / 2 * 4 + lane % 4) * 8;
      if (x < Stem::out_x(a)) sides[i].load(a, row + x, column, Stem::outputs - column);
    }
#pragma unroll
    for (int i = 0; i < Columns / 2; ++i) {
      const i32 x = tile_x + warp_x * 16 + i % 2 * 8 + lane / 4;
      const i32 column = (warp_n * Columns + i / 2 * 4 + lane % 4) * 8;
      Vec<f32, 8> channels;
#pragma unroll
      for (int k = 0; k < 8; ++k) channels.v[k] = sums[r][i / 2 * 4 + k / 2][i % 2 * 2 + k % 2];
      if (x < Stem::out_x(a)) sides[i].store(a, row + x, column, channels, Stem::outputs - column);
    }
  }
}
