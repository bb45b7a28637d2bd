// Updates that meet at one place have one result, whatever order the threads run in.

// Integers, least and largest: the order makes no difference, so atomics join them in the result itself.

// What a place holds before: NaN as bits that no other update replaces.
template <bool Largest>
TW_DEVICE f32 before_best(f32 value) { return value != value ? bit_cast<f32>(Largest ? 0x7FFFFFFFu : ~0u) : value; }
template <bool Largest, typename T>
TW_DEVICE T before_best(T value) { return value; }

// The bits of floats of one sign are ordered like integers, those of negative ones the other way round.
template <bool Largest, typename T>
TW_DEVICE void atomic_best(T* place, T value) {
  if constexpr (is_same<T, f32>) {
    value = before_best<Largest>(value);
    const u32 bits = bit_cast<u32>(value);
    if constexpr (Largest) {
      if (bits >> 31) atomicMin(reinterpret_cast<u32*>(place), bits);
      else atomicMax(reinterpret_cast<i32*>(place), static_cast<i32>(bits));
    } else {
      if (bits >> 31) atomicMax(reinterpret_cast<u32*>(place), bits);
      else atomicMin(reinterpret_cast<i32*>(place), static_cast<i32>(bits));
    }
  } else if constexpr (is_same<T, f16> || is_same<T, bf16>) {
    const f32 wide = value;
    atomic_update(place, [=](T old) {
      const f32 seen = old;
      return convert<T>(Largest ? maximum(seen, wide) : minimum(seen, wide));
    });
  } else if constexpr (Largest) {
    atomic_max(place, value);
  } else {
    atomic_min(place, value);
  }
}

// Sums of floats: as integers of 64 bits, which do not round. Their unit is 2^-24 for f16, of which all elements are
// multiples, or depends on the largest exponent at the place (found beforehand), so that there is room for 2^Room parts
// of that size, and 62 - Room bits for one. What is not finite sets flags.

constexpr u32 flag_nan = 1, flag_infinite = 2, flag_minus_infinite = 4;
TW_DEVICE u32 flags_of(f32 value) {
  if (value != value) return flag_nan;
  if (value - value == 0) return 0;
  return value > 0 ? flag_infinite : flag_minus_infinite;
}
TW_DEVICE f32 flagged(u32 flags) {
  if ((flags & flag_nan) || (flags & ~flag_nan) == (flag_infinite | flag_minus_infinite)) return bit_cast<f32>(0x7FC00000u);
  return bit_cast<f32>(flags & flag_infinite ? 0x7F800000u : 0xFF800000u);
}

// Four flags of every place.
TW_DEVICE void add_half(i64* sum, u32* flags, i64 place, f16 value) {
  const f32 wide = value;
  const u32 own = flags_of(wide);
  if (own) atomicOr(flags + place / 8, own << 4 * (place % 8));
  else atomic_add(sum, static_cast<i64>(wide * 16777216.0f));
}
// With the last bit set where bits are lost, so that rounding it once more, to float or less, is exact.
TW_DEVICE f64 to_odd_double(i64 x) {
  const bool large = x > (i64{1} << 53) || x < -(i64{1} << 53);
  return static_cast<f64>(large ? (x & ~i64{0x7FF}) | ((x & 0x7FF) != 0 ? 0x800 : 0) : x);
}
TW_DEVICE f16 half_sum(i64 sum, const u32* flags, i64 place, f16 before) {
  const u32 added = flags[place / 8] >> 4 * (place % 8) & 15u;
  if (sum == 0 && added == 0) return before;
  const f32 wide = before;
  const u32 all = added | flags_of(wide);
  if (all) return convert<f16>(flagged(all));
  return convert<f16>(to_odd_double(sum + static_cast<i64>(wide * 16777216.0f)) / 16777216.0);
}

constexpr u32 exponent_bits = 0x7F800000u;
TW_DEVICE u32 top_of(f32 value) { return bit_cast<u32>(value) & exponent_bits; }
TW_DEVICE void raise_top(u32* top, f32 value) {
  const u32 own = top_of(value);
  // An old value at worst asks for an atomic too many.
  if (*top < own) atomicMax(top, own);
}
// Exponents as denormals have them, too.
TW_DEVICE int exponent_of(u32 bits) { return max(static_cast<int>(bits >> 23 & 255u), 1); }
template <int Room>
TW_DEVICE i64 part_of(f32 value, u32 top) {
  const u32 bits = bit_cast<u32>(value);
  const u32 mantissa = (bits & 0x7FFFFFu) | (bits & exponent_bits ? 0x800000u : 0u);
  const int shift = exponent_of(bits) - exponent_of(top) + 38 - Room;
  i64 part;
  if (shift >= 0) part = static_cast<i64>(mantissa) << shift;
  else part = shift < -24 ? 0 : (mantissa + (1u << (-shift - 1))) >> -shift;
  return bits >> 31 ? -part : part;
}
// Where the top is not finite, the sum is flags.
template <int Room>
TW_DEVICE void add_part(i64* sum, u32 top, f32 value) {
  if (top < exponent_bits) {
    atomic_add(sum, part_of<Room>(value, top));
  } else {
    const u32 own = flags_of(value);
    if (own) atomicOr(reinterpret_cast<u64*>(sum), u64{own});
  }
}
// To be rounded once.
template <int Room>
TW_DEVICE f64 sum_of(i64 sum, u32 top, f32 before) {
  if (sum == 0) return before;
  if (top >= exponent_bits) return flagged(static_cast<u32>(sum) | flags_of(before));
  const f64 unit = bit_cast<f64>(static_cast<u64>(1023 + exponent_of(top) - 188 + Room) << 52);
  return to_odd_double(sum + part_of<Room>(before, top)) * unit;
}

// Everything else: each place has a list of its updates, put together in any order and then sorted.

// Adds update `i` to the list that begins at head.
TW_DEVICE void push_update(i32* head, i32* next, i32 i) { next[i] = atomicExch(head, i); }

// Sorts a linked list of `Most` indices at most, and at least one, in registers; -1 for longer ones, which stay as they
// are.
template <int Most>
TW_DEVICE i32 sort_few(i32 head, i32* next) {
  constexpr i32 none = 0x7FFFFFFF;
  i32 sorted[Most];
  int count = 0;
#pragma unroll
  for (int k = 0; k < Most; ++k) sorted[k] = none;
  for (; head >= 0; head = next[head]) {
    if (count++ == Most) return -1;
    i32 own = head;
#pragma unroll
    for (int k = 0; k < Most; ++k) {
      const i32 other = sorted[k];
      sorted[k] = min(other, own);
      own = max(other, own);
    }
  }
#pragma unroll
  for (int k = 0; k < Most; ++k)
    if (sorted[k] != none) next[sorted[k]] = k + 1 < Most && sorted[k + 1] != none ? sorted[k + 1] : -1;
  return sorted[0];
}

// Sorts a linked list of indices: merges runs of 1, 2, 4 … elements.
TW_DEVICE i32 sort_updates(i32 head, i32* next) {
  const i32 few = sort_few<8>(head, next);
  if (few >= 0) return few;
  for (i32 run = 1;; run *= 2) {
    i32 left = head, tail = -1, merges = 0;
    head = -1;
    while (left >= 0) {
      ++merges;
      i32 right = left, left_size = 0, right_size = run;
      while (left_size < run && right >= 0) {
        ++left_size;
        right = next[right];
      }
      while (left_size > 0 || (right_size > 0 && right >= 0)) {
        i32 taken;
        if (left_size > 0 && (right_size == 0 || right < 0 || left < right)) {
          taken = left;
          left = next[left];
          --left_size;
        } else {
          taken = right;
          right = next[right];
          --right_size;
        }
        if (tail < 0) head = taken;
        else next[tail] = taken;
        tail = taken;
      }
      left = right;
    }
    if (tail >= 0) next[tail] = -1;
    if (merges <= 1) return head;
  }
}
