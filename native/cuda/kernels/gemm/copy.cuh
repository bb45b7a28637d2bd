// Tiles of operands on their way from global to shared memory.
//
// An operand is a source, a type made by the generated text. Its element at row r (of the operand: m or n) and depth k
// lies at data[offset(place(r), step(k))], where inside(place, step) holds; elsewhere it is zero (padding):
//   Element
//   width        elements of one copy: neighbours in memory, aligned to their size; 1: no neighbours are known
//   along_depth  whether those are neighbours along k, else along r
//   whole        whether no copy is cut short by the operand's end (it may reach into zeros put there for it)
//   constant     whether the operand may be read before the preceding kernel has ended
//   data, place(r), step(k), offset(place, step), inside(place, step), rows(), depth()
//   left(k)      elements along the depth from k on before the operand, or a run of it, ends; not positive: none

template <int Bytes>
TW_DEVICE void copy_async(void* shared, const void* global, int valid_bytes) {
  if constexpr (Bytes == 16) cp_async_16(shared, global, valid_bytes);
  else cp_async_small<Bytes>(shared, global, valid_bytes);
}

// One thread's share in copying tiles of Rows × Depth elements. `start` begins a copy, `finish` ends it, as far as the
// thread itself has to: asynchronous copies are waited for by group.
template <typename Source, int Rows, int Depth, int Threads>
struct TileCopy {
  using T = typename Source::Element;
  static constexpr int size = sizeof(T);
  static constexpr int copy_bytes = Source::width * size < 16 ? Source::width * size : 16;
  static constexpr int width = copy_bytes / size;
  static constexpr bool async = copy_bytes >= 4;
  // How the tile lies in shared memory: rows of depth, or, transposed, of operand rows, which ldmatrix turns where
  // elements have 16 bits.
  static constexpr bool along_depth = Source::along_depth || !async || Source::width == 1;
  static_assert(along_depth || size == 2, "only elements of 16 bits are turned");
  static constexpr int row_bytes = (along_depth ? Depth : Rows) * size;
  static constexpr int tile_rows = along_depth ? Rows : Depth;
  static constexpr int chunks = row_bytes / 16;
  static constexpr int per_chunk = 16 / size;
  static constexpr int slots = (tile_rows * chunks + Threads - 1) / Threads;
  static constexpr bool exact = tile_rows * chunks % Threads == 0;
  static constexpr int bytes = Rows * Depth * size;
  // Neighbouring threads take neighbouring rows where a gathered operand is dense that way.
  static constexpr bool rows_first = !async && !Source::along_depth;
  static constexpr int places = along_depth ? slots : 1;

  typename Source::Place place[places];
  Vec<T, per_chunk> staged[async ? 1 : slots];
  i32 first_row;

  TW_DEVICE static int slot_row(int slot) {
    const int at = threadIdx.x + slot * Threads;
    return rows_first ? at % Rows : at / chunks;
  }
  TW_DEVICE static int slot_chunk(int slot) {
    return rows_first ? static_cast<int>(threadIdx.x + slot * Threads) / Rows : threadIdx.x % chunks;
  }
  TW_DEVICE static bool has_slot(int slot) {
    return exact || static_cast<int>(threadIdx.x) + slot * Threads < tile_rows * chunks;
  }

  // Rows beyond the operand repeat its last one: what they add up to is never stored.
  TW_DEVICE void begin(const Source& source, i32 row) {
    static_assert(rows_first || Threads % chunks == 0, "a thread keeps its chunk");
    first_row = row;
    if constexpr (along_depth) {
#pragma unroll
      for (int s = 0; s < slots; ++s) place[s] = source.place(clamped(source, row + slot_row(s)));
    } else {
      place[0] = source.place(clamped(source, row + slot_chunk(0) * per_chunk));
    }
  }

  TW_DEVICE static i32 clamped(const Source& source, i32 row) {
    const i32 last = source.rows() - 1;
    return row < last ? row : last;
  }

  TW_DEVICE void start(const Source& source, u8* shared, i32 depth) {
    if constexpr (!async) gather(source, depth);
    else if constexpr (along_depth) copy_along_depth(source, shared, depth);
    else copy_along_rows(source, shared, depth);
  }

  TW_DEVICE void finish(u8* shared) {
    if constexpr (!async) {
#pragma unroll
      for (int s = 0; s < slots; ++s)
        if (has_slot(s))
          store_vec(reinterpret_cast<T*>(shared + chunk_offset<row_bytes>(slot_row(s), slot_chunk(s))), staged[s]);
    }
  }

  TW_DEVICE static int valid_bytes(i32 left) {
    return left >= width || (Source::whole && left > 0) ? copy_bytes : left > 0 ? static_cast<int>(left) * size : 0;
  }

  TW_DEVICE void copy_along_depth(const Source& source, u8* shared, i32 depth) {
    const int chunk = slot_chunk(0);
#pragma unroll
    for (int piece = 0; piece < 16 / copy_bytes; ++piece) {
      const i32 k = depth + chunk * per_chunk + piece * width;
      const auto step = source.step(k);
      const int valid = valid_bytes(source.left(k));
#pragma unroll
      for (int s = 0; s < slots; ++s) {
        if (!has_slot(s)) continue;
        copy_async<copy_bytes>(shared + chunk_offset<row_bytes>(slot_row(s), chunk) + piece * copy_bytes,
                               source.data + source.offset(place[s], step), source.inside(place[s], step) ? valid : 0);
      }
    }
  }

  TW_DEVICE void copy_along_rows(const Source& source, u8* shared, i32 depth) {
    const int chunk = slot_chunk(0);
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!has_slot(s)) continue;
      const i32 k = depth + slot_row(s);
      const auto step = source.step(k);
#pragma unroll
      for (int piece = 0; piece < 16 / copy_bytes; ++piece) {
        const i32 row = first_row + chunk * per_chunk + piece * width;
        const auto at = piece == 0 ? place[0] : source.place(clamped(source, row));
        copy_async<copy_bytes>(shared + chunk_offset<row_bytes>(slot_row(s), chunk) + piece * copy_bytes,
                               source.data + source.offset(at, step),
                               k < source.depth() && source.inside(at, step) ? valid_bytes(source.rows() - row) : 0);
      }
    }
  }

  // Element by element, each with a place of its own along the depth.
  TW_DEVICE void gather(const Source& source, i32 depth) {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      if (!has_slot(s)) continue;
#pragma unroll
      for (int i = 0; i < per_chunk; ++i) {
        const i32 k = depth + slot_chunk(s) * per_chunk + i;
        const auto step = source.step(k);
        staged[s].v[i] =
            source.left(k) > 0 && source.inside(place[s], step) ? source.data[source.offset(place[s], step)] : T{};
      }
    }
  }
};
