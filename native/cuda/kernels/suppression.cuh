// Boxes by falling score, without those that overlap a better one too much. Many lists at once, one to each class of each
// image: runs of a list are sorted, each in a block; its elements find their places among all runs; then blocks decide
// stretches of each list, stretch after stretch, against those that earlier ones keep. Needs sort.cuh.

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

template <typename Coordinate>
struct BoxWithArea {
  Box<Coordinate> box;
  f32 area;
};

// Whether intersection over union, as float32 divides, is above the threshold.
template <typename Coordinate>
TW_DEVICE bool overlap_more_than(f32 threshold, const BoxWithArea<Coordinate>& a, const BoxWithArea<Coordinate>& b) {
  const f32 height = static_cast<f32>(minimum(a.box.bottom, b.box.bottom) - maximum(a.box.top, b.box.top));
  const f32 width = static_cast<f32>(minimum(a.box.right, b.box.right) - maximum(a.box.left, b.box.left));
  if (height <= 0 || width <= 0 || a.area <= 0 || b.area <= 0) return 0 > threshold;
  const f32 common = __fmul_rn(height, width);
  const f32 either = __fsub_rn(__fadd_rn(a.area, b.area), common);
  // Far from the threshold a product tells as well, without the division.
  const f32 limit = __fmul_rn(threshold, either);
  if (limit > 1e-30f && limit < 1e30f && either > 0) {
    if (common > limit * 1.00001f) return true;
    if (common < limit * 0.99999f) return false;
  }
  return __fdiv_rn(common, either) > threshold;
}

// The best of the boxes from `first` to before `end` whose score counts, best first; gives how many they are. `items` is
// shared memory for `end - first` keys and up to the next power of two. All threads of the block take part.
template <int Threads, typename Score>
TW_DEVICE u32 sort_run(u64* items, u32 first, u32 end, const Score& score) {
  u32 size = 2, own = 0;
  while (size < end - first) size *= 2;
  for (u32 i = threadIdx.x; i < size; i += Threads) {
    f32 value;
    const bool counts = first + i < end && score(first + i, value);
    items[i] = counts ? ranked(~rising_key(value), first + i) : ~u64{0};
    own += counts;
  }
  sort_keys<Threads>(items, size);
  return block_reduce<Threads>(own, Sum());
}

// The place of element `at` of a list of keys that lie in sorted runs of `Run` places, with `counts[r]` keys in run r.
template <int Run>
TW_DEVICE u32 place_among_runs(const u64* keys, const u32* counts, u32 runs, u32 at) {
  const u64 key = keys[at];
  u32 place = at % Run;
  for (u32 r = 0; r < runs; ++r) {
    if (r == at / Run) continue;
    u32 low = 0, high = counts[r];
    while (low < high) {
      const u32 middle = (low + high) / 2;
      if (keys[r * Run + middle] < key) low = middle + 1;
      else high = middle;
    }
    place += low;
  }
  return place;
}

constexpr int stretch = 128;               // boxes that a block decides at a time
constexpr int stretch_words = stretch / 32;
constexpr int suppress_threads = 4 * stretch;

// What later stretches of a list wait for.
struct Decided {
  u32 kept[stretch_words];  // a bit per box
  u32 after;                // kept so far in the whole list, and one: zero until it is decided
  u32 unused[3];
};
// What non-max-suppression.ts gives room to, and launches.
static_assert(stretch == 128 && suppress_threads == 512 && sizeof(Decided) == 32, "as in non-max-suppression.ts");

// Waits until a stretch is decided; gives how many boxes the list keeps up to there. All threads of the block take part.
TW_DEVICE u32 wait_until_decided(const Decided* stretch) {
  __shared__ u32 found;
  if (threadIdx.x == 0) {
    const volatile u32& after = stretch->after;
    u32 seen;
    while ((seen = after) == 0) __nanosleep(20);
    __threadfence();
    found = seen - 1;
  }
  __syncthreads();
  const u32 kept = found;
  __syncthreads();  // before the next call writes it
  return kept;
}

// The first bits that are set, as many as wanted.
TW_DEVICE u32 first_bits(u32 bits, i64 wanted) {
  if (wanted >= __popc(bits)) return bits;
  u32 first = 0;
  for (; wanted > 0; --wanted) {
    first |= bits & -bits;
    bits &= bits - 1;
  }
  return first;
}

// One list, as all its blocks see it.
struct BoxList {
  const u32* order;     // its boxes, best first
  u32 count;            // of these
  i64 limit;            // at most so many are kept
  f32 threshold;
  Decided* stretches;
  i32* kept;            // what is kept, best first
  i64* number;          // of these; the block that decides the last stretch writes it
};

// Decides stretch `s`, after those before it. A block of `suppress_threads` threads; four look after each box, one to each
// word of bits. Returns whether later stretches have anything to decide.
template <typename Coordinate, typename GetBox>
TW_DEVICE bool decide_stretch(const BoxList& list, u32 s, const GetBox& box) {
  __shared__ BoxWithArea<Coordinate> others[stretch];
  __shared__ u32 within[stretch][stretch_words + 1];  // bits of better boxes of the stretch that overlap; padded
  __shared__ u32 alive[stretch_words], kept[stretch_words], others_kept[stretch_words];
  __shared__ bool known;
  const u32 first = s * stretch, count = minimum(list.count - minimum(first, list.count), u32{stretch});
  const u32 own = threadIdx.x % stretch, word = threadIdx.x / stretch;
  if (count == 0 || list.limit <= 0) {
    if (s == 0 && threadIdx.x == 0) *list.number = 0;
    return false;
  }
  const auto load = [&](u32 at) {
    const auto b = box(list.order[at]);
    return BoxWithArea<Coordinate>{b, b.area()};
  };
  BoxWithArea<Coordinate> mine{};
  if (own < count) mine = load(first + own);
  if (word == 0) others[own] = mine;
  if (threadIdx.x < stretch_words) {
    const u32 left = count - minimum(count, threadIdx.x * 32);
    alive[threadIdx.x] = left >= 32 ? ~0u : (1u << left) - 1;
  }
  __syncthreads();
  u32 hits = 0;
  const u32 better = own < count ? minimum(own - minimum(own, word * 32), 32u) : 0;
  for (u32 j = 0; j < better; ++j)
    if (overlap_more_than(list.threshold, mine, others[word * 32 + j])) hits |= 1u << j;
  within[own][word] = hits;

  u32 before = 0;
  for (u32 k = 0; k < s; ++k) {
    // Those not decided yet are compared as if all were kept, while their block decides.
    Decided* const earlier = list.stretches + k;
    __syncthreads();  // the others of the last turn have been read
    if (threadIdx.x == 0) known = static_cast<const volatile u32&>(earlier->after) != 0;
    __syncthreads();
    const bool decided = known;
    if (decided) before = wait_until_decided(earlier);
    if (decided && before >= list.limit) return false;
    if (threadIdx.x < stretch_words)
      others_kept[threadIdx.x] =
          decided ? static_cast<const volatile u32&>(earlier->kept[threadIdx.x]) : ~0u;  // earlier stretches are full
    __syncthreads();
    if (word == 0 && others_kept[own / 32] >> own % 32 & 1) others[own] = load(k * stretch + own);
    __syncthreads();
    hits = 0;
    if (alive[own / 32] >> own % 32 & 1) {
      for (u32 left = others_kept[word]; left; left &= left - 1) {
        const u32 j = __ffs(static_cast<i32>(left)) - 1;
        if (overlap_more_than(list.threshold, mine, others[word * 32 + j])) hits |= 1u << j;
        if (decided && hits) break;
      }
    }
    if (!decided) {
      before = wait_until_decided(earlier);
      if (before >= list.limit) return false;
      hits &= static_cast<const volatile u32&>(earlier->kept[word]);
    }
    __syncthreads();  // alive has been read
    if (hits) atomicAnd(&alive[own / 32], ~(1u << own % 32));
  }
  __syncthreads();

  if (warp_index() == 0) {
    u32 total = before;
    for (int g = 0; g < stretch_words; ++g) {
      const u32 at = g * 32 + lane_index();
      bool lives = alive[g] >> lane_index() & 1;
      for (int w = 0; w < g; ++w) lives = lives && !(within[at][w] & kept[w]);
      u32 pending = warp_ballot(lives), chosen = 0;
      const u32 rivals = within[at][g];
      while (pending) {
        if (!warp_ballot((pending >> lane_index() & 1) && (rivals & pending))) {
          chosen |= pending;
          break;
        }
        const int best = __ffs(static_cast<i32>(pending)) - 1;
        chosen |= 1u << best;
        pending &= ~(warp_ballot(rivals >> best & 1) | 1u << best);
      }
      chosen = first_bits(chosen, list.limit - total);
      if (lane_index() == 0) kept[g] = list.stretches[s].kept[g] = chosen;
      __syncwarp();
      total += __popc(chosen);
    }
    if (lane_index() == 0) {
      __threadfence();
      static_cast<volatile u32&>(list.stretches[s].after) = total + 1;
    }
  }
  __syncthreads();
  u32 total = before, place = before;
  for (int w = 0; w < stretch_words; ++w) {
    const u32 below = static_cast<u32>(w) < own / 32 ? ~0u : static_cast<u32>(w) > own / 32 ? 0 : (1u << own % 32) - 1;
    place += __popc(kept[w] & below);
    total += __popc(kept[w]);
  }
  if (word == 0 && kept[own / 32] >> own % 32 & 1) list.kept[place] = static_cast<i32>(list.order[first + own]);
  const bool more = total < list.limit && first + stretch < list.count;
  if (!more && threadIdx.x == 0) *list.number = total;
  return more;
}

// Takes a part of a list, some stretches in a row, whenever there is one left: parts are handed out in the order of their
// stretches, so that those which a block waits for have been taken before.
template <typename Coordinate, typename GetList, typename GetBox>
TW_DEVICE void suppress_all(u32* taken, u32 lists, u32 stretches, const GetList& list_at, const GetBox& box_of) {
  __shared__ u32 turn;
  const u32 share = maximum(lists * stretches / gridDim.x, 1u), parts = (stretches + share - 1) / share;
  for (;;) {
    __syncthreads();  // the last turn has been read
    if (threadIdx.x == 0) turn = atomicAdd(taken, 1u);
    __syncthreads();
    if (turn >= lists * parts) return;
    const u32 l = turn % lists, from = turn / lists * share;
    const BoxList list = list_at(l);
    const auto box = box_of(l);
    for (u32 s = from; s < minimum(from + share, stretches); ++s)
      if (!decide_stretch<Coordinate>(list, s, box)) break;
  }
}
