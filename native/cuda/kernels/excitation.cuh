// Squeeze and excite: the mean of every channel of an image, a product of it with a few columns, and one as wide as the
// image again. A cluster of blocks to an image (a block where there are no clusters): each sums a share of the pixels,
// all read all sums from each other's shared memory, each computes a share of the hidden values, which all get, and
// of the channels. All in float32, in orders that the shape fixes. The generated text gives a type Excitation:
//   Weight
//   channels, hidden          how many there are
//   down_pitch                elements of a row of the first weights: channels, rounded up to whole copies
//   rows, slice               hidden values and channels of a block, both rounded up; slice to whole copies
//   staged                    whether the block's weights are held in shared memory: asked for ahead of the image
//   Image                     the image, or rows of sums in its place: Element, width (channels of one load),
//                             pixels(a), load(a, image, pixel, channel)
//   down(a, part), up(a, part)  the weights of a part: [rows][down_pitch], and [hidden][slice]
//   mean(a, sum), inner(a, j, sum), store(a, image, channel, sum)

TW_DEVICE constexpr int whole_copies(int bytes) { return (bytes + 15) / 16 * 16; }

// Adds `count` pixels of an image from `begin` on into shared[0 .. channels).
template <typename Image, int Channels, int Threads>
struct PixelSums {
  static constexpr int width = Image::width;
  static constexpr int vectors = Channels / width;
  static_assert(Channels % width == 0, "whole vectors");
  // Threads side by side along the channels; as many rows of them as there are share the pixels.
  static constexpr int across = vectors < Threads ? vectors : Threads;
  static constexpr int down = Threads / across;
  static constexpr int bytes = whole_copies(down * Channels * static_cast<int>(sizeof(f32)));

  TW_DEVICE static void add(const Arguments& a, f32* shared, i32 image, i32 begin, i32 count) {
    constexpr int unroll = 4;
    const int x = static_cast<int>(threadIdx.x) % across, y = static_cast<int>(threadIdx.x) / across;
    for (int v = x; v < vectors && y < down; v += across) {
      f32 sum[width]{};
      const auto take = [&](const Vec<typename Image::Element, width>& pixel) {
#pragma unroll
        for (int i = 0; i < width; ++i) sum[i] += convert<f32>(pixel.v[i]);
      };
      i32 p = y;
      for (; p + (unroll - 1) * down < count; p += unroll * down) {
        Vec<typename Image::Element, width> pixel[unroll];
#pragma unroll
        for (int u = 0; u < unroll; ++u) pixel[u] = Image::load(a, image, begin + p + u * down, v * width);
#pragma unroll
        for (int u = 0; u < unroll; ++u) take(pixel[u]);
      }
      for (; p < count; p += down) take(Image::load(a, image, begin + p, v * width));
#pragma unroll
      for (int i = 0; i < width; ++i) shared[y * Channels + v * width + i] = sum[i];
    }
    __syncthreads();
    for (int rows = down; rows > 1;) {
      const int half = (rows + 1) / 2;
      for (int i = threadIdx.x; i < (rows - half) * Channels; i += Threads) shared[i] += shared[i + half * Channels];
      __syncthreads();
      rows = half;
    }
  }
};

// The share `part` of `parts` in `count`: where it begins, and how many it has.
struct Share {
  i32 begin, count;
};
TW_DEVICE Share share_of(i32 count, int part, int parts) {
  const i32 each = count / parts, more = count - each * parts;
  return {part * each + (part < more ? part : more), each + (part < more ? 1 : 0)};
}

// Sums of a share of the pixels to scratch memory, [images][parts][channels]: blockIdx.x counts the rows of it.
template <typename Image, int Channels, int Parts, int Threads>
TW_DEVICE void sum_pixels(const Arguments& a, f32* to) {
  TW_SHARED_BYTES(bytes);
  f32* const shared = reinterpret_cast<f32*>(bytes);
  wait_for_predecessor();
  const Share share = share_of(Image::pixels(a), blockIdx.x % Parts, Parts);
  PixelSums<Image, Channels, Threads>::add(a, shared, blockIdx.x / Parts, share.begin, share.count);
  let_successor_start();
  f32* const row = to + static_cast<i64>(blockIdx.x) * Channels;
  for (int c = threadIdx.x; c < Channels; c += Threads) row[c] = shared[c];
}

template <int Parts>
TW_DEVICE void sync_parts() {
#if __CUDA_ARCH__ >= 900
  if constexpr (Parts > 1) {
    cluster_sync();
    return;
  }
#endif
  __syncthreads();
}

template <typename T, int Parts>
TW_DEVICE T* of_part(T* shared, int part) {
#if __CUDA_ARCH__ >= 900
  if constexpr (Parts > 1) return cluster_pointer(shared, part);
#endif
  return shared;
}

// Threads are a multiple of 32; blockIdx.x counts images and, innermost, the parts of each, which are a cluster.
template <typename Excitation, int Parts, int Threads>
struct Excite {
  using Weight = typename Excitation::Weight;
  using Image = typename Excitation::Image;
  static constexpr int channels = Excitation::channels, hidden = Excitation::hidden;
  static constexpr int rows = Excitation::rows, slice = Excitation::slice, pitch = Excitation::down_pitch;
  static constexpr int warps = Threads / warp_size;
  static constexpr int size = sizeof(Weight), per_copy = 16 / size;
  using Sums = PixelSums<Image, channels, Threads>;
  // Warps that share a hidden value's sum.
  TW_DEVICE static constexpr int sharing() {
    int n = 1;
    while (2 * n * rows <= warps) n *= 2;
    return n;
  }
  static constexpr int warps_deep = sharing();
  // Groups of threads that share a channel's sum: a thread has two channels and every groups-th hidden value.
  static constexpr int pairs = slice / 2;
  static constexpr int groups = pairs < Threads ? (Threads / pairs < hidden ? Threads / pairs : hidden) : 1;

  static constexpr int down_bytes = Excitation::staged ? whole_copies(rows * pitch * size) : 0;
  static constexpr int up_bytes = Excitation::staged ? whole_copies(hidden * slice * size) : 0;
  static constexpr int mean_at = Sums::bytes;
  static constexpr int hidden_at = mean_at + whole_copies(pitch * 4);
  static constexpr int parts_at = hidden_at + whole_copies(hidden * 4);
  static constexpr int sums_at = parts_at + whole_copies(warps * 4);
  static constexpr int down_at = sums_at + whole_copies(groups * slice * 4);
  static constexpr int up_at = down_at + down_bytes;
  static constexpr int shared_bytes = up_at + up_bytes;

  template <int Bytes>
  TW_DEVICE static void stage(u8* to, const Weight* from) {
    for (int i = threadIdx.x; i < Bytes / 16; i += Threads)
      cp_async_16(to + i * 16, reinterpret_cast<const u8*>(from) + i * 16);
  }

  TW_DEVICE static void run(const Arguments& a) {
    TW_SHARED_BYTES(shared);
    f32* const pixel_sums = reinterpret_cast<f32*>(shared);
    f32* const mean = reinterpret_cast<f32*>(shared + mean_at);
    f32* const inner = reinterpret_cast<f32*>(shared + hidden_at);
    const int part = Parts == 1 ? 0 : static_cast<int>(blockIdx.x % Parts);
    const i32 image = blockIdx.x / Parts;
    const Weight* down = Excitation::down(a, part);
    const Weight* up = Excitation::up(a, part);
    if constexpr (Excitation::staged) {
      stage<down_bytes>(shared + down_at, down);
      stage<up_bytes>(shared + up_at, up);
      cp_async_commit();
      down = reinterpret_cast<const Weight*>(shared + down_at);
      up = reinterpret_cast<const Weight*>(shared + up_at);
    }
    for (int c = channels + static_cast<int>(threadIdx.x); c < pitch; c += Threads) mean[c] = 0;
    wait_for_predecessor();
    const Share share = share_of(Image::pixels(a), part, Parts);
    Sums::add(a, pixel_sums, image, share.begin, share.count);
    let_successor_start();
    sync_parts<Parts>();
    for (int c = threadIdx.x; c < channels; c += Threads) {
      f32 some[Parts];
#pragma unroll
      for (int p = 0; p < Parts; ++p) some[p] = of_part<f32, Parts>(pixel_sums, p)[c];
      f32 sum = some[0];
#pragma unroll
      for (int p = 1; p < Parts; ++p) sum += some[p];
      mean[c] = Excitation::mean(a, sum);
    }
    cp_async_wait<0>();
    __syncthreads();
    squeeze(a, reinterpret_cast<f32*>(shared + parts_at), mean, inner, down, part);
    sync_parts<Parts>();
    expand(a, reinterpret_cast<f32*>(shared + sums_at), inner, up, image, part);
  }

  // The hidden values of this part, to all parts.
  TW_DEVICE static void squeeze(const Arguments& a, f32* partial, const f32* mean, f32* inner, const Weight* down,
                                int part) {
    constexpr int at_once = warps / warps_deep;
    for (int first = 0; first < rows; first += at_once) {
      const int row = first + warp_index() / warps_deep;
      f32 sum = 0;
      if (row < rows) {
        constexpr int step = warps_deep * warp_size * per_copy;
        for (int c = (warp_index() % warps_deep * warp_size + lane_index()) * per_copy; c < pitch; c += step) {
          const auto w = load_vec<per_copy>(down + row * pitch + c);
#pragma unroll
          for (int i = 0; i < per_copy; ++i) sum += convert<f32>(w.v[i]) * mean[c + i];
        }
      }
      sum = warp_reduce(sum, Sum());
      if (lane_index() == 0) partial[warp_index()] = sum;
      __syncthreads();
      const int mine = first + static_cast<int>(threadIdx.x);
      const int j = part * rows + mine;
      if (static_cast<int>(threadIdx.x) < at_once && mine < rows && j < hidden) {
        f32 total = partial[threadIdx.x * warps_deep];
#pragma unroll
        for (int w = 1; w < warps_deep; ++w) total += partial[threadIdx.x * warps_deep + w];
        const f32 value = Excitation::inner(a, j, total);
#pragma unroll
        for (int p = 0; p < Parts; ++p) of_part<f32, Parts>(inner, p)[j] = value;
      }
      __syncthreads();
    }
  }

  // The channels of this part.
  TW_DEVICE static void expand(const Arguments& a, f32* sums, const f32* inner, const Weight* up, i32 image, int part) {
    for (int i = threadIdx.x; i < pairs * groups; i += Threads) {
      const int pair = i % pairs, group = i / pairs;
      f32 sum[2]{};
#pragma unroll 8
      for (int j = group; j < hidden; j += groups) {
        const auto w = load_vec<2>(up + j * slice + pair * 2);
#pragma unroll
        for (int k = 0; k < 2; ++k) sum[k] += convert<f32>(w.v[k]) * inner[j];
      }
      store_vec(sums + group * slice + pair * 2, Vec<f32, 2>{{sum[0], sum[1]}});
    }
    __syncthreads();
    for (int c = threadIdx.x; c < slice; c += Threads) {
      const int channel = part * slice + c;
      if (channel >= channels) break;
      f32 sum = sums[c];
      for (int group = 1; group < groups; ++group) sum += sums[group * slice + c];
      Excitation::store(a, image, channel, sum);
    }
  }
};
