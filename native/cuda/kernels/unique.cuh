// Equal elements of a row found by one block that sorts their positions. Needs sort.cuh and select.cuh.

// What find_unique() fills, each with room for one element more than the row has; `order` for twice as many and two.
struct UniqueMemory {
  u32* order;
  i32 *first, *starts, *inverse, *number;
};

// Numbers the different elements of a row of n: by their order, or by where each comes first. `first` and the length of
// the stretch from `starts` on in `order` tell their place and how many there are, `inverse` each element's number;
// `number` maps from numbers by order to those asked for. `compare(a, b)` orders two elements by their positions. Gives
// how many there are.
template <int Threads, typename Compare>
TW_DEVICE i32 find_unique(const UniqueMemory& memory, u32 n, bool by_order, Compare compare) {
  const auto [order, first, starts, inverse, number] = memory;
  u32 size = 2;
  while (size < n) size *= 2;
  for (u32 i = threadIdx.x; i < size; i += Threads) order[i] = i;
  // Positions beyond the row come last; equal elements stay in order.
  sort_keys<Threads>(order, size, threadIdx.x, [&](u32 a, u32 b) {
    if (a >= n || b >= n) return a < b;
    const int difference = compare(a, b);
    return difference < 0 || (difference == 0 && a < b);
  });
  i32 groups = 0;
  for (u32 base = 0; base < n; base += Threads) {
    const u32 p = base + threadIdx.x;
    const bool begins = p < n && (p == 0 || compare(order[p - 1], order[p]) != 0);
    i32 total;
    const i32 group = groups + flags_before<Threads>(begins, total) - (begins ? 0 : 1);
    if (begins) {
      first[group] = static_cast<i32>(order[p]);
      starts[group] = static_cast<i32>(p);
    }
    if (p < n) inverse[order[p]] = group;
    groups += total;
  }
  if (threadIdx.x == 0) starts[groups] = static_cast<i32>(n);
  __syncthreads();
  i32 seen = 0;
  for (u32 base = 0; base < n; base += Threads) {
    const u32 i = base + threadIdx.x;
    const bool leads = i < n && first[inverse[i]] == static_cast<i32>(i);
    i32 total;
    const i32 place = seen + flags_before<Threads>(leads, total);
    if (leads) number[inverse[i]] = by_order ? inverse[i] : place;
    seen += total;
  }
  __syncthreads();
  return groups;
}
