// Regions of images, each cut into a grid of bins: the mean, or the largest, of bilinear samples of each bin. Samples lie
// on a grid, so a bin is a sum over rows of sums over columns.

// Samples along one axis: number s of bin p lies at start + p * bin + (s + 0.5) * spacing.
struct RoiAxis {
  f32 start, bin, spacing;
  i32 samples;  // of a bin
  i32 extent;   // of the image
};

struct RoiTap {
  i32 at;
  f32 weight;
};

// Low and high are in pixels of the image. Of `ratio` 0 a bin has as many samples as it has pixels. What is not finite
// has no samples, nor has an image without pixels.
template <bool HalfPixel>
TW_DEVICE RoiAxis roi_axis(f32 low, f32 high, i32 bins, i32 ratio, i32 extent) {
  const f32 start = HalfPixel ? low - 0.5f : low, span = high - low;
  const f32 bin = (HalfPixel ? span : fmaxf(span, 1.0f)) / static_cast<f32>(bins);
  const f32 wanted = ratio > 0 ? static_cast<f32>(ratio) : ceilf(bin);
  const i32 samples = extent > 0 && wanted > 0.0f && wanted < 1e9f ? static_cast<i32>(wanted) : 0;
  return {start, bin, bin / static_cast<f32>(max(samples, 1)), samples, extent};
}

// The pixels on both sides of a sample; what is more than a pixel outside of the image weighs 0.
TW_DEVICE void roi_sides(const RoiAxis& axis, i32 place, i32 sample, RoiTap& low, RoiTap& high) {
  const f32 position = axis.start + static_cast<f32>(place) * axis.bin + (static_cast<f32>(sample) + 0.5f) * axis.spacing;
  low = high = {0, 0.0f};
  if (!(position >= -1.0f && position <= static_cast<f32>(axis.extent))) return;
  const f32 inside = fmaxf(position, 0.0f);
  low.at = min(static_cast<i32>(inside), axis.extent - 1);
  high.at = min(low.at + 1, axis.extent - 1);
  high.weight = low.at < high.at ? inside - static_cast<f32>(low.at) : 0.0f;
  low.weight = 1.0f - high.weight;
}

// One bin; pixel(row, column) reads an element.
template <bool Max, typename Sum, typename Pixel>
TW_DEVICE Sum roi_bin(const RoiAxis& vertical, const RoiAxis& horizontal, i32 row, i32 column, const Pixel& pixel) {
  if (vertical.samples == 0 || horizontal.samples == 0) return Sum(0);
  Sum sum = Max ? lowest<Sum>() : Sum(0);
  const auto add = [&](const RoiTap& y, const RoiTap& x) {
    const f32 weight = y.weight * x.weight;
    const Sum term = weight == 0.0f ? Sum(0) : Sum(weight) * pixel(y.at, x.at);  // not 0 * infinity
    if constexpr (Max) sum = maximum(sum, term);
    else sum += term;
  };
  for (i32 i = 0; i < vertical.samples; ++i) {
    RoiTap top, bottom;
    roi_sides(vertical, row, i, top, bottom);
    for (i32 j = 0; j < horizontal.samples; ++j) {
      RoiTap left, right;
      roi_sides(horizontal, column, j, left, right);
      add(top, left);
      add(top, right);
      add(bottom, left);
      add(bottom, right);
    }
  }
  return Max ? sum : sum / (static_cast<Sum>(vertical.samples) * static_cast<Sum>(horizontal.samples));
}

// Pixels and weights for each bin along an axis, in shared memory. The weights of the samples of a mean, which are
// `share` of it each, add up where they meet, and none is 0; of the largest, each counts by itself.
struct RoiListed {
  static constexpr bool weighs_nothing = false;
  const RoiTap* list;
  const i32* counts;
  i32 stride;

  TW_DEVICE i32 count(i32 place) const { return counts[place]; }
  TW_DEVICE RoiTap operator()(i32 place, i32 i) const { return list[place * stride + i]; }
};

// The same, two for each sample, where they do not fit.
struct RoiUnlisted {
  static constexpr bool weighs_nothing = true;
  RoiAxis axis;
  f32 share;

  TW_DEVICE i32 count(i32) const { return 2 * axis.samples; }
  TW_DEVICE RoiTap operator()(i32 place, i32 i) const {
    RoiTap low, high;
    roi_sides(axis, place, i / 2, low, high);
    RoiTap tap = i % 2 == 0 ? low : high;
    tap.weight *= share;
    return tap;
  }
};

template <bool Max>
TW_DEVICE i32 roi_taps(const RoiAxis& axis) {
  // Ascending samples no farther apart than pixels meet pixels of the last two taps; those of a region that is turned
  // round would meet earlier ones.
  const bool meets = !Max && axis.spacing >= 0.0f && axis.spacing <= 1.0f;
  return meets ? min(axis.samples + 2, 2 * axis.samples) : 2 * axis.samples;
}

template <bool Max>
TW_DEVICE f32 roi_share(const RoiAxis& axis) {
  return Max ? 1.0f : 1.0f / static_cast<f32>(max(axis.samples, 1));
}

// Lists the pixels of bins `thread`, `thread + threads` and so on.
template <bool Max>
TW_DEVICE void list_roi_taps(const RoiAxis& axis, RoiTap* list, i32* counts, i32 bins, i32 thread, i32 threads) {
  const i32 stride = roi_taps<Max>(axis);
  const f32 share = roi_share<Max>(axis);
  for (i32 place = thread; place < bins; place += threads) {
    RoiTap* const taps = list + place * stride;
    i32 count = 0;
    const auto add = [&](RoiTap tap) {
      tap.weight *= share;
      if constexpr (!Max) {
        if (tap.weight == 0.0f) return;
        for (i32 i = count - 1; i >= max(count - 2, 0); --i)
          if (taps[i].at == tap.at) {
            taps[i].weight += tap.weight;
            return;
          }
      }
      taps[count++] = tap;
    };
    for (i32 sample = 0; sample < axis.samples; ++sample) {
      RoiTap low, high;
      roi_sides(axis, place, sample, low, high);
      add(low);
      add(high);
    }
    counts[place] = count;
  }
}

// Images with their channels innermost, 32 x 32 elements a block of 256 threads: element(image, channel, pixel) reads
// them as they lie, blocks are numbered by image, then channels, then pixels.
template <typename T, typename Element>
TW_DEVICE void roi_channels_innermost(const Element& element, T* to, i64 pixels, i64 channels) {
  __shared__ T tile[32][sizeof(T) == 4 ? 33 : 34];
  const i64 across = (pixels + 31) / 32, down = (channels + 31) / 32, block = blockIdx.x;
  const i64 image = block / (across * down), first = block % across * 32, channel = block / across % down * 32;
  const i32 lane = static_cast<i32>(threadIdx.x) % 32, warp = static_cast<i32>(threadIdx.x) / 32;
#pragma unroll
  for (i32 i = warp; i < 32; i += 8)
    if (channel + i < channels && first + lane < pixels) tile[i][lane] = element(image, channel + i, first + lane);
  __syncthreads();
#pragma unroll
  for (i32 i = warp; i < 32; i += 8)
    if (first + i < pixels && channel + lane < channels)
      to[(image * pixels + first + i) * channels + channel + lane] = tile[lane][i];
}

// Of one region by one block: `Cells` of its bins from `first_cell` on, for `Vectors` * `Width` channels, whose pixels
// lie behind each other. Threads take `Width` channels of a bin at a time; results that go to planes are turned round in
// shared memory. `image` and `result` begin at the first channel, `channels` of which are left.
template <int Threads, int Width, int Vectors, int Cells, int Height, int Columns, bool Max, bool ChannelsLast,
          typename Index, typename Taps, typename T>
TW_DEVICE void sample_roi(const Taps& rows, const Taps& columns, const T* image, T* result, T* tile, i32 first_cell,
                          i32 width, i32 channels, i32 pitch) {
  constexpr i32 all = Height * Columns, line = Vectors * Width + 16 / static_cast<i32>(sizeof(T));
  const i32 cells = min(Cells, all - first_cell), thread = static_cast<i32>(threadIdx.x);
  for (i32 i = thread; i < cells * Vectors; i += Threads) {
    const i32 cell = i / Vectors, channel = i % Vectors * Width;
    if (channel >= channels) continue;
    const T* const from = image + channel;
    const i32 row = (first_cell + cell) / Columns, column = (first_cell + cell) % Columns;
    const i32 down = rows.count(row), across = columns.count(column);
    Vec<f32, Width> sum;
#pragma unroll
    for (int v = 0; v < Width; ++v) sum[v] = Max && down > 0 && across > 0 ? lowest<f32>() : 0.0f;
    for (i32 y = 0; y < down; ++y) {
      const RoiTap vertical = rows(row, y);
      const T* const pixels = from + static_cast<Index>(vertical.at) * width * pitch;
#pragma unroll(Taps::weighs_nothing ? 1 : 4)
      for (i32 x = 0; x < across; ++x) {
        const RoiTap horizontal = columns(column, x);
        const f32 weight = vertical.weight * horizontal.weight;
        // Not 0 * infinity.
        if constexpr (!Max && Taps::weighs_nothing) {
          if (weight == 0.0f) continue;
        }
        const Vec<f32, Width> value =
            convert_vec<f32>(load_vec<Width>(pixels + static_cast<Index>(horizontal.at) * pitch));
#pragma unroll
        for (int v = 0; v < Width; ++v) {
          if constexpr (Max) sum[v] = maximum(sum[v], weight == 0.0f ? 0.0f : weight * value[v]);
          else sum[v] += weight * value[v];
        }
      }
    }
    const Vec<T, Width> rounded = convert_vec<T>(sum);
    if constexpr (ChannelsLast) store_vec(result + static_cast<i64>(first_cell + cell) * pitch + channel, rounded);
    else store_vec(tile + cell * line + channel, rounded);
  }
  if constexpr (!ChannelsLast) {
    __syncthreads();
    const i32 count = min(channels, Vectors * Width) * cells;
    for (i32 i = thread; i < count; i += Threads) {
      const i32 channel = i / cells, cell = i % cells;
      result[static_cast<i64>(channel) * all + first_cell + cell] = tile[cell * line + channel];
    }
  }
}

// Blocks are numbered by region, then groups of bins, then groups of channels. The image of a region that is not there
// has no samples, and bins without samples are 0.
template <int Threads, int Width, int Vectors, int Cells, int Height, int Columns, bool Max, bool ChannelsLast,
          typename Index, typename T>
TW_DEVICE void align_roi(const RoiAxis& vertical, const RoiAxis& horizontal, const T* image, T* result, i32 group,
                         i32 channels) {
  constexpr i32 capacity = 256, half = Threads / 2, line = Vectors * Width + 16 / static_cast<i32>(sizeof(T));
  __shared__ RoiTap taps[2][capacity];
  __shared__ i32 counts[Height + Columns];
  __shared__ Vec<u8, 16> tile[ChannelsLast ? 1 : (Cells * line * static_cast<i32>(sizeof(T)) + 15) / 16];
  const i32 groups = (channels + Vectors * Width - 1) / (Vectors * Width);
  const i32 channel = group % groups * (Vectors * Width), cell = group / groups * Cells;
  const T* const from = image + channel;
  T* const to = ChannelsLast ? result + channel : result + static_cast<i64>(channel) * (Height * Columns);
  T* const scratch = reinterpret_cast<T*>(tile);
  const i32 width = horizontal.extent, left = channels - channel;
  if (max(vertical.samples, horizontal.samples) > capacity || roi_taps<Max>(vertical) * Height > capacity ||
      roi_taps<Max>(horizontal) * Columns > capacity) {
    const RoiUnlisted rows{vertical, roi_share<Max>(vertical)}, columns{horizontal, roi_share<Max>(horizontal)};
    sample_roi<Threads, Width, Vectors, Cells, Height, Columns, Max, ChannelsLast, Index>(
        rows, columns, from, to, scratch, cell, width, left, channels);
    return;
  }
  const i32 thread = static_cast<i32>(threadIdx.x);
  if (thread < half) list_roi_taps<Max>(vertical, taps[0], counts, Height, thread, half);
  else list_roi_taps<Max>(horizontal, taps[1], counts + Height, Columns, thread - half, half);
  __syncthreads();
  const RoiListed rows{taps[0], counts, roi_taps<Max>(vertical)};
  const RoiListed columns{taps[1], counts + Height, roi_taps<Max>(horizontal)};
  sample_roi<Threads, Width, Vectors, Cells, Height, Columns, Max, ChannelsLast, Index>(
      rows, columns, from, to, scratch, cell, width, left, channels);
}
