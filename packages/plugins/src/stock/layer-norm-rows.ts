/** Layer normalization of rows that a plugin sums up on the fly: the kernels' text, and how many threads share a row. */

import { type Dim, type DType, type Tensor, tensorFromNumbers, readNumbers } from '@tensorwright/core';
import { floatAccess } from './float-access.js';
import { powerOfTwoFrom } from './power-of-two.js';
import { widthOf } from './vector-access.js';

/**
 * A plugin's source goes after it. `normalize_rows<V, N, Threads, Rows, E>` normalizes rows of E elements: `Threads`
 * threads (a power of two up to 32, else whole warps, one row a block) hold a row in registers, N vectors of V elements
 * each; N = 0 reads the row again instead. `source.row(i).load<V, Aligned>(column)` gives V elements of a row as floats.
 * `block` counts the blocks of rows, γ and β are aligned to vectors; with `Aligned` the source and the output are.
 */
export const layerNormRows: string = `${floatAccess}
template <int Threads>
TW_DEVICE float sum_of_row(float x) {
  if constexpr (Threads <= warp_size) return warp_reduce<Threads>(x, Sum());
  else return block_reduce<Threads>(x, Sum());
}

template <int V, bool Aligned, typename T>
TW_DEVICE void store_normalized(T* to, const Vec<float, V>& x, float inverse, const Vec<T, V>& gamma,
                                const Vec<T, V>& beta) {
  Vec<float, V> y;
#pragma unroll
  for (int v = 0; v < V; ++v) y[v] = x[v] * inverse * float(gamma[v]) + float(beta[v]);
  store_floats<Aligned>(to, y);
}

// The row in registers.
template <int V, int N, int Threads, int Rows, int E, bool Aligned, typename Source, typename T>
TW_DEVICE void normalize_held(const Source& source, i64 block, i64 rows, float epsilon, const T* gamma, const T* beta,
                              T* output) {
  const int lane = static_cast<int>(threadIdx.x) % Threads;
  const i64 own = block * Rows + static_cast<int>(threadIdx.x) / Threads;
  // Threads beyond the rows do as the last row's, but store nothing: all take part in the sums.
  const auto row = source.row(own < rows ? own : rows - 1);
  // Weights that fit are on their way with the row: rows are short, and one wait is most of the kernel's time.
  constexpr bool is_early = N * V * sizeof(T) <= 64;
  Vec<float, V> x[N];
  Vec<T, V> scale[N], shift[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int column = (n * Threads + lane) * V;
    x[n] = {};
    if (column >= E) continue;
    x[n] = row.template load<V, Aligned>(column);
    if constexpr (is_early) {
      scale[n] = load_vec<V>(gamma + column);
      shift[n] = load_vec<V>(beta + column);
    }
  }
  let_successor_start();
  float sum = 0.0f;
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int v = 0; v < V; ++v) sum += x[n][v];
  const float mean = sum_of_row<Threads>(sum) * (1.0f / E);
  float squares = 0.0f;
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      x[n][v] -= mean;
      squares += (n * Threads + lane) * V < E ? x[n][v] * x[n][v] : 0.0f;
    }
  const float inverse = rsqrtf(sum_of_row<Threads>(squares) * (1.0f / E) + epsilon);
  if (own >= rows) return;
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int column = (n * Threads + lane) * V;
    if (column >= E) continue;
    if constexpr (!is_early) {
      scale[n] = load_vec<V>(gamma + column);
      shift[n] = load_vec<V>(beta + column);
    }
    store_normalized<V, Aligned>(output + own * E + column, x[n], inverse, scale[n], shift[n]);
  }
}

// A block for a row that is too long to hold.
template <int V, int Threads, int E, bool Aligned, typename Source, typename T>
TW_DEVICE void normalize_long(const Source& source, i64 block, float epsilon, const T* gamma, const T* beta,
                              T* output) {
  const auto row = source.row(block);
  const int first = static_cast<int>(threadIdx.x) * V;
  float sum = 0.0f;
#pragma unroll 4
  for (int column = first; column < E; column += Threads * V) {
    const Vec<float, V> x = row.template load<V, Aligned>(column);
#pragma unroll
    for (int v = 0; v < V; ++v) sum += x[v];
  }
  const float mean = block_reduce<Threads>(sum, Sum()) * (1.0f / E);
  float squares = 0.0f;
#pragma unroll 4
  for (int column = first; column < E; column += Threads * V) {
    const Vec<float, V> x = row.template load<V, Aligned>(column);
#pragma unroll
    for (int v = 0; v < V; ++v) squares += (x[v] - mean) * (x[v] - mean);
  }
  const float inverse = rsqrtf(block_reduce<Threads>(squares, Sum()) * (1.0f / E) + epsilon);
  for (int column = first; column < E; column += Threads * V) {
    Vec<float, V> x = row.template load<V, Aligned>(column);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] -= mean;
    store_normalized<V, Aligned>(output + block * E + column, x, inverse, load_vec<V>(gamma + column),
                                 load_vec<V>(beta + column));
  }
}

template <int V, int N, int Threads, int Rows, int E, bool Aligned, typename Source, typename T>
TW_DEVICE void normalize_rows(const Source& source, i64 block, i64 rows, float epsilon, const T* gamma, const T* beta,
                              T* output) {
  if constexpr (N == 0) normalize_long<V, Threads, E, Aligned>(source, block, epsilon, gamma, beta, output);
  else normalize_held<V, N, Threads, Rows, E, Aligned>(source, block, rows, epsilon, gamma, beta, output);
}
`;

/** Who shares the rows: how many threads a row, and whether these are lanes of a warp or a block. */
export const rowTactics = ['warp', 'block'] as const;

export interface RowShape {
  /** Elements that are loaded as one. */
  readonly vector: number;
  /** Vectors that a thread holds; 0: it reads them again. */
  readonly held: number;
  /** Threads that share a row. */
  readonly threads: number;
  /** Rows of a block. */
  readonly rows: number;
}

/** Floats that a thread can hold beside what it works with. */
const mostHeld = 32;
/** Below so many rows, a block for each keeps the whole device at work. */
const manyRows = 1024;

/** @param size elements of a row */
export function rowShape(size: number, dtype: DType, rows: Dim, tactic: string): RowShape {
  const vector = widthOf(dtype, size);
  const vectors = size / vector;
  const inWarp = (vectors / 32) * vector <= mostHeld;
  if (inWarp && (tactic === 'warp' || vectors <= 32)) {
    const threads = Math.min(32, powerOfTwoFrom(vectors));
    const block = typeof rows === 'number' && rows < manyRows ? 32 : 128;
    return { vector, held: Math.ceil(vectors / threads), threads, rows: block / threads };
  }
  const threads = Math.min(512, Math.ceil(vectors / 32) * 32);
  const held = Math.ceil(vectors / threads);
  return { vector, held: held * vector <= mostHeld ? held : 0, threads, rows: 1 };
}

const rounded = new WeakMap<Tensor, Map<DType, Tensor>>();

/** Weights as the kernels read them: in the dtype of the rows. Made once, for tables are large. */
export function weightsFor(dtype: DType, weights: Tensor): Tensor {
  if (weights.dtype === dtype) return weights;
  const known = rounded.get(weights) ?? new Map<DType, Tensor>();
  rounded.set(weights, known);
  let found = known.get(dtype);
  if (!found) known.set(dtype, (found = tensorFromNumbers(dtype, readNumbers(weights), weights.dims)));
  return found;
}

/** `values`, rows of as many elements as γ has, normalized in place. */
export function normalizeRows(values: Float64Array, gamma: Float64Array, beta: Float64Array, epsilon: number): void {
  const size = gamma.length;
  for (let start = 0; start < values.length; start += size) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += values[start + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (values[start + i]! - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) values[start + i] = (values[start + i]! - mean) * inverse * gamma[i]! + beta[i]!;
  }
}
