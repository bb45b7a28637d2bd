// Boxes by falling score, without those that overlap a better one too much: one block to the boxes of one class in one
// image. Needs sort.cuh.

// Corners in order, or centre and extents; areas and overlaps are rounded after every operation, as float32 arithmetic
// without fused operations does.
template <typename Coordinate>
struct Box {
  Coordinate top, left, bottom, right;
  TW_DEVICE f32 area() const {
    return __fmul_rn(static_cast<f32>(bottom - top), static_cast<f32>(right - left));
  }
};

TW_DEVICE Box<f32> box_of_corners(f32 a, f32 b, f32 p, f32 q) {
  return {minimum(a, p), minimum(b, q), maximum(a, p), maximum(b, q)};
}

TW_DEVICE Box<f64> box_around_centre(f64 x, f64 y, f64 width, f64 height) {
  return {y - height / 2, x - width / 2, y + height / 2, x + width / 2};
}

// Intersection over union.
template <typename Coordinate>
TW_DEVICE f32 overlap(const Box<Coordinate>& a, const Box<Coordinate>& b) {
  const f32 height = static_cast<f32>(minimum(a.bottom, b.bottom) - maximum(a.top, b.top));
  const f32 width = static_cast<f32>(minimum(a.right, b.right) - maximum(a.left, b.left));
  const f32 area_a = a.area(), area_b = b.area();
  if (height <= 0 || width <= 0 || area_a <= 0 || area_b <= 0) return 0;
  const f32 common = __fmul_rn(height, width);
  return __fdiv_rn(common, __fsub_rn(__fadd_rn(area_a, area_b), common));
}

// Sorts the boxes whose score counts and lists the `limit` best that no better one suppresses; gives their number.
// `items` and `alive` have `size` elements, a power of two of at least `n`. All threads of the block take part.
template <int Threads, typename Score, typename GetBox>
TW_DEVICE i32 suppress(u64* items, u8* alive, u32 size, u32 n, i64 limit, f32 threshold, i32* list, Score score,
                       GetBox box) {
  __shared__ u32 candidates;
  if (threadIdx.x == 0) candidates = 0;
  __syncthreads();
  u32 own = 0;
  for (u32 i = threadIdx.x; i < size; i += Threads) {
    f32 value;
    const bool counts = i < n && score(i, value);
    items[i] = counts ? ranked(~rising_key(value), i) : ~u64{0};
    own += counts;
  }
  if (own) atomicAdd(&candidates, own);
  sort_keys<Threads>(items, size);
  const u32 m = candidates;
  for (u32 i = threadIdx.x; i < m; i += Threads) alive[i] = 1;  // each thread asks for its own alone
  i32 kept = 0;
  u32 best = m > 0 ? 0 : size;
  while (best < m && kept < limit) {
    const u32 index = index_of(items[best]);
    if (threadIdx.x == 0) list[kept] = static_cast<i32>(index);
    ++kept;
    const auto chosen = box(index);
    u32 next = size;
    // Those of this thread from the one after `best` on.
    const u32 ahead = (threadIdx.x + Threads - (best + 1) % Threads) % Threads;
    for (u32 i = best + 1 + ahead; i < m; i += Threads) {
      if (!alive[i]) continue;
      if (overlap(chosen, box(index_of(items[i]))) > threshold) alive[i] = 0;
      else if (next == size) next = i;
    }
    best = block_reduce<Threads>(next, Min());
  }
  __syncthreads();
  return kept;
}
