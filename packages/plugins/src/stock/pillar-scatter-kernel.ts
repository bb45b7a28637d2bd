/** The kernels of PillarScatterPlugin. */

import { scratchIntegers } from './scratch-memory.js';
import { vectorAccess } from './vector-access.js';

/**
 * First each cell learns its pillar, then every element of the image is written once: a thread takes `Width` cells in a
 * row, most of which are empty, and turns `Width` channels of their pillars at a time in registers.
 */
export const source: string = `${vectorAccess}${scratchIntegers}
// One more than the number of the last pillar that lies in a cell; 0: none.
__global__ void clear_cells(Integers pillars, i64 count) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) pillars[i] = 0;
}

__global__ void find_cells(const i32* coordinates, const i32* counts, Integers pillars, i64 all, i32 most, i32 height,
                           i32 width) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const i64 frame = i / most;
  const i32 pillar = static_cast<i32>(i - frame * most), y = coordinates[4 * i + 2], x = coordinates[4 * i + 3];
  if (pillar < counts[frame] && x >= 0 && x < width && y >= 0 && y < height)
    atomicMax(pillars + (frame * height + y) * width + x, pillar + 1);
}

template <bool Aligned, int Width, int Channels, typename T>
TW_DEVICE void fill_cells(const T* features, const i32* pillars, T* image, i64 first_cell, i32 cell, i32 cells,
                          i64 frame, i32 most, i32 channels, i32 first_channel) {
  const Vec<i32, Width> own = load_vec<Width>(pillars + first_cell + cell);
  bool empty = true;
#pragma unroll
  for (int k = 0; k < Width; ++k) empty = empty && own[k] == 0;
  const i32 end = minimum(first_channel + Channels, channels);
  for (i32 channel = first_channel; channel < end; channel += Width) {
    Vec<T, Width> pillar[Width];
#pragma unroll
    for (int k = 0; k < Width; ++k) {
      pillar[k] = {};
      if (!empty && own[k] != 0)
        pillar[k] = load_elements<Aligned, Width>(features + (frame * most + own[k] - 1) * channels + channel);
    }
#pragma unroll
    for (int c = 0; c < Width; ++c) {
      Vec<T, Width> plane;
#pragma unroll
      for (int k = 0; k < Width; ++k) plane[k] = pillar[k][c];
      store_elements<Aligned, Width>(image + (frame * channels + channel + c) * cells + cell, plane);
    }
  }
}

template <int Width, int Channels, typename T>
__global__ void scatter_pillars(const T* features, Integers pillars, T* image, i32 most, i32 channels, i32 cells) {
  const i32 tiles = ceil_div(cells, static_cast<i32>(blockDim.x) * Width);
  const i64 frame = static_cast<i32>(blockIdx.x) / tiles;
  const i32 tile = static_cast<i32>(blockIdx.x) % tiles, first_channel = static_cast<i32>(blockIdx.y) * Channels;
  const i32 cell = (tile * static_cast<i32>(blockDim.x) + static_cast<i32>(threadIdx.x)) * Width;
  if (cell >= cells) return;
  if (is_aligned<Width>(features) && is_aligned<Width>(image))
    fill_cells<true, Width, Channels>(features, pillars, image, frame * cells, cell, cells, frame, most, channels,
                                      first_channel);
  else
    fill_cells<false, Width, Channels>(features, pillars, image, frame * cells, cell, cells, frame, most, channels,
                                       first_channel);
}

// The same with channels last: a thread writes Width channels of a cell.
template <int Width, typename T>
__global__ void scatter_channels(const T* features, Integers pillars, T* image, i64 all, i32 most, i32 channels,
                                 i32 cells) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const i64 cell = i / (channels / Width), channel = i % (channels / Width) * Width;
  const i32 pillar = pillars[cell];
  const T* const from = features + (cell / cells * most + pillar - 1) * channels + channel;
  Vec<T, Width> values{};
  if (is_aligned<Width>(features)) {
    if (pillar != 0) values = load_elements<true, Width>(from);
  } else if (pillar != 0) {
    values = load_elements<false, Width>(from);
  }
  if (is_aligned<Width>(image)) store_elements<true, Width>(image + i * Width, values);
  else store_elements<false, Width>(image + i * Width, values);
}
`;
