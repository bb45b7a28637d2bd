/** Writes new keys and values into the pages of caches. */

import { vectorAccess } from './vector-access.js';

export const pagedCacheSource: string = `${vectorAccess}
// A block for a token's keys or, by blockIdx.y, its values: runs of \`units\` times Unit bytes, which lie side by side in
// the cache's rows where \`runs\` is 1, and else in a row for each head.
template <int Unit>
__global__ void write_tokens(const void* key, const void* value, void* key_cache, void* value_cache,
                             const int* block_table, const int* past_lengths, const int* new_lengths, int length,
                             int runs, int units, i64 pages, i64 page_size, i64 columns) {
  const i64 sample = blockIdx.x / static_cast<u32>(length), place = blockIdx.x - sample * length;
  if (new_lengths && place >= new_lengths[sample]) return;
  const i64 position = past_lengths[sample] + place;
  if (position < 0 || position >= columns * page_size) return;
  const i64 column = position / page_size, slot = position - column * page_size;
  const i64 page = block_table[sample * columns + column];
  if (page < 0 || page >= pages) return;
  const u8* from = static_cast<const u8*>(blockIdx.y == 0 ? key : value);
  u8* to = static_cast<u8*>(blockIdx.y == 0 ? key_cache : value_cache);
  const bool aligned = is_aligned<Unit>(from) && is_aligned<Unit>(to);
  for (int i = static_cast<int>(threadIdx.x); i < runs * units; i += static_cast<int>(blockDim.x)) {
    const int run = i / units, unit = i - run * units;
    const i64 source = (((sample * runs + run) * length + place) * units + unit) * Unit;
    const i64 target = (((page * runs + run) * page_size + slot) * units + unit) * Unit;
    if (aligned) store_elements<true>(to + target, load_elements<true, Unit>(from + source));
    else store_elements<false>(to + target, load_elements<false, Unit>(from + source));
  }
}`;
