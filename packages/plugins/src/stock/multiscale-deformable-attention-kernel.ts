/** The kernel of MultiscaleDeformableAttnPlugin_TRT. */

import { vectorAccess } from './vector-access.js';

/**
 * A block takes `Rows` consecutive queries of one head, whose samples lie close together, and `Lanes` threads a query,
 * `Width` channels each. `Points` sampling points of every query at a time are first worked out by all threads together:
 * four pixels and their weights, which the threads of the query then only gather and add.
 */
export const source: string = `${vectorAccess}
// Four pixels of a sample, negative where they lie outside, then their weights.
using Corners = Vec<i32, 4>;
using Weights = Vec<float, 4>;

template <typename T>
TW_DEVICE void find_corners(Corners& corners, Weights& weights, float x, float y, float attention, i32 width,
                            i32 height, i32 start, i32 pixels) {
  corners = {{-1, -1, -1, -1}};
  weights = {};
  if (!(y > -1.0f && x > -1.0f && y < height && x < width)) return;
  const float low_x = floorf(x), low_y = floorf(y);
  const float right = x - low_x, down = y - low_y;
  const i32 column = static_cast<i32>(low_x), row = static_cast<i32>(low_y);
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    const i32 u = column + (corner & 1), v = row + (corner >> 1);
    const i64 pixel = start + static_cast<i64>(v) * width + u;
    // Shapes that do not fit the tensor must not lead out of it.
    const bool inside = u >= 0 && u < width && v >= 0 && v < height && pixel >= 0 && pixel < pixels;
    corners[corner] = inside ? static_cast<i32>(pixel) : -1;
    weights[corner] = attention * (corner & 1 ? right : 1.0f - right) * (corner >> 1 ? down : 1.0f - down);
  }
}

template <bool Aligned, typename T, typename I, int Width, int Lanes, int Rows, int Points, int Threads>
TW_DEVICE void attend(Vec<u32, 4>* samples, const T* value, const I* shapes, const I* starts, const T* locations,
                      const T* attention, T* output, i32 pixels, i32 queries, i32 heads, i32 channels, i32 levels,
                      i32 points) {
  const i32 tiles = ceil_div(queries, Rows);
  const i32 head = static_cast<i32>(blockIdx.x) % heads;
  const i32 tile = static_cast<i32>(blockIdx.x) / heads % tiles;
  const i64 batch = static_cast<i32>(blockIdx.x) / heads / tiles;
  const int thread = static_cast<int>(threadIdx.x), row = thread / Lanes, lane = thread % Lanes;
  const i32 first_query = tile * Rows, all = levels * points;
  const i64 stride = static_cast<i64>(heads) * channels;
  const T* const image = value + (batch * pixels * heads + head) * channels;
  for (i32 first_channel = 0; first_channel < channels; first_channel += Lanes * Width) {
    const i32 channel = first_channel + lane * Width;
    const bool works = row < Rows && first_query + row < queries && channel < channels;
    float sum[Width] = {};
    for (i32 first_point = 0; first_point < all; first_point += Points) {
      __syncthreads();
      for (int t = thread; t < Rows * Points; t += Threads) {
        const i32 query = first_query + t / Points, point = first_point + t % Points;
        Corners corners = {{-1, -1, -1, -1}};
        Weights weights = {};
        if (query < queries && point < all) {
          const i64 at = ((batch * queries + query) * heads + head) * all + point;
          const i32 level = point / points;
          const i32 height = static_cast<i32>(shapes[2 * level]), width = static_cast<i32>(shapes[2 * level + 1]);
          const Vec<T, 2> location = load_elements<Aligned, 2>(locations + 2 * at);
          find_corners<T>(corners, weights, convert<float>(location[0]) * width - 0.5f,
                          convert<float>(location[1]) * height - 0.5f, convert<float>(attention[at]), width, height,
                          static_cast<i32>(starts[level]), pixels);
        }
        // One vector more than a query needs: queries begin in different banks.
        Vec<u32, 4>* const sample = samples + t / Points * (2 * Points + 1) + t % Points * 2;
        sample[0] = bit_cast<Vec<u32, 4>>(corners);
        sample[1] = bit_cast<Vec<u32, 4>>(weights);
      }
      __syncthreads();
      if (works) {
        const Vec<u32, 4>* const own = samples + row * (2 * Points + 1);
#pragma unroll 2
        for (int p = 0; p < Points; ++p) {
          const Corners corners = bit_cast<Corners>(own[2 * p]);
          const Weights weights = bit_cast<Weights>(own[2 * p + 1]);
          Vec<T, Width> pixel[4];
#pragma unroll
          for (int corner = 0; corner < 4; ++corner) {
            pixel[corner] = {};
            if (corners[corner] >= 0)
              pixel[corner] = load_elements<Aligned, Width>(image + corners[corner] * stride + channel);
          }
#pragma unroll
          for (int corner = 0; corner < 4; ++corner)
#pragma unroll
            for (int v = 0; v < Width; ++v) sum[v] += weights[corner] * convert<float>(pixel[corner][v]);
        }
      }
    }
    if (works) {
      Vec<T, Width> result;
#pragma unroll
      for (int v = 0; v < Width; ++v) result[v] = convert<T>(sum[v]);
      const i64 at = ((batch * queries + first_query + row) * heads + head) * channels + channel;
      store_elements<Aligned, Width>(output + at, result);
    }
  }
}

template <typename T, typename I, int Width, int Lanes, int Rows, int Points, int Threads>
__global__ void multiscale_deformable_attention(const T* value, const I* shapes, const I* starts, const T* locations,
                                                const T* attention, T* output, i32 pixels, i32 queries, i32 heads,
                                                i32 channels, i32 levels, i32 points) {
  __shared__ Vec<u32, 4> samples[Rows * (2 * Points + 1)];
  if (is_aligned<Width>(value) && is_aligned<Width>(output) && is_aligned<2>(locations))
    attend<true, T, I, Width, Lanes, Rows, Points, Threads>(samples, value, shapes, starts, locations, attention,
                                                            output, pixels, queries, heads, channels, levels, points);
  else
    attend<false, T, I, Width, Lanes, Rows, Points, Threads>(samples, value, shapes, starts, locations, attention,
                                                             output, pixels, queries, heads, channels, levels, points);
}
`;
