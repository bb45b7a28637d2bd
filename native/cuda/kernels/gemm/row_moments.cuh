// Products of rows that are normalized (layer or RMS normalization) without a pass over them of their own. The product is
// of the rows as they are, with weights that the scale has gone into; sums of a row and of its squares come from the tiles
// that are multiplied anyway, and the normalization happens to the product: with a row's mean m and scale s,
//   (x - m) s W + b W  =  s (x W - m · 1 W) + b W
// `Contraction::Normalization` says what there is:
//   normalized            whether the rows are; if not, nothing else is there
//   centred               whether their mean is taken off
//   epsilon, extent(a)    as of the normalization; the length of a row
//   sums(a), shift(a)     of every column: 1 W, and b W; padded to whole tiles. nullptr: zero

// Sums of a row of 64 over its depth, by two neighbouring threads of a warpgroup.
struct RowMoments {
  f32 sum = 0.0f, squares = 0.0f;

  // Adds 128 bytes of each row, swizzled.
  template <typename Element>
  TW_DEVICE void add(const u8* rows) {
    constexpr int width = 16 / static_cast<int>(sizeof(Element));
    const int thread = static_cast<int>(threadIdx.x) % 128, row = thread / 2;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int chunk = (thread % 2 * 4 + i) ^ (row % 8);
      const auto values = load_vec<width>(reinterpret_cast<const Element*>(rows + row * 128 + chunk * 16));
#pragma unroll
      for (int k = 0; k < width; ++k) {
        const f32 x = convert<f32>(values.v[k]);
        sum += x;
        squares += x * x;
      }
    }
  }
};

// Of the two rows, eight apart, of which a thread holds products.
struct RowScales {
  f32 mean[2], scale[2];

  template <typename N>
  TW_DEVICE static RowScales of(const Arguments& a, const RowMoments& m) {
    const f32 share = 1.0f / static_cast<f32>(N::extent(a));
    const f32 mean = N::centred ? (m.sum + shuffle_xor(m.sum, 1)) * share : 0.0f;
    const f32 square = (m.squares + shuffle_xor(m.squares, 1)) * share;
    const f32 variance = square - mean * mean;
    const f32 scale = 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + N::epsilon);
    RowScales s;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int from = lane_index() / 4 * 2 + half * 16;
      s.mean[half] = shuffle(mean, from);
      s.scale[half] = shuffle(scale, from);
    }
    return s;
  }
};

// A warpgroup's products in the packed order of columns (wgmma_result.cuh), from `column` on.
template <typename N, int Columns>
TW_DEVICE void normalize_products(const Arguments& a, const RowScales& rows, i32 column, f32 (&d)[Columns / 2]) {
  const f32* const sums = N::sums(a);
  const f32* const shift = N::shift(a);
#pragma unroll
  for (int g = 0; g < Columns / 32; ++g) {
    const i32 first = column + g * 32 + lane_index() % 4 * 8;
#pragma unroll
    for (int part = 0; part < 8; part += 4) {
      const auto less = N::centred ? load_vec<4>(sums + first + part) : Vec<f32, 4>{};
      const auto more = shift ? load_vec<4>(shift + first + part) : Vec<f32, 4>{};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int place = part + k;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          f32& sum = d[(g * 4 + place / 2) * 4 + half * 2 + place % 2];
          sum = rows.scale[half] * (sum - rows.mean[half] * less.v[k]) + more.v[k];
        }
      }
    }
  }
}
