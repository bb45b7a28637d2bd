/** The kernels of TopkLastDim: those of the standard layer, for rows of dense tensors. */

/** Files of the kernel library that the source builds on. */
export const uses: readonly string[] = ['sort', 'selection', 'top_k'];
/** As top_k.cuh has them: elements of the edge, bytes of RowCounters. */
export const edgeLimit = 16384;
export const counterBytes: number = (4 + 2 * 2048) * 4;

/** `Problem` describes the operands; `Large` is whether large elements are better. */
export const source = `
template <typename T>
struct Problem {
  const T* input;
  T* values;
  i32* indices;
  i64 rows;
  u32 size, k;
  i64 inner;

  template <int Threads, int Width, bool Large>
  TW_DEVICE Row<Threads, Width, Large, T> elements(i64 row) const {
    return {input + (row / inner) * inner * size + row % inner, inner, size};
  }
  TW_DEVICE Best<T, i32> best(i64 row) const {
    const i64 start = (row / inner) * inner * k + row % inner;
    return {values + start, inner, indices + start, inner, k};
  }
  // A row's keys in scratch memory, where they are not sorted in shared memory.
  template <int Capacity>
  TW_DEVICE u64* keys(void* scratch, i64 row) const {
    __shared__ u64 shared[Capacity];
    return scratch ? static_cast<u64*>(scratch) + row * 2 * k : shared;
  }
};

template <int Threads, int Elements, bool Large, typename T>
__global__ void pick_rows(const T* input, T* values, i32* indices, i64 rows, u32 size, u32 k, i64 inner) {
  const Problem<T> problem{input, values, indices, rows, size, k, inner};
  const i64 row = static_cast<i64>(blockIdx.x) * (Threads / warp_size) + warp_index();
  let_successor_start();
  if (row < rows) pick_best<Elements>(problem.template elements<warp_size, 1, Large>(row), problem.best(row));
}

template <int Threads, int Group, int Padded, bool Large, typename T>
__global__ void sort_rows(const T* input, T* values, i32* indices, i64 rows, u32 size, u32 k, i64 inner) {
  constexpr int groups = Threads / Group;
  __shared__ u64 keys[groups * Padded];
  const Problem<T> problem{input, values, indices, rows, size, k, inner};
  const u32 group = threadIdx.x / Group, thread = threadIdx.x % Group;
  const i64 row = static_cast<i64>(blockIdx.x) * groups + group, known = row < rows ? row : 0;
  let_successor_start();
  sort_best<Group>(keys + group * Padded, problem.template elements<Group, 1, Large>(known), row < rows, thread,
                   problem.best(known));
}

template <int Threads, int Capacity, int Width, bool Large, typename T>
__global__ void select_rows(const T* input, T* values, i32* indices, void* scratch, i64 rows, u32 size, u32 k,
                            i64 inner) {
  const Problem<T> problem{input, values, indices, rows, size, k, inner};
  const i64 row = blockIdx.x;
  let_successor_start();
  select_best<Threads>(problem.template keys<Capacity>(scratch, row),
                       problem.template elements<Threads, Width, Large>(row), problem.best(row));
}

template <int Threads, int Tile, int Width, bool Large, typename T>
__global__ void list_tiles(const T* input, void* lists, u32 size, u32 k, i64 inner) {
  const i64 row = blockIdx.y;
  const Problem<T> problem{input, nullptr, nullptr, 0, size, k, inner};
  u64* const list = static_cast<u64*>(lists) + (row * gridDim.x + blockIdx.x) * k;
  let_successor_start();
  list_best<Tile>(list, problem.template elements<Threads, Width, Large>(row), blockIdx.x * Tile, k);
}

template <int Threads, int Capacity, bool Large, typename T>
__global__ void merge_tiles(const T* input, T* values, i32* indices, const void* lists, u32 listed, i64 rows, u32 size,
                            u32 k, i64 inner) {
  __shared__ u64 keys[Capacity];
  const Problem<T> problem{input, values, indices, rows, size, k, inner};
  const i64 row = blockIdx.x;
  let_successor_start();
  merge_best<Threads>(static_cast<const u64*>(lists) + row * listed, listed, keys,
                      problem.template elements<Threads, 1, Large>(row), problem.best(row));
}

__global__ void reset_counters(void* counters, i64 rows) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  let_successor_start();
  if (i < rows * static_cast<i64>(sizeof(RowCounters) / 4)) static_cast<u32*>(counters)[i] = 0;
}

// A block's part of a row; blocks (tiles, rows).
template <int Threads, int Tile, int Width, bool Large, typename T>
struct Part {
  Row<Threads, Width, Large, T> row;
  RowCounters& counters;
  u32 wanted, begin, end;

  TW_DEVICE Part(const T* input, void* all_counters, u32 size, u32 k, i64 inner)
      : row(Problem<T>{input, nullptr, nullptr, 0, size, k, inner}.template elements<Threads, Width, Large>(blockIdx.y)),
        counters(static_cast<RowCounters*>(all_counters)[blockIdx.y]),
        wanted(min(k, size)),
        begin(blockIdx.x * Tile),
        end(min(begin + Tile, size)) {}
};

template <int Threads, int Tile, int Width, bool Large, typename T>
__global__ void count_first(const T* input, void* counters, u32 size, u32 k, i64 inner) {
  let_successor_start();
  const Part<Threads, Tile, Width, Large, T> part(input, counters, size, k, inner);
  count_leading(part.counters, part.row, part.begin, part.end);
}

template <int Threads, int Tile, int Width, bool Large, typename T>
__global__ void count_second(const T* input, void* counters, u32 size, u32 k, i64 inner) {
  let_successor_start();
  const Part<Threads, Tile, Width, Large, T> part(input, counters, size, k, inner);
  count_following(part.counters, part.row, part.wanted, part.begin, part.end);
}

template <int Threads, int Tile, int Width, bool Large, typename T>
__global__ void collect(const T* input, void* counters, void* chosen, void* edges, u32 size, u32 k, i64 inner) {
  let_successor_start();
  const Part<Threads, Tile, Width, Large, T> part(input, counters, size, k, inner);
  collect_best(part.counters, static_cast<u64*>(chosen) + static_cast<i64>(blockIdx.y) * 2 * k,
               static_cast<u64*>(edges) + static_cast<i64>(blockIdx.y) * edge_limit, part.row, part.wanted, part.begin,
               part.end);
}

template <int Threads, int Capacity, int Width, bool Large, typename T>
__global__ void finish_rows(const T* input, T* values, i32* indices, const void* counters, void* chosen, void* edges,
                            bool in_scratch, i64 rows, u32 size, u32 k, i64 inner) {
  const Problem<T> problem{input, values, indices, rows, size, k, inner};
  const i64 row = blockIdx.x;
  let_successor_start();
  finish_best<Threads>(static_cast<const RowCounters*>(counters)[row], static_cast<u64*>(chosen) + row * 2 * k,
                       static_cast<u64*>(edges) + row * edge_limit,
                       problem.template keys<Capacity>(in_scratch ? chosen : nullptr, row),
                       problem.template elements<Threads, Width, Large>(row), problem.best(row));
}
`;
