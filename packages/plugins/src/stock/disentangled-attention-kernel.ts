/** The kernel of DisentangledAttention_TRT. */

import { vectorAccess } from './vector-access.js';

/**
 * A block makes 64 x 64 scores of one head. The distances of a tile are 127 different ones, whose places in the tables
 * are looked up first. Scores of positions to contents come by columns; they are turned in shared memory, so that all
 * global memory is read and written along rows.
 */
export const source: string = `${vectorAccess}
constexpr int tile = 64, threads = 256;

template <typename T, typename Result>
struct Scores {
  const T *contents, *to_positions, *from_positions;
  Result result;
  i32 length, places;
  float factor;
};

template <bool Aligned, int Width, typename T, typename Result>
TW_DEVICE void add_scores(const Scores<T, Result>& s, i64 head, i32 first_row, i32 first_column, const i32* place,
                          const T (*turned)[tile + 1]) {
  constexpr int lanes = tile / Width;
  const int column = static_cast<int>(threadIdx.x) % lanes * Width;
#pragma unroll 2
  for (int row = static_cast<int>(threadIdx.x) / lanes; row < tile; row += threads / lanes) {
    const i32 i = first_row + row, j = first_column + column;
    if (i >= s.length || j >= s.length) continue;
    const i64 at = (head * s.length + i) * s.length + j;
    const T* const positions = s.to_positions + (head * s.length + i) * s.places;
    const Vec<T, Width> contents = load_elements<Aligned, Width>(s.contents + at);
    Vec<float, Width> result;
#pragma unroll
    for (int v = 0; v < Width; ++v) {
      const float sum = convert<float>(contents[v]) + convert<float>(positions[place[row - column - v + tile - 1]]) +
                        convert<float>(turned[column + v][row]);
      result[v] = sum * s.factor;
    }
    s.result.store(at, result);
  }
}

// buckets[d] is the bucket of distance d, the last one that of all from there on.
template <typename T, typename Result>
__global__ void disentangled_attention(const T* contents, const T* to_positions, const T* from_positions, Result result,
                                       const i32* buckets, i32 last, i32 span, i32 length, float factor) {
  __shared__ i32 place[2 * tile - 1];
  __shared__ T turned[tile][tile + 1];
  const i32 tiles = ceil_div(length, tile);
  const i32 first_column = static_cast<i32>(blockIdx.x) % tiles * tile;
  const i32 first_row = static_cast<i32>(blockIdx.x) / tiles % tiles * tile;
  const i64 head = static_cast<i32>(blockIdx.x) / tiles / tiles;
  const Scores<T, Result> scores{contents, to_positions, from_positions, result, length, 2 * span, factor};
  if (threadIdx.x < 2 * tile - 1) {
    const i32 distance = first_row - first_column + static_cast<i32>(threadIdx.x) - (tile - 1);
    const i32 bucket = buckets[minimum(distance < 0 ? -distance : distance, last)];
    place[threadIdx.x] = minimum(maximum((distance < 0 ? -bucket : bucket) + span, 0), 2 * span - 1);
  }
  __syncthreads();
  const int row = static_cast<int>(threadIdx.x) % tile;
  if (first_row + row < length) {
#pragma unroll 4
    for (int column = static_cast<int>(threadIdx.x) / tile; column < tile; column += threads / tile)
      if (first_column + column < length)
        turned[column][row] = from_positions[(head * length + first_column + column) * scores.places +
                                             place[row - column + tile - 1]];
  }
  __syncthreads();
  constexpr int width = 16 / sizeof(T);
  if (length % width == 0 && is_aligned<width>(contents))
    add_scores<true, width>(scores, head, first_row, first_column, place, turned);
  else
    add_scores<false, 1>(scores, head, first_row, first_column, place, turned);
}
`;
