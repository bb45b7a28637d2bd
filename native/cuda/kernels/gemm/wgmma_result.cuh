// What becomes of a warpgroup's sums. A contraction here is a type as in blocks.cuh, but its rows are those of wgmma (the
// operand `Down`), its columns those of the operand `Across`, and it says besides:
//   swapped    the result's rows are our columns: store() takes them exchanged
//   permuted   columns come in the order of packed_column(): a thread's sums of 32 columns are 8 neighbours

// Which column of 32 the constant operand `Across` has at place `place`: thread t of four holds places 2t, 2t + 1 of each
// eight, which are columns 8t to 8t + 7. The packing of constants (TypeScript) does the same.
TW_DEVICE constexpr int packed_column(int place) { return place % 8 / 2 * 8 + place / 8 * 2 + place % 2; }

// Contraction::Result in our rows and columns.
template <typename Contraction, int W>
struct OrientedResult {
  using Result = typename Contraction::Result;
  using Sides = typename Result::template Sides<W>;

  TW_DEVICE static Sides load(const Arguments& a, i32 batch, i32 row, i32 column) {
    if constexpr (Contraction::swapped) return Result::template load<W>(a, batch, column, row);
    else return Result::template load<W>(a, batch, row, column);
  }
  template <typename T>
  TW_DEVICE static void store(const Arguments& a, i32 batch, i32 row, i32 column, const Vec<T, W>& sums,
                              const Sides& sides) {
    if constexpr (Contraction::swapped) Result::template store<W>(a, batch, column, row, sums, sides);
    else Result::template store<W>(a, batch, row, column, sums, sides);
  }
};

template <typename Contraction>
constexpr int result_width = Contraction::Result::width < 8 ? Contraction::Result::width : 8;

// Stores 64 × Columns sums of a warpgroup from registers: 8 neighbours of a row to a thread, 64 bytes or more of a row to
// four threads. What the results need besides the sums is loaded some pieces ahead, in up to `Registers` registers.
template <typename Contraction, int Columns, int Registers>
struct RegisterStore {
  static_assert(Contraction::permuted && !Contraction::swapped && Columns % 32 == 0, "columns in the packed order");
  using T = typename Contraction::Accumulator;
  static constexpr int width = result_width<Contraction>, parts = 8 / width;
  using Result = OrientedResult<Contraction, width>;
  // A piece is `width` sums of a thread: pieces of 32 columns and eight rows, then the other eight, then the next columns.
  static constexpr int pieces = Columns / 32 * 2 * parts;
  static constexpr int room = Registers * 4 / static_cast<int>(sizeof(typename Result::Sides));
  static constexpr int ahead = room < 1 ? 1 : room < pieces ? room : pieces;

  const Arguments& a;
  const BlockTile at;
  const i32 rows, columns;

  TW_DEVICE i32 row(int piece) const {
    return at.row + warp_index() % 4 * 16 + lane_index() / 4 + piece / parts % 2 * 8;
  }
  TW_DEVICE i32 column(int piece) const {
    return at.column + piece / (2 * parts) * 32 + lane_index() % 4 * 8 + piece % parts * width;
  }
  TW_DEVICE bool inside(int piece) const { return row(piece) < rows && column(piece) < columns; }

  TW_DEVICE void store(const T (&d)[Columns / 2]) const {
    typename Result::Sides sides[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i)
      if (inside(i)) sides[i] = Result::load(a, at.batch, row(i), column(i));
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      if (inside(i)) {
        const int half = i / parts % 2, part = i % parts;
        Vec<T, width> sums;
#pragma unroll
        for (int k = 0; k < width; ++k) {
          const int place = part * width + k;
          sums.v[k] = d[(i / (2 * parts) * 4 + place / 2) * 4 + half * 2 + place % 2];
        }
        Result::store(a, at.batch, row(i), column(i), sums, sides[i % ahead]);
      }
      const int next = i + ahead;
      if (next < pieces && inside(next)) sides[i % ahead] = Result::load(a, at.batch, row(next), column(next));
    }
  }
};

// A tile of sums in shared memory, lines of neighbours as the result has them.
template <typename Contraction, int Rows, int Columns>
struct SharedSums {
  using T = typename Contraction::Accumulator;
  static constexpr int lines = Contraction::swapped ? Columns : Rows;
  static constexpr int length = Contraction::swapped ? Rows : Columns;
  static constexpr int pitch = length + (Contraction::swapped ? 4 : 8);
  static constexpr int bytes = lines * pitch * static_cast<int>(sizeof(T));

  // 64 rows from `row` on, by their warpgroup.
  TW_DEVICE static void put(T* tile, int row, const T (&d)[Columns / 2]) {
    const int lane = lane_index();
    const int first = row + warp_index() % 4 * 16 + lane / 4;
#pragma unroll
    for (int j = 0; j < Columns / 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const T x = d[4 * j + 2 * half], y = d[4 * j + 2 * half + 1];
        const int r = first + 8 * half, c = 8 * j + lane % 4 * 2;
        if constexpr (Contraction::swapped) {
          tile[c * pitch + r] = x;
          tile[(c + 1) * pitch + r] = y;
        } else {
          const int to = Contraction::permuted ? c / 32 * 32 + packed_column(c % 32) : c;
          store_vec(tile + r * pitch + to, Vec<T, 2>{{x, y}});
        }
      }
    }
  }

  // Adds up the tiles of the blocks `first` and following of the cluster, in their order, each block a share of the lines,
  // and stores the result.
  template <int Splits>
  TW_DEVICE static void store(const Arguments& a, T* tile, const BlockTile& at, int split, int first, int thread,
                              int threads) {
    constexpr int width = result_width<Contraction>;
    using Result = OrientedResult<Contraction, width>;
    constexpr int load = width < 4 ? width : 4, across = length / width;
    const i32 rows = Contraction::rows(a), columns = Contraction::columns(a);
    for (int v = split * threads + thread; v < lines * across; v += Splits * threads) {
      const int line = v / across, along = v % across * width;
      const i32 row = at.row + (Contraction::swapped ? along : line);
      const i32 column = at.column + (Contraction::swapped ? line : along);
      if (row >= rows || column >= columns) continue;
      const auto sides = Result::load(a, at.batch, row, column);
      Vec<T, width> sums{};
#pragma unroll
      for (int s = 0; s < Splits; ++s) {
        const T* const part = (Splits > 1 ? cluster_pointer(tile, first + s) : tile) + line * pitch + along;
#pragma unroll
        for (int p = 0; p < width; p += load) {
          const auto some = load_vec<load>(part + p);
#pragma unroll
          for (int q = 0; q < load; ++q) sums.v[p + q] += some.v[q];
        }
      }
      Result::store(a, at.batch, row, column, sums, sides);
    }
  }
};
