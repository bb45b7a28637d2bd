/** Rotates queries and keys of a token in one launch. */

import { floatAccess } from './float-access.js';

/**
 * `rotate_heads<V, D, R, Interleaved, HeadsFirst, Lanes, Slots, Turns>`: a block for a token and Slots · Turns of its heads
 * of D elements, of which the first R turn. Lanes threads share a head; each keeps the cosines and sines of its elements
 * for all its turns. Heads of the query come first, then those of the key.
 */
export const rotarySource: string = `${floatAccess}
// What a thread turns: vectors of the first half with those of the second, or vectors of pairs side by side.
template <int V, int R, bool Interleaved, int Lanes>
struct Share {
  static constexpr int half = R / 2;
  static constexpr int extent = Interleaved ? R : half;
  static constexpr int count = ceil_div(extent, Lanes * V);
  static constexpr int angles = Interleaved ? V / 2 : V;
  static constexpr int parts = Interleaved ? 1 : 2;
};

template <int V, bool Interleaved, bool Aligned, typename T, int Parts, int A>
TW_DEVICE void store_turned(T* to, int half, const Vec<T, V> (&x)[Parts], const Vec<float, A>& cos,
                            const Vec<float, A>& sin) {
  Vec<float, V> y[Parts];
  if constexpr (Interleaved) {
#pragma unroll
    for (int v = 0; v < V; v += 2) {
      y[0][v] = x[0][v] * cos[v / 2] - x[0][v + 1] * sin[v / 2];
      y[0][v + 1] = x[0][v] * sin[v / 2] + x[0][v + 1] * cos[v / 2];
    }
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      y[0][v] = x[0][v] * cos[v] - x[1][v] * sin[v];
      y[1][v] = x[0][v] * sin[v] + x[1][v] * cos[v];
    }
  }
#pragma unroll
  for (int part = 0; part < Parts; ++part) store_floats<Aligned>(to + part * half, y[part]);
}

template <int V, int D, int R, bool Interleaved, bool HeadsFirst, int Lanes, int Slots, int Turns, bool Aligned,
          typename T, typename C>
TW_DEVICE void rotate_token(const T* query, const T* key, const C* cos_row, const C* sin_row, T* rotated_query,
                            T* rotated_key, int query_heads, int key_heads, i64 sample, int place, int length) {
  using S = Share<V, R, Interleaved, Lanes>;
  const int lane = static_cast<int>(threadIdx.x) % Lanes, slot = static_cast<int>(threadIdx.x) / Lanes;
  const T* from[Turns];
  T* to[Turns];
#pragma unroll
  for (int t = 0; t < Turns; ++t) {
    const int head = (static_cast<int>(blockIdx.y) * Turns + t) * Slots + slot;
    const bool is_key = head >= query_heads;
    const i64 heads = is_key ? key_heads : query_heads, own = is_key ? head - query_heads : head;
    const i64 row = HeadsFirst ? (sample * heads + own) * length + place : (sample * length + place) * heads + own;
    from[t] = head < query_heads + key_heads ? (is_key ? key : query) + row * D : nullptr;
    to[t] = (is_key ? rotated_key : rotated_query) + row * D;
  }
  // All loads first: the compiler moves none over a store.
  Vec<float, S::angles> cos[S::count], sin[S::count];
  Vec<T, V> x[Turns][S::count][S::parts];
#pragma unroll
  for (int n = 0; n < S::count; ++n) {
    const int i = (n * Lanes + lane) * V;
    if (i >= S::extent) continue;
    if (cos_row) {
      cos[n] = load_floats<Aligned, S::angles>(cos_row + (Interleaved ? i / 2 : i));
      sin[n] = load_floats<Aligned, S::angles>(sin_row + (Interleaved ? i / 2 : i));
    } else {
#pragma unroll
      for (int v = 0; v < S::angles; ++v) cos[n][v] = 1.0f, sin[n][v] = 0.0f;
    }
#pragma unroll
    for (int t = 0; t < Turns; ++t)
#pragma unroll
      for (int part = 0; part < S::parts; ++part)
        if (from[t]) x[t][n][part] = load_elements<Aligned, V>(from[t] + part * S::half + i);
  }
#pragma unroll
  for (int t = 0; t < Turns; ++t) {
    if (!from[t]) continue;
#pragma unroll
    for (int n = 0; n < S::count; ++n) {
      const int i = (n * Lanes + lane) * V;
      if (i < S::extent) store_turned<V, Interleaved, Aligned>(to[t] + i, S::half, x[t][n], cos[n], sin[n]);
    }
    constexpr int rest = (D - R) % V == 0 ? V : 1;
    for (int i = R + lane * rest; i < D; i += Lanes * rest)
      store_elements<Aligned>(to[t] + i, load_elements<Aligned, rest>(from[t] + i));
  }
}

template <int V, int D, int R, bool Interleaved, bool HeadsFirst, int Lanes, int Slots, int Turns, typename T,
          typename C, typename P>
__global__ void rotate_heads(const T* query, const T* key, const P* position_ids, bool has_offset, const C* cos,
                             const C* sin, T* rotated_query, T* rotated_key, int query_heads, int key_heads, int length,
                             int positions) {
  const u32 token = blockIdx.x;
  const u32 sample = token / static_cast<u32>(length);
  const int place = static_cast<int>(token - sample * length);
  i64 position = has_offset ? static_cast<i64>(position_ids[0]) + place : static_cast<i64>(position_ids[token]);
  position = position < 0 ? 0 : position < positions ? position : positions - 1;
  // Without any position nothing turns.
  const C *const cos_row = positions > 0 ? cos + position * (R / 2) : nullptr, *const sin_row = sin + position * (R / 2);
  constexpr int A = Share<V, R, Interleaved, Lanes>::angles;
  const bool aligned = D % V == 0 && is_aligned<V>(query) && is_aligned<V>(key) && is_aligned<V>(rotated_query) &&
                       is_aligned<V>(rotated_key) && is_aligned<A>(cos) && is_aligned<A>(sin);
  if (aligned)
    rotate_token<V, D, R, Interleaved, HeadsFirst, Lanes, Slots, Turns, true>(
        query, key, cos_row, sin_row, rotated_query, rotated_key, query_heads, key_heads, sample, place, length);
  else
    rotate_token<V, D, R, Interleaved, HeadsFirst, Lanes, Slots, Turns, false>(
        query, key, cos_row, sin_row, rotated_query, rotated_key, query_heads, key_heads, sample, place, length);
}`;
