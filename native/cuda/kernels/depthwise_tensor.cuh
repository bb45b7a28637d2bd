#include "gemm/blocks.cuh"
#include "gemm/channels.cuh"

// Convolution of every channel with a filter of its own, on tensor cores. A channel's row of outputs is a product of
// its row of inputs and a banded matrix of the filter row's taps: eight outputs read sixteen neighbouring inputs (24 at
// a stride of two), so one instruction does eight outputs of sixteen rows for one filter row. A third to a half of its
// products are with zeros, and it is still several times what ordinary arithmetic does. In return, an infinite input or
// a NaN reaches all outputs of the windows of eight that read its neighbours.
//
// The block's part of the image lies in shared memory channel by channel; a register then holds neighbours along x, as
// the instruction wants them. Accumulators of eight channels stay in registers, so that results leave as vectors of
// channels. The generated text gives a type Image:
//   Element                                     f16 or bf16
//   channels                                    a multiple of eight
//   taps_y, stride_y, dilation_y, stride_x
//   span_x                                      inputs along x from an output's first tap to its last
//   images(a), in_y(a), in_x(a), out_y(a), out_x(a), pad_y(a), pad_x(a)
//   pixel(a, n, y, x)                           pointer to the channels of an input pixel, aligned to eight elements
//   table(a)                                    pairs of taps, see BandTable, of each channel and filter row
//   Result                                      of gemm/blocks.cuh; rows are output pixels, columns channels
//   pools                                       whether sums over pixels of what is stored are wanted; then also
//   pool(a, n, slot, slots, channel, sums)      writes eight channels' sums; an image has `slots` of them

// The band of a filter row: e[i] is the tap that input i - 7 * stride of a window has for its first output, or zero.
// Lanes want pairs (e[i], e[i + 1]) that begin at even i, and, at a stride of one, at odd i too: those follow.
template <int Stride>
struct BandTable {
  static constexpr int columns = Stride + 1;  // of eight inputs that eight outputs read
  static constexpr int words = Stride == 1 ? 24 : 20;
  // Where the pair of the lane's inputs k, k + 1 and its output n begins; eight inputs further are four words further.
  TW_DEVICE static int word(int k, int n) {
    const int i = k + (7 - n) * Stride;
    return Stride == 1 ? i % 2 * 12 + i / 2 : i / 2;
  }
};

// How a block's image lies in shared memory. A block makes WindowsX * Windows * 8 outputs along x, Patches * 8 along y,
// of Images images and Vectors * 8 channels.
template <typename Image, int WindowsX, int Windows, int Patches, int Images, int Vectors>
struct DepthwiseTile {
  static constexpr int width = WindowsX * Windows * 8, height = Patches * 8;
  static constexpr int stride_x = Image::stride_x, stride_y = Image::stride_y;
  static constexpr int columns = WindowsX * Windows * stride_x + 1;  // of eight inputs
  static constexpr int inputs_x = (width - 1) * stride_x + Image::span_x;
  static constexpr int inputs_y = (height - 1) * stride_y + (Image::taps_y - 1) * Image::dilation_y + 1;
  // An odd number of chunks, so that eight rows lie in different banks.
  static constexpr int pitch = (columns | 1) * 16;
  // Rows that a stride apart are read together lie together.
  static constexpr int phase = (inputs_y + stride_y - 1) / stride_y;
  static constexpr int image_bytes = phase * stride_y * pitch;
  static constexpr int plane_bytes = Images * image_bytes;
  // Vectors of the same pixels are written together, to different banks.
  static constexpr int skew = (32 / Vectors / 4 > 1 ? 32 / Vectors / 4 : 1) * 16;
  static constexpr int vector_bytes = 8 * plane_bytes + skew;
  static constexpr int table_bytes = Vectors * 8 * Image::taps_y * BandTable<stride_x>::words * 4;
  static constexpr int pairs = columns * 4;
  static constexpr int threads = WindowsX * (Patches * Images / 2) * Vectors * warp_size;
  static_assert(Patches * Images % 2 == 0, "an instruction takes two patches");

  TW_DEVICE static int row_offset(int y) { return (y % stride_y * phase + y / stride_y) * pitch; }
};

template <typename Tile, typename Image>
TW_DEVICE void depthwise_table(const Arguments& a, u8* shared, int channel) {
  constexpr int bytes = Image::taps_y * BandTable<Image::stride_x>::words * 4;
  const u8* const global = reinterpret_cast<const u8*>(Image::table(a)) + static_cast<i64>(channel) * bytes;
  const int there = (Image::channels - channel) * bytes;
  for (int i = threadIdx.x * 16; i < Tile::table_bytes; i += Tile::threads * 16)
    if (i < there) cp_async_16(shared + i, global + i);
  cp_async_commit();
}

// Copies the inputs of the tile that begins at image n and input (y, x), with zeros around the image. A thread takes
// two pixels of eight channels, always the same ones, and writes eight pairs of neighbours.
template <typename Tile, typename Image, int Images, int Vectors>
TW_DEVICE void depthwise_fetch(const Arguments& a, u8* shared, i32 n, i32 y, i32 x, i32 channel) {
  using Words = Vec<u32, 4>;
  constexpr int rows = Tile::inputs_y * Images, step = Tile::threads / Vectors;
  constexpr int batch = 4;
  static_assert(Tile::threads % Vectors == 0, "a thread keeps its channels");
  const int vector = threadIdx.x % Vectors;
  const i32 images = Image::images(a), in_x = Image::in_x(a);
  const i32 in_y = channel + vector * 8 < Image::channels ? Image::in_y(a) : 0;
  int row = threadIdx.x / Vectors / Tile::pairs, pair = threadIdx.x / Vectors % Tile::pairs;
  u8* const lines = shared + vector * Tile::vector_bytes;
  while (row < rows) {
    Words pixels[batch][2];
    int to[batch];
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      const int image = Images == 1 ? 0 : row / Tile::inputs_y, line = Images == 1 ? row : row % Tile::inputs_y;
      const i32 from_y = y + line;
      const bool has_row = row < rows && n + image < images && static_cast<u32>(from_y) < static_cast<u32>(in_y);
      to[b] = row < rows ? image * Tile::image_bytes + Tile::row_offset(line) + pair * 4 : -1;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const i32 from_x = x + pair * 2 + i;
        const bool has = has_row && static_cast<u32>(from_x) < static_cast<u32>(in_x) && pair * 2 + i < Tile::inputs_x;
        pixels[b][i] = {};
        if (has)
          pixels[b][i] = load_vec<4>(
              reinterpret_cast<const u32*>(Image::pixel(a, n + image, from_y, from_x) + channel + vector * 8));
      }
      row += step / Tile::pairs;
      pair += step % Tile::pairs;
      if (pair >= Tile::pairs) pair -= Tile::pairs, ++row;
    }
#pragma unroll
    for (int b = 0; b < batch; ++b) {
      if (to[b] < 0) break;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const u32 left = pixels[b][0].v[i], right = pixels[b][1].v[i];
        *reinterpret_cast<u32*>(lines + to[b] + 2 * i * Tile::plane_bytes) = (left & 0xFFFFu) | right << 16;
        *reinterpret_cast<u32*>(lines + to[b] + (2 * i + 1) * Tile::plane_bytes) = left >> 16 | (right & 0xFFFF0000u);
      }
    }
  }
}

template <typename Image, int WindowsX, int Windows, int Patches, int Images, int Vectors>
TW_DEVICE void depthwise_tensor(const Arguments& a) {
  using T = typename Image::Element;
  using Tile = DepthwiseTile<Image, WindowsX, Windows, Patches, Images, Vectors>;
  using Band = BandTable<Image::stride_x>;
  constexpr int stride = Image::stride_x;
  constexpr int columns = Windows * stride + 1;
  TW_SHARED_BYTES(shared);
  u8* const table = shared + Vectors * Tile::vector_bytes;

  // Channels of the same pixels are neighbours in the grid, and in memory.
  constexpr u32 slices = (Image::channels + Vectors * 8 - 1) / (Vectors * 8);
  const u32 across = ceil_div(Image::out_x(a), Tile::width), down = ceil_div(Image::out_y(a), Tile::height);
  const i32 first_channel = blockIdx.x % slices * (Vectors * 8);
  const u32 place = blockIdx.x / slices;
  const i32 tile_x = place % across * Tile::width;
  const i32 tile_y = place / across % down * Tile::height;
  const i32 tile_n = place / across / down * Images;

  depthwise_table<Tile, Image>(a, table, first_channel);
  wait_for_predecessor();
  depthwise_fetch<Tile, Image, Images, Vectors>(a, shared, tile_n, tile_y * Image::stride_y - Image::pad_y(a),
                                                tile_x * stride - Image::pad_x(a), first_channel);
  let_successor_start();
  cp_async_wait<0>();
  __syncthreads();

  const int warp = warp_index(), lane = lane_index();
  const int vector = warp % Vectors, window = warp / Vectors % WindowsX * Windows;
  const int patch = warp / Vectors / WindowsX * 2;
  if (first_channel + vector * 8 >= Image::channels) return;
  // Lanes 0 to 7 point at rows of the first patch, 8 to 15 of the second, the others eight inputs further.
  const int pointed = patch + lane / 8 % 2;
  const u8* const rows = shared + vector * Tile::vector_bytes + pointed / Patches * Tile::image_bytes +
                         (pointed % Patches * 8 + lane % 8) * Tile::pitch + (window * stride + lane / 16) * 16;
  const u32* const band = reinterpret_cast<const u32*>(table) + vector * 8 * Image::taps_y * Band::words +
                          Band::word(lane % 4 * 2, lane / 4);

  f32 sums[Windows][8][4]{};
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    u32 taps[Image::taps_y][Band::columns];
#pragma unroll
    for (int y = 0; y < Image::taps_y; ++y)
#pragma unroll
      for (int k = 0; k < Band::columns; ++k) taps[y][k] = band[(c * Image::taps_y + y) * Band::words + k * 4];
#pragma unroll
    for (int y = 0; y < Image::taps_y; ++y) {
      const u8* const row = rows + c * Tile::plane_bytes + Tile::row_offset(y * Image::dilation_y);
      u32 inputs[columns + 1][2];
#pragma unroll
      for (int k = 0; k < columns; k += 2) {
        if (k + 1 < columns) {
          u32 both[4];
          ldmatrix_x4(both, row + k * 16);
          inputs[k][0] = both[0], inputs[k][1] = both[1], inputs[k + 1][0] = both[2], inputs[k + 1][1] = both[3];
        } else {
          ldmatrix_x2(inputs[k], row + k * 16);
        }
      }
#pragma unroll
      for (int w = 0; w < Windows; ++w) {
        const int k = w * stride;
        mma_m16n8k16<T>(sums[w][c], {inputs[k][0], inputs[k][1], inputs[k + 1][0], inputs[k + 1][1]},
                        {taps[y][0], taps[y][1]});
        if constexpr (stride == 2)
          mma_m16n8k8_half<T>(sums[w][c], {inputs[k + 2][0], inputs[k + 2][1]}, taps[y][Band::columns - 1]);
      }
    }
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const i32 n = tile_n + (patch + half) / Patches;
    const i32 y = tile_y + (patch + half) % Patches * 8 + lane / 4;
    if (n >= Image::images(a)) continue;
    const bool inside = y < Image::out_y(a);
    f32 pooled[8]{};
    const i32 row = (n * Image::out_y(a) + y) * Image::out_x(a), channel = first_channel + vector * 8;
    ChannelSides<typename Image::Result> sides[Windows * 2];
#pragma unroll
    for (int i = 0; i < Windows * 2; ++i) {
      const i32 x = tile_x + (window + i / 2) * 8 + lane % 4 * 2 + i % 2;
      if (inside && x < Image::out_x(a)) sides[i].load(a, row + x, channel);
    }
#pragma unroll
    for (int i = 0; i < Windows * 2; ++i) {
      const i32 x = tile_x + (window + i / 2) * 8 + lane % 4 * 2 + i % 2;
      Vec<f32, 8> channels;
#pragma unroll
      for (int c = 0; c < 8; ++c) channels.v[c] = sums[i / 2][c][half * 2 + i % 2];
      if (!inside || x >= Image::out_x(a)) continue;
      const auto stored = sides[i].store(a, row + x, channel, channels);
#pragma unroll
      for (int c = 0; c < 8; ++c) pooled[c] += stored.v[c];
    }
    if constexpr (Image::pools) {
      Vec<f32, 8> total;
#pragma unroll
      for (int c = 0; c < 8; ++c) total.v[c] = warp_reduce(pooled[c], Sum());
      const i32 slots = across * down * (WindowsX * Patches);
      const i32 slot = ((place % (across * down)) * WindowsX + window / Windows) * Patches + (patch + half) % Patches;
      if (lane == 0) Image::pool(a, n, slot, slots, channel, total);
    }
  }
}
