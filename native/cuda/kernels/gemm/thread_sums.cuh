// Sums of threads in ordinary arithmetic: a thread has ThreadRows × ThreadColumns of a tile, as blocks of vectors that lie
// a whole row of threads apart.
template <typename Value, int Rows, int Columns, int ThreadRows, int ThreadColumns>
struct ThreadSums {
  static constexpr int widest = 16 / sizeof(Value);
  static constexpr int tall = widest < ThreadRows ? widest : ThreadRows;
  static constexpr int wide = widest < ThreadColumns ? widest : ThreadColumns;
  static constexpr int down = Rows / ThreadRows, across = Columns / ThreadColumns, threads = down * across;
  // Warps are 8 threads across and 4 down, where the tile is wide enough: fewer distinct vectors to read.
  static constexpr int warp_across = across < 8 ? across : 8, warps_across = across / warp_across;

  Value sum[ThreadRows][ThreadColumns]{};

  TW_DEVICE static int down_index() {
    return warp_index() / warps_across * (warp_size / warp_across) + lane_index() / warp_across;
  }
  TW_DEVICE static int across_index() { return warp_index() % warps_across * warp_across + lane_index() % warp_across; }
  // Of the thread's first row and column of a block, in the tile.
  TW_DEVICE static int row_of(int m) { return m / tall * tall * down + down_index() * tall + m % tall; }
  TW_DEVICE static int column_of(int n) { return n / wide * wide * across + across_index() * wide + n % wide; }

  TW_DEVICE void add(const Value (&x)[ThreadRows], const Value (&y)[ThreadColumns]) {
#pragma unroll
    for (int m = 0; m < ThreadRows; ++m) {
#pragma unroll
      for (int n = 0; n < ThreadColumns; ++n) sum[m][n] += x[m] * y[n];
    }
  }

  template <typename Result>
  TW_DEVICE void store(const Arguments& a, const BlockTile& tile, i32 rows, i32 columns) const {
    constexpr int width = Result::width < wide ? Result::width : wide;
#pragma unroll
    for (int m = 0; m < ThreadRows; ++m) {
      const i32 row = tile.row + row_of(m);
      if (row >= rows) continue;
      // All loads go before the first store, which they must not pass.
      typename Result::template Sides<width> sides[ThreadColumns / width];
#pragma unroll
      for (int n = 0; n < ThreadColumns; n += width) {
        const i32 column = tile.column + column_of(n);
        if (column < columns) sides[n / width] = Result::template load<width>(a, tile.batch, row, column);
      }
#pragma unroll
      for (int n = 0; n < ThreadColumns; n += width) {
        const i32 column = tile.column + column_of(n);
        if (column >= columns) continue;
        Vec<Value, width> part;
#pragma unroll
        for (int i = 0; i < width; ++i) part.v[i] = sum[m][n + i];
        Result::template store<width>(a, tile.batch, row, column, part, sides[n / width]);
      }
    }
  }
};
