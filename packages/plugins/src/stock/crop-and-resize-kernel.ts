/** CropAndResizeDynamic's kernels: of planes that a block keeps in shared memory, and of images as they lie. */

/**
 * A block of `crop_planes` takes some channels of an image into shared memory, side by side, and cuts its share of the
 * boxes out of them: what boxes have in common is read once. `crop_pixels` reads the image where it lies.
 */
export const source = `
// The pixels on both sides of a result along an axis, and how much they count; outside of the image, low is -1. Where a
// result lies on a pixel, that is both sides of it: no other one, which may be infinite, takes part.
struct alignas(16) Sides {
  i32 low, high;
  f32 near, far;
};

// Of the box [first, last] of the image, of whose results the first and the last lie on its ends: the last exactly, as a
// sum of steps may be rounded beyond the image.
TW_DEVICE Sides crop_sides(f32 first, f32 last, i32 place, i32 results, i32 extent) {
  const f32 end = static_cast<f32>(extent - 1);
  f32 position = results > 1 ? first * end + static_cast<f32>(place) * ((last - first) * end / static_cast<f32>(max(results - 1, 1)))
                             : 0.5f * (first + last) * end;
  // NaN stays: it is no place.
  if (results > 1 && place == results - 1 && position == position) position = last * end;
  if (!(position >= 0.0f && position <= end)) return {-1, -1, 0.0f, 0.0f};
  const i32 low = static_cast<i32>(position);
  const f32 rest = position - static_cast<f32>(low);
  if (rest == 0.0f) return {low, low, 0.5f, 0.5f};
  return {low, low + 1, 1.0f - rest, rest};
}

// Boxes and their sides: rows, then columns.
template <int Height, int Columns, typename R>
TW_DEVICE Sides side_of(const R* corners, i32 side, i32 height, i32 width) {
  return side < Height ? crop_sides(corners[0], corners[2], side, Height, height)
                       : crop_sides(corners[1], corners[3], side - Height, Columns, width);
}

// Blocks (channels, shares of the boxes, images); the tables of Batch boxes lie behind the planes.
template <int Threads, int Width, int Batch, int Height, int Columns, typename T, typename R>
__global__ void crop_planes(const T* x, const R* rois, T* y, i64 boxes, i32 channels, i32 height, i32 width) {
  constexpr i32 cells = Height * Columns, sides = Height + Columns;
  TW_SHARED_BYTES(shared);
  const i32 pixels = height * width, thread = static_cast<i32>(threadIdx.x);
  Sides* const tables = reinterpret_cast<Sides*>(shared);
  T* const planes = reinterpret_cast<T*>(tables + Batch * sides);
  const i32 channel = static_cast<i32>(blockIdx.x) * Width, count = min(Width, channels - channel);
  const i64 image = blockIdx.z;
  const T* const from = x + (image * channels + channel) * pixels;
  for (i32 i = thread; i < pixels; i += Threads) {
    Vec<T, Width> pixel;
#pragma unroll
    for (int v = 0; v < Width; ++v) pixel[v] = v < count ? from[static_cast<i64>(v) * pixels + i] : convert<T>(0.0f);
    store_vec(planes + i * Width, pixel);
  }
  let_successor_start();
  const i64 end = boxes * (blockIdx.y + 1) / gridDim.y;
  for (i64 box = boxes * blockIdx.y / gridDim.y; box < end; box += Batch) {
    const i32 batch = static_cast<i32>(min(static_cast<i64>(Batch), end - box));
    const R* const corners = rois + (image * boxes + box) * 4;
    __syncthreads();
    for (i32 i = thread; i < batch * sides; i += Threads)
      tables[i] = side_of<Height, Columns>(corners + i / sides * 4, i % sides, height, width);
    __syncthreads();
    for (i32 i = thread; i < batch * cells; i += Threads) {
      const i32 at = i / cells, cell = i % cells;
      const Sides row = tables[at * sides + cell / Columns], column = tables[at * sides + Height + cell % Columns];
      Vec<f32, Width> sum;
#pragma unroll
      for (int v = 0; v < Width; ++v) sum[v] = 0.0f;
      if (row.low >= 0 && column.low >= 0) {
        const auto add = [&](i32 down, i32 across, f32 weight) {
          const Vec<f32, Width> value = convert_vec<f32>(load_vec<Width>(planes + (down * width + across) * Width));
#pragma unroll
          for (int v = 0; v < Width; ++v) sum[v] += weight * value[v];
        };
        add(row.low, column.low, row.near * column.near);
        add(row.low, column.high, row.near * column.far);
        add(row.high, column.low, row.far * column.near);
        add(row.high, column.high, row.far * column.far);
      }
      T* const to = y + ((image * boxes + box + at) * channels + channel) * cells + cell;
#pragma unroll
      for (int v = 0; v < Width; ++v)
        if (v < count) to[v * cells] = convert<T>(sum[v]);
    }
  }
}

// Threads take Depth channels of a result each; so many blocks work on a box.
template <int Threads, int Depth, int Height, int Columns, typename T, typename R>
__global__ void crop_pixels(const T* x, const R* rois, T* y, i64 boxes, i32 channels, i32 height, i32 width,
                            i64 blocks) {
  constexpr i32 cells = Height * Columns;
  let_successor_start();
  const i64 box = blockIdx.x / blocks, pixels = static_cast<i64>(height) * width;
  const i32 i = static_cast<i32>(blockIdx.x % blocks) * Threads + static_cast<i32>(threadIdx.x);
  const i32 cell = i % cells, channel = i / cells * Depth;
  if (channel >= channels) return;
  const R* const corners = rois + 4 * box;
  const Sides row = side_of<Height, Columns>(corners, cell / Columns, height, width);
  const Sides column = side_of<Height, Columns>(corners, Height + cell % Columns, height, width);
  const bool inside = row.low >= 0 && column.low >= 0;
  const T* const from = x + (box / boxes * channels + channel) * pixels;
  T* const to = y + (box * channels + channel) * cells + cell;
#pragma unroll
  for (int v = 0; v < Depth; ++v) {
    if (channel + v >= channels) break;
    f32 sum = 0.0f;
    if (inside) {
      const auto pixel = [&](i32 down, i32 across) {
        return convert<f32>(from[v * pixels + static_cast<i64>(down) * width + across]);
      };
      sum = row.near * (column.near * pixel(row.low, column.low) + column.far * pixel(row.low, column.high)) +
            row.far * (column.near * pixel(row.high, column.low) + column.far * pixel(row.high, column.high));
    }
    to[v * cells] = convert<T>(sum);
  }
}`;
