/** The kernels of TopkLastDim. */

import { selection } from './selection-kernel.js';
import { vectorAccess } from './vector-access.js';

/** Elements that are told apart exactly: those that share as many digits with the last one as were counted. */
export const edgeCapacity = 16384;
/** Bytes of a row's counters: `Counters`. */
export const counterBytes: number = (4 + 2 * 2048) * 4;

/**
 * Three ways. `sort_rows`: rows that fit are sorted whole, short ones several to a block. `select_rows`, a block a row:
 * the key of the last element that counts is found digit by digit, then the first ones are sorted. Where rows are few and
 * long, many blocks do the same: `count_first` makes a histogram of the first digit, `count_second` one of the second
 * where too many share the first, `collect` lists the elements before the last one's digits, and apart from them those
 * that share these, and `finish_rows` selects among the latter and sorts.
 */
export const source: string = `${vectorAccess}${selection}
// Elements of a row, \`stride\` apart; the first of them by rank are wanted. Keys are rank, then index.
template <int Threads, int Width, bool Largest, typename T>
struct Row {
  const T* x;
  i64 stride;
  u32 size;

  TW_DEVICE Row(const T* input, i64 row, u32 elements, i64 inner)
      : x(input + (row / inner) * inner * elements + row % inner), stride(inner), size(elements) {}
  TW_DEVICE static u64 key_of(T element, u32 index) {
    const u32 rank = rising_key(element);
    return static_cast<u64>(Largest ? ~rank : rank) << 32 | index;
  }
  // take(key) for this thread's share of the elements from \`begin\`, a multiple of Width, to \`end\`.
  template <typename Take>
  TW_DEVICE void each(u32 begin, u32 end, const Take& take) const {
    constexpr int batch = 4;
    const bool aligned = is_aligned<Width>(x);
    for (u32 first = begin + threadIdx.x * Width; first < end; first += batch * Threads * Width) {
      Vec<T, Width> elements[batch];
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const u32 i = first + b * Threads * Width;
        if (i >= end) continue;
        if constexpr (Width == 1) elements[b][0] = x[i * stride];
        else elements[b] = aligned ? load_vec<Width>(x + i) : load_strided<Width>(x + i, 1);
      }
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const u32 i = first + b * Threads * Width;
        if (i >= end) continue;
#pragma unroll
        for (int v = 0; v < Width; ++v) take(key_of(elements[b][v], i + v));
      }
    }
  }
};

TW_DEVICE u32 power_of_two_from(u32 n) {
  u32 result = 2;
  while (result < n) result *= 2;
  return result;
}

// Writes what the first \`found\` keys name; of k results the others are 0, and from nowhere.
template <typename T>
TW_DEVICE void write_row(const u64* keys, u32 found, const T* x, i64 stride, T* values, i32* indices, i64 row, u32 k,
                         u32 thread, u32 threads) {
  const i64 start = (row / stride) * stride * k + row % stride;
  for (u32 i = thread; i < k; i += threads) {
    const u32 index = i < found ? static_cast<u32>(keys[i]) : 0;
    values[start + i * stride] = i < found ? x[index * stride] : convert<T>(0);
    indices[start + i * stride] = i < found ? static_cast<i32>(index) : -1;
  }
}

// Sorts the first \`found\` keys and writes what they name.
template <int Threads, typename T>
TW_DEVICE void write_sorted(u64* keys, u32 found, const T* x, i64 stride, T* values, i32* indices, i64 row, u32 k) {
  const u32 padded = power_of_two_from(found);
  for (u32 i = found + threadIdx.x; i < padded; i += Threads) keys[i] = ~u64{0};
  sort_keys<Threads>(keys, padded);
  write_row(keys, found, x, stride, values, indices, row, k, threadIdx.x, Threads);
}

template <int Threads, int Group, int Padded, bool Largest, typename T>
__global__ void sort_rows(const T* input, T* values, i32* indices, i64 rows, u32 size, u32 k, i64 inner) {
  constexpr int groups = Threads / Group;
  __shared__ u64 all_keys[groups * Padded];
  const u32 group = threadIdx.x / Group, thread = threadIdx.x % Group;
  u64* const keys = all_keys + group * Padded;
  const i64 row = static_cast<i64>(blockIdx.x) * groups + group;
  using Elements = Row<Threads, 1, Largest, T>;
  const Elements elements(input, row < rows ? row : rows - 1, size, inner);
  const u32 padded = power_of_two_from(size);
  for (u32 i = thread; i < padded; i += Group)
    keys[i] = i < size ? Elements::key_of(elements.x[i * inner], i) : ~u64{0};
  let_successor_start();
  sort_keys<Group>(keys, padded, thread);
  if (row < rows) write_row(keys, min(k, size), elements.x, inner, values, indices, row, k, thread, Group);
}

// Where a row's keys are sorted: in shared memory, or in scratch memory where it is given.
template <int Capacity>
TW_DEVICE u64* keys_of(void* scratch, i64 row, u32 k) {
  __shared__ u64 keys[Capacity];
  return scratch ? static_cast<u64*>(scratch) + row * 2 * k : keys;
}

// Puts the keys up to \`last\` behind the \`count\` that are there.
template <typename Each>
TW_DEVICE void append_up_to(u64 last, u64* keys, u32 count, const Each& each) {
  __shared__ u32 place;
  if (threadIdx.x == 0) place = count;
  __syncthreads();
  each([&](u64 key) {
    if (key <= last) keys[atomicAdd(&place, 1u)] = key;
  });
  __syncthreads();
}

template <int Threads, int Capacity, int Width, bool Largest, typename T>
__global__ void select_rows(const T* input, T* values, i32* indices, void* scratch, u32 size, u32 k, i64 inner) {
  __shared__ u32 histogram[bins];
  let_successor_start();
  const i64 row = blockIdx.x;
  u64* const keys = keys_of<Capacity>(scratch, row, k);
  const Row<Threads, Width, Largest, T> elements(input, row, size, inner);
  const auto each = [&](const auto& take) { elements.each(0, size, take); };
  const u32 found = min(k, size);
  if (found > 0) append_up_to(nth_key<Threads>(histogram, found, each), keys, 0, each);
  write_sorted<Threads>(keys, found, elements.x, inner, values, indices, row, k);
}

struct Counters {
  u32 chosen, edge, unused[2];
  u32 first[bins], second[bins];
};

// What the digits of the last element that counts are, as far as they were counted.
struct Cut {
  u64 prefix;    // of the keys of the edge
  int shift;     // of keys, to their prefixes
  u32 before;    // elements of smaller prefixes
  u32 edge;      // of the same
};

template <int Threads>
TW_DEVICE Cut cut_of(const Counters& counters, u32 k, u32 edge_limit) {
  const Bin first = find_bin<Threads>(counters.first, k);
  if (first.count <= edge_limit) return {first.index, 64 - bin_bits, first.before, first.count};
  const Bin second = find_bin<Threads>(counters.second, k - first.before);
  return {static_cast<u64>(first.index) << bin_bits | second.index, 64 - 2 * bin_bits, first.before + second.before,
          second.count};
}

__global__ void reset_counters(void* counters, i64 rows) {
  const i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  let_successor_start();
  if (i < rows * static_cast<i64>(sizeof(Counters) / 4)) static_cast<u32*>(counters)[i] = 0;
}

// Adds up in shared memory, so that few atomics go to the same place of global memory.
template <int Threads, typename Each>
TW_DEVICE void count_digits(u32* totals, int shift, u64 prefix, bool all, const Each& each) {
  __shared__ u32 histogram[bins];
  for (int i = threadIdx.x; i < bins; i += Threads) histogram[i] = 0;
  __syncthreads();
  each([&](u64 key) {
    if (all || key >> shift >> bin_bits == prefix) atomicAdd(&histogram[key >> shift & (bins - 1)], 1u);
  });
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += Threads)
    if (histogram[i] > 0) atomicAdd(&totals[i], histogram[i]);
}

template <int Threads, int Tile, int Width, bool Largest, typename T>
__global__ void count_first(const T* input, void* counters, u32 size, i64 inner) {
  let_successor_start();
  const i64 row = blockIdx.x;
  const Row<Threads, Width, Largest, T> elements(input, row, size, inner);
  const u32 begin = blockIdx.y * Tile, end = min(begin + Tile, size);
  count_digits<Threads>(static_cast<Counters*>(counters)[row].first, 64 - bin_bits, 0, true,
                        [&](const auto& take) { elements.each(begin, end, take); });
}

template <int Threads, int Tile, int Width, bool Largest, typename T>
__global__ void count_second(const T* input, void* counters, u32 size, u32 k, i64 inner, u32 edge_limit) {
  let_successor_start();
  const i64 row = blockIdx.x;
  Counters& own = static_cast<Counters*>(counters)[row];
  const Bin first = find_bin<Threads>(own.first, min(k, size));
  if (first.count <= edge_limit) return;
  const Row<Threads, Width, Largest, T> elements(input, row, size, inner);
  const u32 begin = blockIdx.y * Tile, end = min(begin + Tile, size);
  count_digits<Threads>(own.second, 64 - 2 * bin_bits, first.index, false,
                        [&](const auto& take) { elements.each(begin, end, take); });
}

template <int Threads, int Tile, int Width, bool Largest, typename T>
__global__ void collect(const T* input, void* counters, void* chosen, void* edges, u32 size, u32 k, i64 inner,
                        u32 edge_limit) {
  __shared__ u32 starts[2];
  let_successor_start();
  const i64 row = blockIdx.x;
  Counters& own = static_cast<Counters*>(counters)[row];
  const Cut cut = cut_of<Threads>(own, min(k, size), edge_limit);
  const Row<Threads, Width, Largest, T> elements(input, row, size, inner);
  const u32 begin = blockIdx.y * Tile, end = min(begin + Tile, size);
  // Better ones in the lower half, those of the edge in the upper.
  u32 mine = 0, total;
  elements.each(begin, end, [&](u64 key) {
    const u64 prefix = key >> cut.shift;
    mine += prefix < cut.prefix ? 1u : prefix == cut.prefix ? 1u << 16 : 0u;
  });
  const u32 before = block_prefix<Threads>(mine, total);
  if (total == 0) return;
  if (threadIdx.x == 0) starts[0] = atomicAdd(&own.chosen, total & 0xFFFFu);
  if (threadIdx.x == 32) starts[1] = atomicAdd(&own.edge, total >> 16);
  __syncthreads();
  u32 place = starts[0] + (before & 0xFFFFu), edge = starts[1] + (before >> 16);
  u64* const list = static_cast<u64*>(chosen) + row * 2 * k;
  u64* const edge_list = static_cast<u64*>(edges) + row * edge_limit;
  if (mine == 0) return;
  elements.each(begin, end, [&](u64 key) {
    const u64 prefix = key >> cut.shift;
    if (prefix < cut.prefix) list[place++] = key;
    if (prefix == cut.prefix && edge++ < edge_limit) edge_list[edge - 1] = key;
  });
}

template <int Threads, int Capacity, int Width, bool Largest, typename T>
__global__ void finish_rows(const T* input, T* values, i32* indices, const void* counters, void* chosen, void* edges,
                            bool sort_in_scratch, u32 size, u32 k, i64 inner, u32 edge_limit) {
  __shared__ u32 histogram[bins];
  let_successor_start();
  const i64 row = blockIdx.x;
  const u32 found = min(k, size);
  Cut cut{};
  if (found > 0) cut = cut_of<Threads>(static_cast<const Counters*>(counters)[row], found, edge_limit);
  u64* const keys = keys_of<Capacity>(sort_in_scratch ? chosen : nullptr, row, k);
  const u64* const list = static_cast<const u64*>(chosen) + row * 2 * k;
  if (!sort_in_scratch)
    for (u32 i = threadIdx.x; i < cut.before; i += Threads) keys[i] = list[i];
  const Row<Threads, Width, Largest, T> elements(input, row, size, inner);
  const auto take_from = [&](const auto& each) {
    const u32 wanted = found - cut.before;
    append_up_to(wanted == cut.edge ? ~u64{0} : nth_key<Threads>(histogram, wanted, each), keys, cut.before, each);
  };
  if (cut.edge <= edge_limit) {
    const u64* const edge_list = static_cast<const u64*>(edges) + row * edge_limit;
    take_from([&](const auto& take) {
      for (u32 i = threadIdx.x; i < cut.edge; i += Threads) take(edge_list[i]);
    });
  } else {
    take_from([&](const auto& take) {
      elements.each(0, size, [&](u64 key) {
        if (key >> cut.shift == cut.prefix) take(key);
      });
    });
  }
  write_sorted<Threads>(keys, found, elements.x, inner, values, indices, row, k);
}
`;
