/** The kernels of EfficientNMS that decide on boxes; `source` of efficient-nms-kernel.ts explains them. */

/** Bytes of a box that is kept. */
export const keptBytes = 32;
/** Boxes that are decided on at a time. */
export const chunkSize = 256;
/** Bytes of shared memory behind the candidates' keys: of a chunk, without the boxes that are kept. */
export const chunkBytes: number = chunkSize * (32 + 16 + 4 + 4) + 192;

/** Goes after the selection and the candidates. */
export const suppression: string = `
constexpr int chunk = ${String(chunkSize)}, words = chunk / 32;

struct Kept {
  Vec<f32, 4> box;
  f32 area;
  i32 label;
};

template <int Capacity>
struct Candidates {
  u64 keys[Capacity];
  u32 mask[chunk * words];  // before that: the histogram of the selection
  Vec<f32, 4> box[chunk];
  f32 area[chunk];
  i32 label[chunk];
  u32 dropped[words], winners[words];
  u32 kept[2][words], pending[2][words];
};

// The keys of the best, in any order; their number, which is at most Capacity.
template <int Threads, bool Logits, int Capacity, typename T>
TW_DEVICE u32 gather_best(Candidates<Capacity>& shared, const Tally& tally, const T* scores, const u64* best,
                          const u64* edges, u32 size, const Filter& filter, u32 limit, u32 edge_limit) {
  static_assert(chunk * words == bins, "the histogram lies where the mask will");
  __shared__ u32 place;
  const u32 survivors = tally.survivors;
  if (survivors <= limit) {
    for (u32 i = threadIdx.x; i < survivors; i += Threads) shared.keys[i] = best[i];
    return survivors;
  }
  const Bin cut = find_bin<Threads>(tally.histogram, limit);
  for (u32 i = threadIdx.x; i < cut.before; i += Threads) shared.keys[i] = best[i];
  if (threadIdx.x == 0) place = cut.before;
  __syncthreads();
  const auto take_from = [&](const auto& each) {
    const u32 wanted = limit - cut.before;
    const u64 last = wanted == cut.count ? ~u64{0} : nth_key<Threads>(shared.mask, wanted, each);
    each([&](u64 key) {
      if (key <= last) shared.keys[atomicAdd(&place, 1u)] = key;
    });
  };
  if (cut.count <= edge_limit) {
    take_from([&](const auto& take) {
      for (u32 i = threadIdx.x; i < cut.count; i += Threads) take(edges[i]);
    });
  } else {
    take_from([&](const auto& take) {
      for (u32 i = threadIdx.x; i < size; i += Threads) {
        const f32 score = scores[i];
        if (filter.passes(score, i) && score_bin<Logits>(score) == cut.index) take(score_key(score, i));
      }
    });
  }
  return limit;
}

// Corners with the smaller coordinates first.
TW_DEVICE Vec<f32, 4> ordered(const Vec<f32, 4>& b) {
  return {{fminf(b[0], b[2]), fminf(b[1], b[3]), fmaxf(b[0], b[2]), fmaxf(b[1], b[3])}};
}

TW_DEVICE f32 area_of(const Vec<f32, 4>& b) { return (b[2] - b[0]) * (b[3] - b[1]); }

// Whether the intersection is at least \`threshold\`, which is positive, of the union.
TW_DEVICE bool overlap(const Vec<f32, 4>& a, f32 area_a, const Vec<f32, 4>& b, f32 area_b, f32 threshold) {
  const f32 width = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), height = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
  if (!(width > 0.0f && height > 0.0f)) return false;
  const f32 common = __fmul_rn(width, height);
  return common >= __fmul_rn(threshold, area_a + area_b - common);
}

template <typename T>
TW_DEVICE Vec<f32, 4> load_box(const T* boxes, i64 at) {
  const T* const from = boxes + 4 * at;
  return convert_vec<f32>(is_aligned<4>(boxes) ? load_vec<4>(from) : load_strided<4>(from, 1));
}

// A box as corners, moved by its anchor where there is one.
template <bool Centred, typename T>
TW_DEVICE Vec<f32, 4> decode_box(Vec<f32, 4> b, const T* anchors, i64 anchor) {
  if (anchors) {
    Vec<f32, 4> a = load_box(anchors, anchor);
    if constexpr (Centred) {
      b = {{b[0] * a[2] + a[0], b[1] * a[3] + a[1], a[2] * expf(b[2]), a[3] * expf(b[3])}};
    } else {
      a = ordered(a);
      b = ordered(b);
      b = {{b[0] + a[0], b[1] + a[1], b[2] + a[2], b[3] + a[3]}};
    }
  }
  if constexpr (!Centred) return b;
  else return {{b[0] - 0.5f * b[2], b[1] - 0.5f * b[3], b[0] + 0.5f * b[2], b[1] + 0.5f * b[3]}};
}

// Which of a chunk's \`here\` boxes are kept, in shared.winners. Called by its first \`chunk\` threads.
template <int Capacity>
TW_DEVICE void decide(Candidates<Capacity>& shared, u32 here) {
  const int own = threadIdx.x, word = own / 32;
  u32 rivals[words];
#pragma unroll
  for (int w = 0; w < words; ++w) rivals[w] = w <= word ? shared.mask[own * words + w] : 0;
  bool keep = false, pending = own < here && !(shared.dropped[word] >> (own % 32) & 1u);
  const auto publish = [&](int turn) {
    const u32 kept = warp_ballot(keep), open = warp_ballot(pending);
    if (lane_index() == 0) {
      shared.kept[turn][word] = kept;
      shared.pending[turn][word] = open;
    }
    named_barrier_sync(1, chunk);
  };
  int turn = 0;
  publish(turn);
  for (;;) {
    u32 beaten = 0, waits = 0, left = 0;
#pragma unroll
    for (int w = 0; w < words; ++w) {
      const u32 open = shared.pending[turn][w];
      beaten |= rivals[w] & shared.kept[turn][w];
      waits |= rivals[w] & open;
      left |= open;
    }
    if (left == 0) break;
    if (pending && (beaten || !waits)) {
      keep = !beaten;
      pending = false;
    }
    turn ^= 1;
    publish(turn);
  }
  const u32 kept = warp_ballot(keep);
  if (lane_index() == 0) shared.winners[word] = kept;
}

// What is done with the boxes that are kept.
template <int Most, bool Logits, typename T>
struct Detections {
  i32* counts;
  T *boxes, *scores;
  i32* classes;

  TW_DEVICE void put(u32 image, u32 rank, const Vec<f32, 4>& box, f32 score, u32, u32 label) const {
    const i64 row = static_cast<i64>(image) * Most + rank;
#pragma unroll
    for (int i = 0; i < 4; ++i) boxes[4 * row + i] = convert<T>(box[i]);
    scores[row] = convert<T>(Logits ? 1.0f / (1.0f + expf(-score)) : score);
    classes[row] = static_cast<i32>(label);
  }
  TW_DEVICE void finish(u32 image, u32 found, int threads) const {
    for (u32 i = found + threadIdx.x; i < Most; i += threads) {
      const i64 row = static_cast<i64>(image) * Most + i;
#pragma unroll
      for (int k = 0; k < 4; ++k) boxes[4 * row + k] = convert<T>(0.0f);
      scores[row] = convert<T>(0.0f);
      classes[row] = 0;
    }
    if (threadIdx.x == 0) counts[image] = static_cast<i32>(found);
  }
};

template <int Most>
struct Selected {
  u32* counts;
  u32* pairs;  // class and box

  TW_DEVICE void put(u32 image, u32 rank, const Vec<f32, 4>&, f32, u32 box, u32 label) const {
    u32* const pair = pairs + (static_cast<i64>(image) * Most + rank) * 2;
    pair[0] = label;
    pair[1] = box;
  }
  TW_DEVICE void finish(u32 image, u32 found, int) const {
    if (threadIdx.x == 0) counts[image] = found;
  }
};

template <int Threads, int Capacity, int Most, bool Logits, bool Centred, bool Agnostic, typename T, typename Output>
TW_DEVICE void suppress(const Output& output, const T* boxes, const T* scores, const T* anchors, const void* tallies,
                        const void* best, const void* edges, void* kept_scratch, u32 box_count, u32 box_classes,
                        u32 anchor_sets, const Filter& filter, f32 iou_threshold, u32 limit, u32 edge_limit) {
  TW_SHARED_BYTES(bytes);
  Candidates<Capacity>& shared = *reinterpret_cast<Candidates<Capacity>*>(bytes);
  const u32 image = blockIdx.x, size = box_count * filter.classes;
  constexpr int most_kept = Most < Capacity ? Most : Capacity;
  Kept* const kept = kept_scratch
                         ? static_cast<Kept*>(kept_scratch) + static_cast<i64>(image) * most_kept
                         : reinterpret_cast<Kept*>(bytes + sizeof(Candidates<Capacity>));
  const u32 count = gather_best<Threads, Logits>(
      shared, static_cast<const Tally*>(tallies)[image], scores + static_cast<i64>(image) * size,
      static_cast<const u64*>(best) + static_cast<i64>(image) * limit,
      static_cast<const u64*>(edges) + static_cast<i64>(image) * edge_limit, size, filter, limit, edge_limit);
  u32 padded = 2;
  while (padded < count) padded *= 2;
  for (u32 i = count + threadIdx.x; i < padded; i += Threads) shared.keys[i] = ~u64{0};
  sort_keys<Threads>(shared.keys, padded);

  const u32 own = threadIdx.x % chunk;
  u32 found = 0;
  for (u32 base = 0; base < count && found < Most; base += chunk) {
    const u32 here = min(count - base, static_cast<u32>(chunk));
    Vec<f32, 4> corners{};
    u32 index = 0, label = 0, box = 0;
    if (threadIdx.x < chunk) {
      if (own < here) {
        index = static_cast<u32>(shared.keys[base + own]);
        box = index / filter.classes;
        label = index - box * filter.classes;
        const i64 at = (static_cast<i64>(image) * box_count + box) * box_classes + (box_classes > 1 ? label : 0);
        const i64 anchor = static_cast<i64>(anchor_sets > 1 ? image : 0) * box_count + box;
        corners = decode_box<Centred>(load_box(boxes, at), anchors, anchor);
      }
      const Vec<f32, 4> candidate = ordered(corners);
      shared.box[own] = candidate;
      shared.area[own] = area_of(candidate);
      shared.label[own] = Agnostic ? 0 : static_cast<i32>(label);
    }
    if (threadIdx.x < words) shared.dropped[threadIdx.x] = 0;
    __syncthreads();
    {
      const Vec<f32, 4> candidate = shared.box[own];
      const f32 area = shared.area[own];
      const i32 of_class = shared.label[own];
      bool dropped = false;
      if (own < here)
        for (u32 k = threadIdx.x / chunk; k < found && !dropped; k += Threads / chunk)
          dropped = kept[k].label == of_class && overlap(candidate, area, kept[k].box, kept[k].area, iou_threshold);
      const u32 votes = warp_ballot(dropped);
      if (lane_index() == 0 && votes != 0) atomicOr(&shared.dropped[own / 32], votes);
    }
    __syncthreads();
    {
      // Lanes are the better boxes, a row is a box that they may overlap.
      const int word = warp_index() % words;
      const u32 rival = 32 * word + lane_index();
      const bool lives = rival < here && !(shared.dropped[word] >> lane_index() & 1u);
      const Vec<f32, 4> candidate = shared.box[rival];
      const f32 area = shared.area[rival];
      const i32 of_class = shared.label[rival];
      for (u32 row = 32 * word + warp_index() / words; row < here; row += Threads / (32 * words)) {
        if (shared.dropped[row / 32] >> (row % 32) & 1u) continue;
        const bool hit = lives && rival < row && shared.label[row] == of_class &&
                         overlap(candidate, area, shared.box[row], shared.area[row], iou_threshold);
        const u32 votes = warp_ballot(hit);
        if (lane_index() == 0) shared.mask[row * words + word] = votes;
      }
    }
    __syncthreads();
    if (threadIdx.x < chunk) decide(shared, here);
    __syncthreads();
    u32 before = 0, total = 0;
#pragma unroll
    for (int w = 0; w < words; ++w) {
      const u32 bits = shared.winners[w];
      total += __popc(bits);
      if (w < own / 32) before += __popc(bits);
      if (w == own / 32) before += __popc(bits & ((1u << (own % 32)) - 1));
    }
    const bool wins = threadIdx.x < chunk && (shared.winners[own / 32] >> (own % 32) & 1u);
    const u32 rank = found + before;
    if (wins && rank < Most) {
      kept[rank] = {shared.box[own], shared.area[own], shared.label[own]};
      const f32 score = scores[static_cast<i64>(image) * size + index];
      output.put(image, rank, corners, score, box, label);
    }
    found = min(found + total, static_cast<u32>(Most));
    __syncthreads();
  }
  output.finish(image, found, Threads);
}

template <int Threads, int Capacity, int Most, bool Logits, bool Centred, bool Agnostic, typename T>
__global__ void detect(const T* boxes, const T* scores, const T* anchors, i32* counts, T* out_boxes, T* out_scores,
                       i32* out_classes, void* tallies, void* best, void* edges, void* kept, u32 box_count,
                       u32 classes, u32 box_classes, u32 anchor_sets, i32 background, f32 threshold,
                       f32 iou_threshold, u32 limit, u32 edge_limit) {
  let_successor_start();
  const Detections<Most, Logits, T> output{counts, out_boxes, out_scores, out_classes};
  suppress<Threads, Capacity, Most, Logits, Centred, Agnostic>(
      output, boxes, scores, anchors, tallies, best, edges, kept, box_count, box_classes, anchor_sets,
      Filter{classes, background, threshold}, iou_threshold, limit, edge_limit);
}

template <int Threads, int Capacity, int Most, bool Centred, typename T>
__global__ void select_boxes(const T* boxes, const T* scores, void* counts, void* pairs, void* tallies, void* best,
                             void* edges, void* kept, u32 box_count, u32 classes, u32 box_classes, f32 threshold,
                             f32 iou_threshold, u32 limit, u32 edge_limit) {
  let_successor_start();
  const Selected<Most> output{static_cast<u32*>(counts), static_cast<u32*>(pairs)};
  suppress<Threads, Capacity, Most, false, Centred, false>(
      output, boxes, scores, static_cast<const T*>(nullptr), tallies, best, edges, kept, box_count, box_classes, 1,
      Filter{classes, -1, threshold}, iou_threshold, limit, edge_limit);
}

// The pairs of all images after each other, with the image in front; the last is repeated, -1 stands where there is none.
__global__ void list_selected(const void* counts, const void* pairs, i32* out, u32 images, u32 most) {
  const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= images * most) return;
  const u32* const found = static_cast<const u32*>(counts);
  i32 triple[3] = {-1, -1, -1};
  u32 start = 0;
  for (u32 image = 0; image < images && start <= row; ++image) {
    if (found[image] == 0) continue;
    const u32 rank = min(row - start, found[image] - 1);
    const u32* const pair = static_cast<const u32*>(pairs) + (static_cast<i64>(image) * most + rank) * 2;
    triple[0] = static_cast<i32>(image);
    triple[1] = static_cast<i32>(pair[0]);
    triple[2] = static_cast<i32>(pair[1]);
    start += found[image];
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) out[3 * row + i] = triple[i];
}
`;
