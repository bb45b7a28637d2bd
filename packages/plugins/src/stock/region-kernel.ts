/** Regions of feature maps brought to one size by bilinear samples: the kernel of ROIAlign_TRT and CropAndResizeDynamic. */

import { ceilDivDims, type Dim, dimBounds, mulDims, productOf } from '@tensorwright/core';
import type { KernelTensor, Launch, LaunchArgument } from '../plugin.js';
import { vectorAccess, widthOf } from './vector-access.js';

/** Results that a block computes: a few for each of its threads, which share what the block learns of the region. */
const leastResults = 1024;
/** Blocks that a grid may have in y. */
const mostBlocks = 65535;
const threads = 256;

/**
 * Samples lie on a grid, so a result is a sum over rows of sums over columns. A block lists first, for each row and each
 * column of the result, which pixels count how much: samples that share a pixel become one.
 *
 * A plugin's source goes after it: `sample_region<…>(axes of the region, its image, its result, …)`.
 */
export const regionSampling: string = `${vectorAccess}
// Samples along one axis: number s of result p lies at start + p · bin + (s + 0.5) · spacing.
struct Axis {
  f32 start, bin, spacing;
  i32 samples;      // of a result
  f32 least, most;  // outside of these a sample counts 0
  i32 extent;       // of the image

  TW_DEVICE f32 position(i32 place, i32 sample) const {
    return start + static_cast<f32>(place) * bin + (static_cast<f32>(sample) + 0.5f) * spacing;
  }
};

struct Tap {
  i32 at;
  f32 weight;
};

// The pixels on both sides of a sample.
TW_DEVICE void sides(const Axis& axis, i32 place, i32 sample, Tap& low, Tap& high) {
  const f32 position = axis.position(place, sample);
  low = high = {0, 0.0f};
  if (!(position >= axis.least && position <= axis.most)) return;
  const f32 inside = fmaxf(position, 0.0f);
  low.at = min(static_cast<i32>(inside), axis.extent - 1);
  high.at = min(low.at + 1, axis.extent - 1);
  high.weight = low.at < high.at ? inside - static_cast<f32>(low.at) : 0.0f;
  low.weight = 1.0f - high.weight;
}

// Pixels and weights for each result along an axis, in shared memory. The weights of the samples of a mean, which are
// \`share\` of it each, add up where they meet; of the largest, each counts by itself.
struct Listed {
  const Tap* list;
  const i32* counts;
  i32 stride;

  TW_DEVICE i32 count(i32 place) const { return counts[place]; }
  TW_DEVICE Tap operator()(i32 place, i32 i) const { return list[place * stride + i]; }
};

// The same, two for each sample, where they do not fit.
struct Unlisted {
  Axis axis;
  f32 share;

  TW_DEVICE i32 count(i32) const { return 2 * axis.samples; }
  TW_DEVICE Tap operator()(i32 place, i32 i) const {
    Tap low, high;
    sides(axis, place, i / 2, low, high);
    Tap tap = i % 2 == 0 ? low : high;
    tap.weight *= share;
    return tap;
  }
};

template <bool Max>
TW_DEVICE i32 taps_of_result(const Axis& axis) {
  // Ascending samples no farther apart than pixels meet pixels of the last two taps; those of a region that is turned
  // round would meet earlier ones.
  return !Max && axis.spacing >= 0.0f && axis.spacing <= 1.0f ? min(axis.samples + 2, 2 * axis.samples) : 2 * axis.samples;
}

template <bool Max>
TW_DEVICE f32 share_of(const Axis& axis) {
  return Max ? 1.0f : 1.0f / static_cast<f32>(max(axis.samples, 1));
}

// Lists the pixels of results \`thread\`, \`thread + threads\` …
template <bool Max>
TW_DEVICE void list_taps(const Axis& axis, Tap* list, i32* counts, i32 results, i32 thread, i32 threads) {
  const i32 stride = taps_of_result<Max>(axis);
  const f32 share = share_of<Max>(axis);
  for (i32 place = thread; place < results; place += threads) {
    Tap* const taps = list + place * stride;
    i32 count = 0;
    const auto add = [&](Tap tap) {
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
      Tap low, high;
      sides(axis, place, sample, low, high);
      add(low);
      add(high);
    }
    counts[place] = count;
  }
}

template <int Threads, int Results, int Width, bool Aligned, bool ChannelsLast, bool Max, int Height, int Columns,
          typename Index, typename Taps, typename T>
TW_DEVICE void sample_results(const Taps& rows, const Taps& columns, const T* image, T* result, i32 channels,
                              i32 height, i32 width) {
  constexpr i32 cells = Height * Columns;
  const i32 vectors = channels / Width;
  const i32 first = static_cast<i32>(blockIdx.y) * Results, end = min(first + Results, cells * vectors);
  // Elements from a pixel to the next, and from a channel to the next.
  const Index pixel = ChannelsLast ? channels : 1, plane = ChannelsLast ? 1 : static_cast<Index>(height) * width;
  for (i32 i = first + static_cast<i32>(threadIdx.x); i < end; i += Threads) {
    const i32 cell = ChannelsLast ? i / vectors : i % cells;
    const T* const from = image + (ChannelsLast ? i % vectors : i / cells) * Width * plane;
    const i32 row = cell / Columns, column = cell % Columns;
    const i32 down = rows.count(row), across = columns.count(column);
    Vec<f32, Width> sum;
#pragma unroll
    for (int v = 0; v < Width; ++v) sum[v] = Max && down > 0 && across > 0 ? lowest<f32>() : 0.0f;
    for (i32 y = 0; y < down; ++y) {
      const Tap vertical = rows(row, y);
      const T* const line = from + static_cast<Index>(vertical.at) * width * pixel;
      for (i32 x = 0; x < across; ++x) {
        const Tap horizontal = columns(column, x);
        const f32 weight = vertical.weight * horizontal.weight;
        const Vec<f32, Width> value =
            convert_vec<f32>(load_elements<Aligned, Width>(line + static_cast<Index>(horizontal.at) * pixel));
#pragma unroll
        for (int v = 0; v < Width; ++v) {
          // Not 0 · infinity.
          const f32 term = weight == 0.0f ? 0.0f : weight * value[v];
          if constexpr (Max) sum[v] = maximum(sum[v], term);
          else sum[v] += term;
        }
      }
    }
    store_elements<Aligned, Width>(result + static_cast<i64>(i) * Width, convert_vec<T>(sum));
  }
}

// Results blockIdx.y · Results and following of a region, by one block. Without samples they are 0.
template <int Threads, int Results, int Width, bool ChannelsLast, bool Max, int Height, int Columns, typename Index,
          typename T>
TW_DEVICE void sample_region(const Axis& vertical, const Axis& horizontal, const T* image, T* result, i32 channels) {
  constexpr int capacity = 512, half = Threads / 2;
  __shared__ Tap taps[2][capacity];
  __shared__ i32 counts[Height + Columns];
  const i32 height = vertical.extent, width = horizontal.extent;
  if (max(vertical.samples, horizontal.samples) > capacity || taps_of_result<Max>(vertical) * Height > capacity ||
      taps_of_result<Max>(horizontal) * Columns > capacity) {
    const Unlisted rows{vertical, share_of<Max>(vertical)}, columns{horizontal, share_of<Max>(horizontal)};
    sample_results<Threads, Results, Width, false, ChannelsLast, Max, Height, Columns, Index>(
        rows, columns, image, result, channels, height, width);
    return;
  }
  const i32 thread = static_cast<i32>(threadIdx.x);
  if (thread < half) list_taps<Max>(vertical, taps[0], counts, Height, thread, half);
  else list_taps<Max>(horizontal, taps[1], counts + Height, Columns, thread - half, half);
  __syncthreads();
  const Listed rows{taps[0], counts, taps_of_result<Max>(vertical)};
  const Listed columns{taps[1], counts + Height, taps_of_result<Max>(horizontal)};
  if (is_aligned<Width>(image) && is_aligned<Width>(result))
    sample_results<Threads, Results, Width, true, ChannelsLast, Max, Height, Columns, Index>(
        rows, columns, image, result, channels, height, width);
  else
    sample_results<Threads, Results, Width, false, ChannelsLast, Max, Height, Columns, Index>(
        rows, columns, image, result, channels, height, width);
}
`;

export interface RegionLaunch {
  /** A kernel whose template begins with Threads, Results, Width, ChannelsLast, Max, Height, Columns, Index. */
  readonly kernel: string;
  readonly image: KernelTensor;
  readonly regions: Dim;
  readonly height: number;
  readonly width: number;
  readonly isMax: boolean;
  readonly isChannelsLast: boolean;
  readonly arguments: readonly LaunchArgument[];
}

/** A launch with as many blocks in x as there are regions. */
export function regionLaunch(r: RegionLaunch): Launch {
  const channels = r.image.dims[1]!;
  const width = r.isChannelsLast ? widthOf(r.image.dtype, channels) : 1;
  const results = mulDims(ceilDivDims(channels, width), r.height * r.width);
  const index = dimBounds(productOf(r.image.dims.slice(1))).max < 2 ** 31 ? 'i32' : 'i64';
  const needed = typeof results === 'number' ? Math.ceil(results / mostBlocks) : 0;
  const blockResults = Math.max(leastResults, needed);
  const template = [threads, blockResults, width, r.isChannelsLast, r.isMax, r.height, r.width, index];
  return {
    kernel: `${r.kernel}<${template.join(', ')}>`,
    grid: [r.regions, ceilDivDims(results, blockResults)],
    block: threads,
    arguments: r.arguments,
  };
}
