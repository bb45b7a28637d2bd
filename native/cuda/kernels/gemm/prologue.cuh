// Maps of the left operand's elements on their way from shared memory to the tensor cores. The generated text gives
//   none                      whether there are none; else
//   sides                     operands besides the left one: a row of depth for each image, or one for all of them
//   pixels                    rows of the product to an image; 0: all rows share their sides
//   Sources<List>             List of the sides' sources (copy.cuh): rows are images, elements have 16 bits
//   apply(x, side)            two neighbours along the depth, of the left operand and of every side

// The tiles of the sides, Images × Depth elements each, one after another behind the operands' tiles of a stage.
template <int Images, int Depth, int Threads, typename... Sources>
struct SideCopies {
  static constexpr int bytes = 0;
  TW_DEVICE SideCopies(const Arguments&, i32, i32) {}
  TW_DEVICE void start(u8*, i32) {}
  TW_DEVICE void finish(u8*) {}
};
template <int Images, int Depth, int Threads, typename Source, typename... Others>
struct SideCopies<Images, Depth, Threads, Source, Others...> {
  using Copy = TileCopy<Source, Images, Depth, Threads>;
  using Rest = SideCopies<Images, Depth, Threads, Others...>;
  static_assert(Copy::along_depth, "pairs along the depth");
  static constexpr int bytes = Copy::bytes + Rest::bytes;
  const Source source;
  Copy copy;
  Rest rest;

  TW_DEVICE SideCopies(const Arguments& a, i32 batch, i32 image) : source(a, batch), rest(a, batch, image) {
    copy.begin(source, image);
  }
  TW_DEVICE void start(u8* shared, i32 depth) {
    copy.start(source, shared, depth);
    rest.start(shared + Copy::bytes, depth);
  }
  TW_DEVICE void finish(u8* shared) {
    copy.finish(shared);
    rest.finish(shared + Copy::bytes);
  }
};

// A thread's fragments of the left operand: `Fragments` times 16 rows, and which image of the tile each row is of.
template <typename Prologue, int Rows, int Depth, int Threads, int Fragments, bool None = Prologue::none>
struct FragmentPrologue {
  static constexpr int bytes = 0;
  TW_DEVICE FragmentPrologue(const Arguments&, const BlockTile&, i32, int) {}
  TW_DEVICE void start(u8*, i32) {}
  TW_DEVICE void finish(u8*) {}
  TW_DEVICE void apply(u32 (&)[Fragments][4], const u8*, int) const {}
};
template <typename Prologue, int Rows, int Depth, int Threads, int Fragments>
struct FragmentPrologue<Prologue, Rows, Depth, Threads, Fragments, false> {
  static constexpr int pixels = Prologue::pixels;
  static constexpr int images = pixels == 0 ? 1 : (Rows + pixels - 2) / (pixels == 0 ? 1 : pixels) + 1;
  static constexpr int sides = Prologue::sides > 0 ? Prologue::sides : 1;
  static constexpr int row_bytes = Depth * 2, tile_bytes = images * row_bytes;
  template <typename... Sources>
  using List = SideCopies<images, Depth, Threads, Sources...>;
  using Copies = typename Prologue::template Sources<List>;
  static constexpr int bytes = Copies::bytes;
  Copies copies;
  int image[images > 1 ? Fragments : 1][2];
  bool same;  // whether all of the warp's rows are of one image

  TW_DEVICE static int image_of(i32 row) { return pixels == 0 ? 0 : row / (pixels == 0 ? 1 : pixels); }

  // `row` is the warp's first one within the tile.
  TW_DEVICE FragmentPrologue(const Arguments& a, const BlockTile& tile, i32 rows, int row)
      : copies(a, tile.batch, image_of(tile.row)), image{}, same(true) {
    if constexpr (images > 1) {
      const auto image_at = [&](int within) {
        const i32 at = tile.row + row + within;
        return image_of(at < rows ? at : rows - 1) - image_of(tile.row);
      };
#pragma unroll
      for (int i = 0; i < Fragments; ++i) {
#pragma unroll
        for (int half = 0; half < 2; ++half) image[i][half] = image_at(i * 16 + half * 8 + lane_index() / 4);
      }
      same = image_at(0) == image_at(Fragments * 16 - 1);
    }
  }

  TW_DEVICE void start(u8* shared, i32 depth) { copies.start(shared, depth); }
  TW_DEVICE void finish(u8* shared) { copies.finish(shared); }

  // The sides' pairs at half `half` of step `step`, as a fragment has them.
  TW_DEVICE static void read(u32 (&pair)[sides], const u8* shared, int image, int step, int half) {
    const int at = chunk_offset<row_bytes>(image, step * 2 + half) + lane_index() % 4 * 4;
#pragma unroll
    for (int s = 0; s < Prologue::sides; ++s) pair[s] = *reinterpret_cast<const u32*>(shared + s * tile_bytes + at);
  }

  TW_DEVICE void apply(u32 (&fragment)[Fragments][4], const u8* shared, int step) const {
    u32 pair[sides]{};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (same) {
        read(pair, shared, image[0][0], step, half);
#pragma unroll
        for (int i = 0; i < Fragments; ++i) {
#pragma unroll
          for (int low = 0; low < 2; ++low)
            fragment[i][half * 2 + low] = Prologue::apply(fragment[i][half * 2 + low], pair);
        }
      } else if constexpr (images > 1) {
#pragma unroll
        for (int i = 0; i < Fragments; ++i) {
#pragma unroll
          for (int low = 0; low < 2; ++low) {
            read(pair, shared, image[i][low], step, half);
            fragment[i][half * 2 + low] = Prologue::apply(fragment[i][half * 2 + low], pair);
          }
        }
      }
    }
  }
};
