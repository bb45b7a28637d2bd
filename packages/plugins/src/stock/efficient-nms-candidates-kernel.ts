/** The kernels that find the scores which EfficientNMS looks at; `source` of efficient-nms-kernel.ts explains them. */

export const candidates = `
struct Tally {
  u32 survivors, chosen, edge, unused;
  u32 histogram[bins];
};

// The bin of a score, best first. Probabilities: 128 bins for each power of two between 2^-14 and 4; logits: 64 for
// each unit between -16 and 16. What is beyond falls into the outermost.
template <bool Logits>
TW_DEVICE u32 score_bin(f32 score) {
  int bin;
  if constexpr (Logits) bin = static_cast<int>((fminf(fmaxf(score, -16.0f), 15.99f) + 16.0f) * 64.0f);
  else bin = (bit_cast<i32>(score) >> 16) - 0x3880;
  return static_cast<u32>(bins - 1 - min(max(bin, 0), bins - 1));
}

TW_DEVICE u64 score_key(f32 score, u32 index) { return ranked(~rising_key(score), index); }

// Which scores take part; NaN is none.
struct Filter {
  u32 classes;
  i32 background;
  f32 threshold;
  TW_DEVICE bool passes(f32 score, u32 index) const {
    return score >= threshold && (background < 0 || index % classes != static_cast<u32>(background));
  }
};

// The scores that a thread looks after: Loads vectors.
template <int Threads, int Width, int Loads, typename T>
struct ScoreTile {
  Vec<T, Width> scores[Loads];
  u32 first;

  TW_DEVICE ScoreTile(const T* of_image, u32 size) : first((blockIdx.x * Threads * Loads + threadIdx.x) * Width) {
    const bool aligned = is_aligned<Width>(of_image);
#pragma unroll
    for (int l = 0; l < Loads; ++l) {
      const u32 at = first + l * Threads * Width;
      if (at < size) scores[l] = aligned ? load_vec<Width>(of_image + at) : load_strided<Width>(of_image + at, 1);
      else scores[l] = nothing();
    }
  }
  // take(score, index) for each.
  template <typename Take>
  TW_DEVICE void each(const Take& take) const {
#pragma unroll
    for (int l = 0; l < Loads; ++l)
#pragma unroll
      for (int v = 0; v < Width; ++v) take(static_cast<f32>(scores[l][v]), first + l * Threads * Width + v);
  }
  TW_DEVICE static Vec<T, Width> nothing() {
    Vec<T, Width> result;
#pragma unroll
    for (int v = 0; v < Width; ++v) result[v] = convert<T>(bit_cast<f32>(0x7FC00000u));
    return result;
  }
};

__global__ void reset_tallies(void* tallies, u32 images) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  let_successor_start();
  if (i < images * (sizeof(Tally) / 4)) static_cast<u32*>(tallies)[i] = 0;
}

template <int Threads, int Width, int Loads, bool Logits, typename T>
__global__ void filter_scores(const T* scores, void* tallies, void* best, u32 size, u32 classes, i32 background,
                              f32 threshold, u32 limit) {
  __shared__ u32 histogram[bins];
  __shared__ u32 start;
  let_successor_start();
  const u32 image = blockIdx.y;
  Tally& tally = static_cast<Tally*>(tallies)[image];
  const Filter filter{classes, background, threshold};
  const ScoreTile<Threads, Width, Loads, T> tile(scores + static_cast<i64>(image) * size, size);
  u32 mine = 0, total;
  tile.each([&](f32 score, u32 index) { mine += filter.passes(score, index); });
  u32 place = block_prefix<Threads>(mine, total);
  if (total == 0) return;
  for (int i = threadIdx.x; i < bins; i += Threads) histogram[i] = 0;
  if (threadIdx.x == 0) start = atomicAdd(&tally.survivors, total);
  __syncthreads();
  place += start;
  u64* const list = static_cast<u64*>(best) + static_cast<i64>(image) * limit;
  if (mine > 0)
    tile.each([&](f32 score, u32 index) {
      if (!filter.passes(score, index)) return;
      atomicAdd(&histogram[score_bin<Logits>(score)], 1u);
      if (place < limit) list[place] = score_key(score, index);
      ++place;
    });
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += Threads)
    if (histogram[i] > 0) atomicAdd(&tally.histogram[i], histogram[i]);
}

template <int Threads, int Width, int Loads, bool Logits, typename T>
__global__ void collect_best(const T* scores, void* tallies, void* best, void* edges, u32 size, u32 classes,
                             i32 background, f32 threshold, u32 limit, u32 edge_limit) {
  __shared__ u32 starts[2];
  let_successor_start();
  const u32 image = blockIdx.y;
  Tally& tally = static_cast<Tally*>(tallies)[image];
  if (tally.survivors <= limit) return;
  const Bin cut = find_bin<Threads>(tally.histogram, limit);
  const Filter filter{classes, background, threshold};
  const ScoreTile<Threads, Width, Loads, T> tile(scores + static_cast<i64>(image) * size, size);
  // Better ones in the lower half, those of the last bin in the upper.
  u32 mine = 0, total;
  tile.each([&](f32 score, u32 index) {
    if (!filter.passes(score, index)) return;
    const u32 bin = score_bin<Logits>(score);
    mine += bin < cut.index ? 1u : bin == cut.index ? 1u << 16 : 0u;
  });
  const u32 before = block_prefix<Threads>(mine, total);
  if (total == 0) return;
  if (threadIdx.x == 0) starts[0] = atomicAdd(&tally.chosen, total & 0xFFFFu);
  if (threadIdx.x == 32) starts[1] = atomicAdd(&tally.edge, total >> 16);
  __syncthreads();
  u32 place = starts[0] + (before & 0xFFFFu), edge = starts[1] + (before >> 16);
  u64* const list = static_cast<u64*>(best) + static_cast<i64>(image) * limit;
  u64* const edge_list = static_cast<u64*>(edges) + static_cast<i64>(image) * edge_limit;
  if (mine > 0)
    tile.each([&](f32 score, u32 index) {
      if (!filter.passes(score, index)) return;
      const u32 bin = score_bin<Logits>(score);
      if (bin < cut.index) list[place++] = score_key(score, index);
      if (bin == cut.index && edge++ < edge_limit) edge_list[edge - 1] = score_key(score, index);
    });
}
`;
