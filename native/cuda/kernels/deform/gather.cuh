// Convolution whose taps are displaced and weighted by tensors of the network, on channels-last images. It is a product
// of sampled pixels and weights, whose left operand exists in shared memory only: while a step of the product runs, the
// next step's pixels are gathered, then interpolated and stored. A step is one tap and at most Depth channels that
// share their displacements; a block works out beforehand which four pixels such a tap reads for each of its output
// pixels. The generated text gives a type Deform:
//   Element, Accumulator                        f16 or bf16 with f32, or f32 with f32
//   Result, rows(a), columns(a), batches(a), splits, partial(a)
//                                               as of a contraction (gemm/blocks.cuh): rows are output pixels, columns
//                                               output channels of a group, batches are groups
//   width                                       channels of one load of the image, aligned
//   channels                                    of the image
//   taps_x, taps, stride_y, stride_x, dilation_y, dilation_x
//   chunks                                      steps of a tap. All taps of a chunk follow each other: they read much the
//                                               same pixels, which the first-level cache still has
//   in_y(a), in_x(a), out_y(a), out_x(a), pad_y(a), pad_x(a)
//   image(a)                                    pointer to the image, dense
//   table(a)                                    of each group and chunk: first channel, count, displacements' group, 0
//   weights(a)                                  [group][step][column][Depth]; of float32 [group][step][Depth][pitch]
//   pitch                                       columns rounded up to vectors
//   constant                                    whether the weights are there before the preceding kernel has ended; else
//                                               product.cuh's deform_pack makes them of those of the run:
//   filters                                     columns, as a constant
//   own_filters, own_channels                   of a group as the network has it
//   weight(a, output, channel, y, x)            a weight of the run
//   packed(a)                                   where they go
//   shift(a, n, at, y, x), scale(a, n, at, y, x)
//                                               displacement and weight of tap `at` of a group at an output pixel

struct DeformStep {
  i32 tap, channel, count, group;
};

template <typename Deform>
TW_DEVICE DeformStep deform_step(const Arguments& a, i32 batch, i32 step) {
  const Vec<i32, 4> chunk = load_vec<4>(Deform::table(a) + (batch * Deform::chunks + step / Deform::taps) * 4);
  return {step % Deform::taps, chunk[0], chunk[1], chunk[2]};
}

// An output pixel; its image is negative below the last one.
struct DeformPixel {
  i32 image, y, x;
};

template <typename Deform>
TW_DEVICE DeformPixel deform_pixel(const Arguments& a, i32 row) {
  const i32 line = row / Deform::out_x(a);
  const i32 image = row < Deform::rows(a) ? line / Deform::out_y(a) : -1;
  return {image, line % Deform::out_y(a), row - line * Deform::out_x(a)};
}

// A tap's displacement at an output pixel, and what it counts there.
struct DeformShift {
  f32 down, right, scale;
};

template <typename Deform>
TW_DEVICE DeformShift deform_shift(const Arguments& a, const DeformPixel& at, i32 group, i32 tap) {
  if (at.image < 0) return {};
  const i32 number = group * Deform::taps + tap;
  return {Deform::shift(a, at.image, 2 * number, at.y, at.x), Deform::shift(a, at.image, 2 * number + 1, at.y, at.x),
          Deform::scale(a, at.image, number, at.y, at.x)};
}

// The four pixels that a displaced tap reads, negative outside of the image, and what they count.
struct DeformPlace {
  Vec<i32, 4> pixels;
  Vec<f32, 4> weights;
};

template <typename Deform>
TW_DEVICE DeformPlace deform_place(const Arguments& a, const DeformPixel& at, i32 tap, const DeformShift& shift) {
  const i32 height = Deform::in_y(a), width = Deform::in_x(a);
  const f32 v = at.y * Deform::stride_y - Deform::pad_y(a) + tap / Deform::taps_x * Deform::dilation_y + shift.down;
  const f32 u = at.x * Deform::stride_x - Deform::pad_x(a) + tap % Deform::taps_x * Deform::dilation_x + shift.right;
  const bool inside = at.image >= 0 && v > -1.0f && u > -1.0f && v < height && u < width;
  const f32 low_v = inside ? floorf(v) : 0.0f, low_u = inside ? floorf(u) : 0.0f;
  const f32 below = v - low_v, beside = u - low_u;
  DeformPlace place;
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    const i32 i = static_cast<i32>(low_v) + (corner >> 1), j = static_cast<i32>(low_u) + (corner & 1);
    const bool exists = inside && i >= 0 && i < height && j >= 0 && j < width;
    place.pixels[corner] = exists ? (at.image * height + i) * width + j : -1;
    place.weights[corner] =
        exists ? shift.scale * (corner >> 1 ? below : 1.0f - below) * (corner & 1 ? beside : 1.0f - beside) : 0.0f;
  }
  return place;
}

// What a load of some bytes is kept as, until it has arrived: nothing that takes instructions.
template <int Bytes>
struct DeformWord {
  using Type = u32;
};
template <>
struct DeformWord<2> {
  using Type = u16;
};

// A thread's share of a step's pixels: chunks of 16 bytes of the operand's rows, gathered from four pixels each.
template <typename Deform, int Rows, int Depth, int Threads>
struct DeformGather {
  using T = typename Deform::Element;
  static constexpr int per_chunk = 16 / sizeof(T), across = Depth / per_chunk;
  static constexpr int slots = (Rows * across + Threads - 1) / Threads;
  static constexpr int width = Deform::width, pieces = per_chunk / width, bytes = width * sizeof(T);
  using Word = typename DeformWord<bytes>::Type;
  static constexpr int words = bytes / sizeof(Word);
  Vec<Word, words> gathered[slots][4][pieces];

  TW_DEVICE static int row_of(int slot) { return static_cast<int>(threadIdx.x + slot * Threads) / across; }
  TW_DEVICE static int chunk_of(int slot) { return static_cast<int>(threadIdx.x + slot * Threads) % across; }
  TW_DEVICE static bool has_slot(int slot) { return Rows * across % Threads == 0 || row_of(slot) < Rows; }

  TW_DEVICE void start(const Arguments& a, const DeformStep& step, const Vec<i32, 4>* places) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!has_slot(s)) continue;
      const Vec<i32, 4> place = places[row_of(s)];
      const i32 k = chunk_of(s) * per_chunk;
      const T* const chunk = Deform::image(a) + step.channel + k;
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        const T* const from = chunk + static_cast<i64>(place[corner]) * Deform::channels;
#pragma unroll
        for (int p = 0; p < pieces; ++p) {
          gathered[s][corner][p] = {};
          if (place[corner] >= 0 && k + p * width < step.count)
            gathered[s][corner][p] = load_vec<words>(reinterpret_cast<const Word*>(from + p * width));
        }
      }
    }
  }

  TW_DEVICE f32 element(int slot, int corner, int i) const {
    Word word = gathered[slot][corner][i / width][i % width * words / width];
    if constexpr (sizeof(T) == 4) {
      return bit_cast<f32>(word);
    } else if constexpr (width == 1) {
      return unpack_low<T>(word);
    } else {
#ifndef TW_EMULATOR
      // Else the compiler takes pairs apart where they are loaded, and they fill twice the registers.
      asm("" : "+r"(word));
#endif
      return i % 2 == 1 ? unpack_high<T>(word) : unpack_low<T>(word);
    }
  }

  // The interpolated elements of a slot.
  TW_DEVICE Vec<f32, per_chunk> finish(int slot, const Vec<f32, 4>* weights) const {
    const Vec<f32, 4> weight = weights[row_of(slot)];
    Vec<f32, per_chunk> sum;
#pragma unroll
    for (int i = 0; i < per_chunk; ++i) {
      sum[i] = weight[0] * element(slot, 0, i);
#pragma unroll
      for (int corner = 1; corner < 4; ++corner) sum[i] += weight[corner] * element(slot, corner, i);
    }
    return sum;
  }
};
