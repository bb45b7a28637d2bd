#include "gemm/blocks.cuh"
#include "gemm/channels.cuh"

// A block of mobile networks in one kernel: a product that expands the channels of every pixel, a convolution of every
// channel with a filter of its own, and a product that projects what that makes to few channels again. The expanded
// image stays in shared memory: a block of threads computes a tile of the result from the input pixels that the tile's
// windows meet, and takes the expanded channels a chunk at a time. Of every chunk
//   1. the tile's input pixels are expanded into shared memory (tensor cores); what lies around the image stays zero,
//   2. the windows are summed in float32 and what they make is rounded into shared memory,
//   3. that is multiplied with the chunk's share of the projection (tensor cores), whose sums stay in registers,
// where the third step of a chunk runs beside the first of the next one. Blocks of a cluster may share a tile's chunks:
// their sums meet in shared memory. Without an expansion, chunks of the input take its place; without a projection,
// what the second step makes is the result, and is summed over pixels. The generated text gives a type Block:
//   Element                         f16 or bf16
//   inputs, outputs                 channels, multiples of eight
//   expands, projects               whether there are an expansion and a projection
//   chunk, chunks                   expanded channels of a chunk, a multiple of 16, and how many chunks there are
//   taps_y, taps_x, stride_y, stride_x, dilation_y, dilation_x
//   pixels                          input pixels that a tile meets at most, of those that exist
//   width                           channels of one load of the input: eight, or less where that is not aligned
//   images(a), in_y(a), in_x(a), out_y(a), out_x(a), pad_y(a), pad_x(a)
//   pixel(a, n, y, x)               pointer to the channels of an input pixel
//   weights(a)                      the chunks' weights, each as ResidualTile lays them out
//   expanded(sum), filtered(sum)    what becomes of the sums of the first two convolutions, which begin at their biases
//   Result                          of blocks.cuh, of the projection; rows are output pixels, columns channels
// and without a projection, for the expanded channels, of which there are `outputs`:
//   result(a, n, y, x)              pointer to the channels of an output pixel, aligned to eight
//   sums(a)                         sums over pixels, [images][tiles][outputs]

// Bytes from row to row of a matrix whose rows have so many elements of 16 bits: an odd number of vectors, so that
// eight rows lie in different banks.
TW_DEVICE constexpr int odd_pitch(int elements) { return (elements / 8 | 1) * 16; }

// How a block's matrices lie in shared memory. WarpsDown of the block's warps share the rows of the projection, the
// others its columns.
template <typename Block, int TileY, int TileX, int Warps, int WarpsDown, int Rows, int Stages>
struct ResidualTile {
  static constexpr int depth = round_up(Block::inputs, 16);
  static constexpr int taps = Block::taps_y * Block::taps_x;
  static constexpr int halo_y = (TileY - 1) * Block::stride_y + (Block::taps_y - 1) * Block::dilation_y + 1;
  static constexpr int halo_x = (TileX - 1) * Block::stride_x + (Block::taps_x - 1) * Block::dilation_x + 1;
  // Fragments of the projection: of 16 output pixels, and of eight channels.
  static constexpr int fragments_down = ceil_div(ceil_div(TileY * TileX, 16), WarpsDown);
  static constexpr int fragments_across =
      Block::projects ? ceil_div(ceil_div(Block::outputs, 8), Warps / WarpsDown) : 0;
  static constexpr int rows = fragments_down * WarpsDown * 16;
  static constexpr int columns = fragments_across * (Warps / WarpsDown) * 8;

  static constexpr int depth_pitch = odd_pitch(depth), chunk_pitch = odd_pitch(Block::chunk);
  // Of a row of sums in float32: eight banks further than the row before.
  static constexpr int sum_pitch = round_up(columns, 32) + 8;

  // A stage of the ring: the weights of a chunk, [chunk][depth] and [columns][chunk], the taps [taps][chunk] and the
  // biases [2][chunk] in float32; without an expansion, then the chunk of the input.
  static constexpr int project_at = Block::expands ? Block::chunk * depth_pitch : 0;
  static constexpr int taps_at = project_at + columns * chunk_pitch;
  static constexpr int biases_at = taps_at + taps * Block::chunk * 4;
  static constexpr int weight_bytes = biases_at + 2 * Block::chunk * 4;
  static constexpr int image_bytes = halo_y * halo_x * chunk_pitch;
  static constexpr int stage_bytes = weight_bytes + (Block::expands ? 0 : image_bytes);

  static constexpr int input_rows = Block::expands ? round_up(Block::pixels, 16 * Rows) : 0;
  static constexpr int input_at = round_up(input_rows * 2, 16);
  static constexpr int image_at = input_at + input_rows * depth_pitch;
  static constexpr int filtered_at = image_at + (Block::expands ? image_bytes : 0);
  static constexpr int ring_at = filtered_at + rows * chunk_pitch;
  static constexpr int working_bytes = ring_at + Stages * stage_bytes;
  static constexpr int sum_bytes = Block::projects ? TileY * TileX * sum_pitch * 4 : 0;
  static constexpr int shared_bytes = working_bytes > sum_bytes ? working_bytes : sum_bytes;
};

// The part of the image that a tile's windows meet: where it begins, also beyond the image's edges, and the pixels of
// it that exist, first and count along each axis.
struct MetPixels {
  i32 n, y, x, first_y, first_x;
  int count_y, count_x;
};

// Rows, Columns: fragments of 16 pixels and of eight channels that a warp expands at once. Run: neighbours along x that
// a thread convolves. Splits: blocks of a cluster that share the chunks of a tile.
template <typename Block, int TileY, int TileX, int Warps, int WarpsDown, int Rows, int Columns, int Run, int Stages,
          int Splits>
struct InvertedResidual {
  using T = typename Block::Element;
  using Tile = ResidualTile<Block, TileY, TileX, Warps, WarpsDown, Rows, Stages>;
  static constexpr int threads = Warps * warp_size;
  static constexpr int chunk = Block::chunk;
  static constexpr int down = Tile::fragments_down, across = Block::projects ? Tile::fragments_across : 1;
  using Sums = f32[down][across][4];
  static_assert(chunk % 16 == 0 && chunk / 8 % Columns == 0 && Columns % 2 == 0, "whole pairs of fragments");
  static_assert(Warps % WarpsDown == 0 && TileX % Run == 0, "even shares");

  TW_DEVICE static void copy_weights(const Arguments& a, u8* stage, int index) {
    const u8* const from = Block::weights(a) + static_cast<i64>(index) * Tile::weight_bytes;
    for (int i = threadIdx.x * 16; i < Tile::weight_bytes; i += threads * 16) cp_async_16(stage + i, from + i);
  }

  // Eight channels of a pixel, those that do not exist as zeros.
  TW_DEVICE static Vec<u32, 4> load_channels(const Arguments& a, i32 n, i32 y, i32 x, int channel) {
    Vec<u32, 4> words{};
    if (channel >= Block::inputs) return words;
    const T* const from = Block::pixel(a, n, y, x) + channel;
    if constexpr (Block::width == 8) {
      words = load_vec<4>(reinterpret_cast<const u32*>(from));
    } else {
      Vec<T, 8> values;
#pragma unroll
      for (int i = 0; i < 8; i += Block::width) {
        const auto some = load_vec<Block::width>(from + i);
#pragma unroll
        for (int k = 0; k < Block::width; ++k) values.v[i + k] = some.v[k];
      }
      words = bit_cast<Vec<u32, 4>>(values);
    }
    return words;
  }

  // A chunk of the input, with zeros around the image.
  TW_DEVICE static void copy_image(const Arguments& a, u8* image, const MetPixels& met, int index) {
    constexpr int vectors = chunk / 8, count = Tile::halo_y * Tile::halo_x * vectors;
    for (int i = threadIdx.x; i < count; i += threads) {
      const int place = i / vectors, channel = index * chunk + i % vectors * 8;
      const i32 y = met.y + place / Tile::halo_x, x = met.x + place % Tile::halo_x;
      u8* const to = image + place * Tile::chunk_pitch + i % vectors * 16;
      const bool has = static_cast<u32>(y) < static_cast<u32>(Block::in_y(a)) &&
                       static_cast<u32>(x) < static_cast<u32>(Block::in_x(a)) && channel < Block::inputs;
      if constexpr (Block::width == 8) {
        const void* const from = has ? static_cast<const void*>(Block::pixel(a, met.n, y, x) + channel)
                                     : static_cast<const void*>(Block::weights(a));
        cp_async_16(to, from, has ? 16 : 0);
      } else {
        store_vec(reinterpret_cast<u32*>(to), has ? load_channels(a, met.n, y, x, channel) : Vec<u32, 4>{});
      }
    }
  }

  // The input pixels that exist, one after another, and the places in the expanded image where they go.
  TW_DEVICE static void fetch_input(const Arguments& a, u8* input, const MetPixels& met) {
    constexpr int vectors = Tile::depth / 8, batch = 4;
    const int count = met.count_y * met.count_x * vectors;
    for (int first = threadIdx.x; first < count; first += batch * threads) {
      Vec<u32, 4> words[batch];
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const int i = first + b * threads, row = i / vectors;
        if (i < count)
          words[b] = load_channels(a, met.n, met.first_y + row / met.count_x, met.first_x + row % met.count_x,
                                   i % vectors * 8);
      }
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const int i = first + b * threads;
        if (i < count)
          store_vec(reinterpret_cast<u32*>(input + i / vectors * Tile::depth_pitch + i % vectors * 16), words[b]);
      }
    }
  }

  TW_DEVICE static void expand(const u8* input, u8* image, const u8* stage, const u16* places, int pixels) {
    constexpr int units_across = chunk / 8 / Columns;
    const int units = ceil_div(pixels, 16 * Rows) * units_across, lane = lane_index();
    const f32* const biases = reinterpret_cast<const f32*>(stage + Tile::biases_at);
#pragma unroll 1
    for (int unit = warp_index(); unit < units; unit += Warps) {
      const int row = unit / units_across * (16 * Rows), column = unit % units_across * (8 * Columns);
      const u8* const left_row = input + (row + lane % 16) * Tile::depth_pitch + lane / 16 * 16;
      const u8* const right_row = stage + (column + lane % 8 + lane / 16 * 8) * Tile::depth_pitch + lane / 8 % 2 * 16;
      f32 sums[Rows][Columns][4];
#pragma unroll
      for (int j = 0; j < Columns; ++j) {
        const auto bias = load_vec<2>(biases + column + j * 8 + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < Rows; ++i)
#pragma unroll
          for (int k = 0; k < 4; ++k) sums[i][j][k] = bias.v[k % 2];
      }
#pragma unroll(Tile::depth <= 64 ? Tile::depth / 16 : 2)
      for (int k = 0; k < Tile::depth / 16; ++k) {
        u32 left[Rows][4];
#pragma unroll
        for (int i = 0; i < Rows; ++i) ldmatrix_x4(left[i], left_row + i * 16 * Tile::depth_pitch + k * 32);
#pragma unroll
        for (int j = 0; j < Columns; j += 2) {
          u32 right[4];
          ldmatrix_x4(right, right_row + j * 8 * Tile::depth_pitch + k * 32);
#pragma unroll
          for (int i = 0; i < Rows; ++i) {
            mma_m16n8k16<T>(sums[i][j], left[i], {right[0], right[1]});
            mma_m16n8k16<T>(sums[i][j + 1], left[i], {right[2], right[3]});
          }
        }
      }
#pragma unroll
      for (int i = 0; i < Rows * 2; ++i) {
        const int pixel = row + i * 8 + lane / 4;
        if (pixel >= pixels) continue;
        u8* const to = image + places[pixel] * Tile::chunk_pitch + (column + lane % 4 * 2) * 2;
#pragma unroll
        for (int j = 0; j < Columns; ++j) {
          const f32 low = sums[i / 2][j][i % 2 * 2], high = sums[i / 2][j][i % 2 * 2 + 1];
          *reinterpret_cast<u32*>(to + j * 16) = pack2<T>(Block::expanded(low), Block::expanded(high));
        }
      }
    }
  }

  // Two channels of `Run` neighbours to a thread.
  TW_DEVICE static void filter(const u8* image, u8* filtered, const u8* stage) {
    constexpr int pairs = chunk / 2, strips = TileX / Run, items = pairs * TileY * strips;
    constexpr int span = (Run - 1) * Block::stride_x + (Block::taps_x - 1) * Block::dilation_x + 1;
    constexpr int rows_at_once = Block::taps_y <= 3 ? Block::taps_y : 1;
#pragma unroll 1
    for (int item = threadIdx.x; item < items; item += threads) {
      const int channel = item % pairs * 2, y = item / pairs / strips, x = item / pairs % strips * Run;
      const f32* const taps = reinterpret_cast<const f32*>(stage + Tile::taps_at) + channel;
      const auto bias = load_vec<2>(reinterpret_cast<const f32*>(stage + Tile::biases_at) + chunk + channel);
      const u8* const corner =
          image + (y * Block::stride_y * Tile::halo_x + x * Block::stride_x) * Tile::chunk_pitch + channel * 2;
      f32 sums[Run][2];
#pragma unroll
      for (int r = 0; r < Run; ++r) sums[r][0] = bias.v[0], sums[r][1] = bias.v[1];
#pragma unroll(rows_at_once)
      for (int ty = 0; ty < Block::taps_y; ++ty) {
        const u8* const row = corner + ty * Block::dilation_y * Tile::halo_x * Tile::chunk_pitch;
        Vec<f32, 2> tap[Block::taps_x];
#pragma unroll
        for (int tx = 0; tx < Block::taps_x; ++tx)
          tap[tx] = load_vec<2>(taps + (ty * Block::taps_x + tx) * chunk);
#pragma unroll
        for (int p = 0; p < span; ++p) {
          const u32 pixel = *reinterpret_cast<const u32*>(row + p * Tile::chunk_pitch);
          const f32 low = unpack_low<T>(pixel), high = unpack_high<T>(pixel);
#pragma unroll
          for (int tx = 0; tx < Block::taps_x; ++tx) {
            const int reach = p - tx * Block::dilation_x;
            if (reach < 0 || reach % Block::stride_x != 0 || reach / Block::stride_x >= Run) continue;
            sums[reach / Block::stride_x][0] += low * tap[tx].v[0];
            sums[reach / Block::stride_x][1] += high * tap[tx].v[1];
          }
        }
      }
      u8* const to = filtered + (y * TileX + x) * Tile::chunk_pitch + channel * 2;
#pragma unroll
      for (int r = 0; r < Run; ++r)
        *reinterpret_cast<u32*>(to + r * Tile::chunk_pitch) =
            pack2<T>(Block::filtered(sums[r][0]), Block::filtered(sums[r][1]));
    }
  }

  TW_DEVICE static void project(Sums& sums, const u8* filtered, const u8* stage) {
    const int lane = lane_index(), warp = warp_index();
    const int row = warp % WarpsDown * (down * 16), column = warp / WarpsDown * (across * 8);
    const u8* const left_row = filtered + (row + lane % 16) * Tile::chunk_pitch + lane / 16 * 16;
    const u8* const right_row = stage + Tile::project_at + (column + lane % 8) * Tile::chunk_pitch + lane / 8 % 2 * 16;
#pragma unroll
    for (int k = 0; k < chunk / 16; ++k) {
      u32 left[down][4];
#pragma unroll
      for (int i = 0; i < down; ++i) ldmatrix_x4(left[i], left_row + i * 16 * Tile::chunk_pitch + k * 32);
#pragma unroll
      for (int j = 0; j < across; j += 2) {
        u32 right[4];
        if (j + 1 < across) {
          ldmatrix_x4(right, right_row + (j + lane / 16) * 8 * Tile::chunk_pitch + k * 32);
        } else {
          u32 last[2];
          ldmatrix_x2(last, right_row + j * 8 * Tile::chunk_pitch + k * 32);
          right[0] = last[0], right[1] = last[1], right[2] = right[3] = 0;
        }
#pragma unroll
        for (int i = 0; i < down; ++i) {
          mma_m16n8k16<T>(sums[i][j], left[i], {right[0], right[1]});
          if (j + 1 < across) mma_m16n8k16<T>(sums[i][j + 1], left[i], {right[2], right[3]});
        }
      }
    }
  }

  TW_DEVICE static void keep(f32* to, const Sums& sums) {
    const int lane = lane_index(), warp = warp_index();
    const int row = warp % WarpsDown * (down * 16) + lane / 4;
    const int column = warp / WarpsDown * (across * 8) + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < down * 2; ++i) {
      if (row + i * 8 >= TileY * TileX) continue;
#pragma unroll
      for (int j = 0; j < across; ++j)
        store_vec(to + (row + i * 8) * Tile::sum_pitch + column + j * 8,
                  Vec<f32, 2>{{sums[i / 2][j][i % 2 * 2], sums[i / 2][j][i % 2 * 2 + 1]}});
    }
  }

  // A chunk of the result as it is, and its sums over the tile's pixels: a product with ones.
  TW_DEVICE static void store_chunk(const Arguments& a, const u8* filtered, i32 n, i32 tile_y, i32 tile_x, u32 slot,
                                    int index) {
    constexpr int vectors = chunk / 8, items = TileY * TileX * vectors;
    const i32 out_y = Block::out_y(a), out_x = Block::out_x(a);
    const auto has = [&](int pixel) {
      return pixel < TileY * TileX && tile_y + pixel / TileX < out_y && tile_x + pixel % TileX < out_x;
    };
    for (int item = threadIdx.x; item < items; item += threads) {
      const int pixel = item / vectors, channel = index * chunk + item % vectors * 8;
      if (channel >= Block::outputs || !has(pixel)) continue;
      T* const to = Block::result(a, n, tile_y + pixel / TileX, tile_x + pixel % TileX) + channel;
      store_vec(reinterpret_cast<u32*>(to),
                load_vec<4>(reinterpret_cast<const u32*>(filtered + pixel * Tile::chunk_pitch + item % vectors * 16)));
    }
    const int lane = lane_index();
    for (int vector = warp_index(); vector < vectors; vector += Warps) {
      f32 total[4]{};
#pragma unroll
      for (int k = 0; k < Tile::rows; k += 16) {
        u32 ones[2], values[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int pixel = k + i * 8 + lane % 4 * 2;
          ones[i] = pack2<T>(has(pixel) ? 1.0f : 0.0f, has(pixel + 1) ? 1.0f : 0.0f);
        }
        ldmatrix_x2_trans(values, filtered + (k + lane % 16) * Tile::chunk_pitch + vector * 16);
        mma_m16n8k16<T>(total, {ones[0], ones[0], ones[1], ones[1]}, values);
      }
      const int channel = index * chunk + vector * 8 + lane * 2;
      f32* const to = Block::sums(a) + static_cast<i64>(slot) * Block::outputs + channel;
      if (lane < 4 && channel < Block::outputs) store_vec(to, Vec<f32, 2>{{total[0], total[1]}});
    }
  }

  TW_DEVICE static void sync_splits() {
#if __CUDA_ARCH__ >= 900
    if constexpr (Splits > 1) {
      cluster_sync();
      return;
    }
#endif
    __syncthreads();
  }

  TW_DEVICE static const f32* sums_of(f32* sums, [[maybe_unused]] int split) {
#if __CUDA_ARCH__ >= 900
    if constexpr (Splits > 1) return cluster_pointer(sums, split);
#endif
    return sums;
  }

  // Adds the sums of all splits, in their order, and stores a share of the tile.
  TW_DEVICE static void store(const Arguments& a, f32* sums, i32 n, i32 tile_y, i32 tile_x, int split) {
    constexpr int vectors = Block::outputs / 8, items = TileY * TileX * vectors;
    constexpr int turns = ceil_div(items, threads * Splits), at_once = turns < 2 ? turns : 2;
    const i32 out_y = Block::out_y(a), out_x = Block::out_x(a);
    ChannelSides<typename Block::Result> sides[at_once];
    const auto row_of = [&](int item) {
      const i32 y = tile_y + item / vectors / TileX, x = tile_x + item / vectors % TileX;
      return item < items && y < out_y && x < out_x ? (n * out_y + y) * out_x + x : -1;
    };
    const auto item_of = [&](int turn) { return (turn * Splits + split) * threads + static_cast<int>(threadIdx.x); };
    const auto load = [&](int first) {
#pragma unroll
      for (int t = 0; t < at_once; ++t) {
        const int item = item_of(first + t);
        const i32 row = row_of(item);
        if (row >= 0) sides[t].load(a, row, item % vectors * 8);
      }
    };
    load(0);
    sync_splits();
#pragma unroll 1
    for (int first = 0; first < turns; first += at_once) {
      if (first > 0) load(first);
#pragma unroll
      for (int t = 0; t < at_once; ++t) {
        const int item = item_of(first + t);
        const i32 row = row_of(item);
        if (row < 0) continue;
        Vec<f32, 4> part[Splits][2];
#pragma unroll
        for (int s = 0; s < Splits; ++s) {
          const f32* const from = sums_of(sums, s) + item / vectors * Tile::sum_pitch + item % vectors * 8;
          part[s][0] = load_vec<4>(from), part[s][1] = load_vec<4>(from + 4);
        }
        Vec<f32, 8> total;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          total.v[i] = part[0][i / 4].v[i % 4];
#pragma unroll
          for (int s = 1; s < Splits; ++s) total.v[i] += part[s][i / 4].v[i % 4];
        }
        sides[t].store(a, row, item % vectors * 8, total);
      }
    }
    // Nobody leaves while another block reads its sums.
    if constexpr (Splits > 1) sync_splits();
  }

  TW_DEVICE static MetPixels met_by(const Arguments& a, i32 n, i32 tile_y, i32 tile_x) {
    const i32 y = tile_y * Block::stride_y - Block::pad_y(a), x = tile_x * Block::stride_x - Block::pad_x(a);
    const i32 first_y = y > 0 ? y : 0, first_x = x > 0 ? x : 0;
    const i32 end_y = y + Tile::halo_y < Block::in_y(a) ? y + Tile::halo_y : Block::in_y(a);
    const i32 end_x = x + Tile::halo_x < Block::in_x(a) ? x + Tile::halo_x : Block::in_x(a);
    return {n, y, x, first_y, first_x, end_y > first_y && end_x > first_x ? end_y - first_y : 0,
            end_x > first_x ? end_x - first_x : 0};
  }

  TW_DEVICE static void run(const Arguments& a) {
    TW_SHARED_BYTES(shared);
    u16* const places = reinterpret_cast<u16*>(shared);
    u8* const input = shared + Tile::input_at;
    u8* const image = shared + Tile::image_at;
    u8* const filtered = shared + Tile::filtered_at;
    u8* const ring = shared + Tile::ring_at;
    const u32 tiles_x = ceil_div(Block::out_x(a), TileX), tiles_y = ceil_div(Block::out_y(a), TileY);
    const int split = Splits == 1 ? 0 : static_cast<int>(blockIdx.x % Splits);
    const u32 at = blockIdx.x / Splits;
    const i32 tile_x = at % tiles_x * TileX, tile_y = at / tiles_x % tiles_y * TileY, n = at / tiles_x / tiles_y;
    constexpr int each = Block::chunks / Splits, more = Block::chunks % Splits;
    const int begin = split * each + (split < more ? split : more), count = each + (split < more ? 1 : 0);
    const MetPixels met = met_by(a, n, tile_y, tile_x);
    const int pixels = met.count_y * met.count_x;
    const auto stage_of = [&](int index) { return ring + index % Stages * Tile::stage_bytes; };
    const auto copy = [&](int index) {
      if (index < count) {
        copy_weights(a, stage_of(index), begin + index);
        if constexpr (!Block::expands) copy_image(a, stage_of(index) + Tile::weight_bytes, met, begin + index);
      }
      cp_async_commit();
    };

    // Nothing lies in the rows that fill the last fragment up, but sums read them.
    if constexpr (!Block::projects)
      for (int i = TileY * TileX * Tile::chunk_pitch + threadIdx.x * 16; i < Tile::rows * Tile::chunk_pitch;
           i += threads * 16)
        store_vec(reinterpret_cast<u32*>(filtered + i), Vec<u32, 4>{});
    if constexpr (!Block::expands) wait_for_predecessor();
    // Weights do not wait for the predecessor.
#pragma unroll
    for (int i = 0; i < Stages; ++i) copy(i);
    if constexpr (Block::expands) {
      for (int i = threadIdx.x * 16; i < Tile::image_bytes; i += threads * 16)
        store_vec(reinterpret_cast<u32*>(image + i), Vec<u32, 4>{});
      for (int i = threadIdx.x; i < pixels; i += threads)
        places[i] = static_cast<u16>((met.first_y - met.y + i / met.count_x) * Tile::halo_x + met.first_x - met.x +
                                     i % met.count_x);
      wait_for_predecessor();
      fetch_input(a, input, met);
    }
    let_successor_start();
    cp_async_wait<Stages - 1>();
    __syncthreads();

    [[maybe_unused]] Sums sums{};
    const auto finish = [&](int c) {
      if constexpr (Block::projects) project(sums, filtered, stage_of(c));
      else store_chunk(a, filtered, n, tile_y, tile_x, at, begin + c);
    };
#pragma unroll 1
    for (int c = 0; c < count; ++c) {
      u8* const stage = stage_of(c);
      if constexpr (Block::expands) expand(input, image, stage, places, pixels);
      if (c > 0) finish(c - 1);
      __syncthreads();
      // The stage before is free, and has been since the first chunk.
      if (c > 0) copy(c - 1 + Stages);
      filter(Block::expands ? image : stage + Tile::weight_bytes, filtered, stage);
      cp_async_wait<(Stages > 2 ? Stages - 2 : 0)>();
      __syncthreads();
    }
    finish(count - 1);
    if constexpr (Block::projects) {
      cp_async_wait<0>();
      __syncthreads();
      f32* const kept = reinterpret_cast<f32*>(shared);
      keep(kept, sums);
      store(a, kept, n, tile_y, tile_x, split);
    }
  }
};
