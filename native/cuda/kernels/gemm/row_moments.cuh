// Products of rows that are normalized (layer or RMS normalization) without a pass over them of their own. The product is
// of the rows as they are, with weights that the scale has gone into; sums of a row and of its squares come from the tiles
// that are multiplied anyway, and the normalization happens to the product: with a row's mean m and scale s,
//   (x - m) s W + b W  =  s (x W - m · 1 W) + b W
// `Contraction::Normalization` says what there is:
//   normalized            whether the rows are; if not, nothing else is there
//   centred               whether their mean is taken off
//   epsilon, extent(a)    as of the normalization; the length of a row
//   sums(a), shift(a)     of every column: 1 W, and b W; padded to whole tiles. nullptr: zero

// Sums of 16 rows over their depth, by the warp that has their products: by tensor cores, which take a sixth of the
// instructions. Rows times ones are their sums; times each other, the squares stand on the diagonal.
struct RowMoments {
  f32 sums[4] = {}, squares[2][4] = {};  // fragments of 16 × 8; squares of the first eight rows and of the last

  // Adds 128 bytes of 64 rows, swizzled, of which the warp has its 16.
  template <typename Element>
  TW_DEVICE void add(const u8* rows) {
    const u32 one = pack2<Element>(1.0f, 1.0f);
    const int lane = lane_index(), row = warp_index() % 4 * 16 + lane % 16;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      u32 x[4];
      ldmatrix_x4(x, rows + row * 128 + ((k * 2 + lane / 16) ^ (row % 8)) * 16);
      mma_m16n8k16<Element>(sums, x, {one, one});
      mma_m16n8k16<Element>(squares[0], x, {x[0], x[2]});
      mma_m16n8k16<Element>(squares[1], x, {x[1], x[3]});
    }
  }
};

// Of the two rows, eight apart, of which a thread holds products.
struct RowScales {
  f32 mean[2], scale[2];

  template <typename N>
  TW_DEVICE static RowScales of(const Arguments& a, const RowMoments& m) {
    const f32 share = 1.0f / static_cast<f32>(N::extent(a));
    const int row = lane_index() / 4, diagonal = row * 4 + row / 2;
    RowScales s;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const f32 even = shuffle(m.squares[half][2 * half], diagonal);
      const f32 odd = shuffle(m.squares[half][2 * half + 1], diagonal);
      s.mean[half] = N::centred ? m.sums[2 * half] * share : 0.0f;
      const f32 variance = (row % 2 == 0 ? even : odd) * share - s.mean[half] * s.mean[half];
      s.scale[half] = 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + N::epsilon);
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
