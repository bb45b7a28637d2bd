// The positions of what a predicate picks out of a row, in order: counted block by block, the counts summed up, and the
// positions written; or all at once by the one block that a short row needs.

// How many threads before this one have the flag, and how many of the block do. All threads take part.
template <int Threads>
TW_DEVICE i32 flags_before(bool flag, i32& total) {
  __shared__ i32 counts[Threads / warp_size];
  const u32 votes = warp_ballot(flag);
  __syncthreads();
  if (lane_index() == 0) counts[warp_index()] = __popc(votes);
  __syncthreads();
  i32 before = __popc(votes & ((1u << lane_index()) - 1));
  total = 0;
#pragma unroll
  for (int w = 0; w < Threads / warp_size; ++w) {
    if (w < warp_index()) before += counts[w];
    total += counts[w];
  }
  return before;
}

// Writes the positions from `begin` to `end` that are picked to list[base …]; gives the place after the last one.
template <int Threads, typename Index, typename Pick>
TW_DEVICE Index list_picked(Index begin, Index end, Index base, Index* list, Pick pick) {
  for (Index first = begin; first < end; first += Threads) {
    const Index i = first + static_cast<Index>(threadIdx.x);
    const bool picked = i < end && pick(i);
    i32 total;
    const i32 before = flags_before<Threads>(picked, total);
    if (picked) list[base + before] = i;
    base += total;
  }
  return base;
}

// counts[block] = how many of its `Tile` positions are picked.
template <int Threads, int Tile, typename Index, typename Pick>
TW_DEVICE void count_picked(Index n, Index* counts, Pick pick) {
  const Index first = static_cast<Index>(blockIdx.x) * Tile;
  i32 own = 0;
  for (int k = threadIdx.x; k < Tile; k += Threads)
    if (first + k < n && pick(first + k)) ++own;
  const i32 all = block_reduce<Threads>(own, Sum());
  if (threadIdx.x == 0) counts[blockIdx.x] = all;
}

// Replaces counts by the sums of those before them; gives the sum of all. One block.
template <int Threads, typename Index>
TW_DEVICE Index sum_counts(Index blocks, Index* counts) {
  Index base = 0;
  for (Index first = 0; first < blocks; first += Threads) {
    const Index i = first + static_cast<Index>(threadIdx.x);
    Index total;
    const Index before = block_prefix<Threads>(i < blocks ? counts[i] : Index{0}, total);
    if (i < blocks) counts[i] = base + before;
    base += total;
  }
  return base;
}
