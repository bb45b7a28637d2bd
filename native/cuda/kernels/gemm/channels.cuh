// Eight channels of a result (Result of blocks.cuh), which may have to be stored in smaller vectors: what they need
// besides the sums is loaded first, for several results at once, and the stores follow. Of the eight, those from `count`
// on do not exist.
template <typename Result>
struct ChannelSides {
  static constexpr int part = Result::width < 8 ? Result::width : 8;
  typename Result::template Sides<part> of[8 / part];

  TW_DEVICE void load(const Arguments& a, i32 row, i32 column, int count = 8) {
#pragma unroll
    for (int i = 0; i < 8; i += part)
      if (i < count) of[i / part] = Result::template load<part>(a, 0, row, column + i);
  }
  // What was stored, widened, and zeros for what does not exist.
  TW_DEVICE Vec<f32, 8> store(const Arguments& a, i32 row, i32 column, const Vec<f32, 8>& sums, int count = 8) const {
    Vec<f32, 8> stored{};
#pragma unroll
    for (int i = 0; i < 8; i += part) {
      if (i >= count) break;
      Vec<f32, part> some;
#pragma unroll
      for (int k = 0; k < part; ++k) some.v[k] = sums.v[i + k];
      const auto values = Result::template store<part>(a, 0, row, column + i, some, of[i / part]);
#pragma unroll
      for (int k = 0; k < part; ++k) stored.v[i + k] = convert<f32>(values.v[k]);
    }
    return stored;
  }
};
