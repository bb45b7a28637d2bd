// Reading images at positions between their elements: regions of interest, grids, displaced taps.

// The two neighbours of a position along an axis and its distance from the lower one; at the far border they are one.
struct Neighbours {
  i32 low, high;
  f32 fraction;
};
TW_DEVICE Neighbours neighbours(f32 position, i32 extent) {
  const f32 p = fmaxf(position, 0.0f);
  const i32 low = static_cast<i32>(floorf(p));
  if (low >= extent - 1) return {extent - 1, extent - 1, 0.0f};
  return {low, low + 1, p - static_cast<f32>(low)};
}

// C's rounding: half away from zero.
TW_DEVICE f32 round_away(f32 v) { return v < 0 ? -floorf(0.5f - v) : floorf(v + 0.5f); }

enum GridMode { grid_nearest, grid_linear, grid_cubic };
enum GridPadding { grid_zeros, grid_border, grid_reflection };

// A coordinate reflected at the borders until it lies between them.
TW_DEVICE f64 reflected(f64 at, f64 low, f64 high) {
  const f64 range = high - low;
  if (range <= 0) return low;
  const f64 beyond = at < low ? low - at : at > high ? at - high : 0;
  if (beyond == 0) return at;
  const f64 turns = floor(beyond / range), rest = beyond - turns * range;
  const bool even = fmod(turns, 2.0) == 0;
  return (at < low) == even ? low + rest : high - rest;
}

// From a grid's -1 … 1 to elements; the grid may lead outside of the image.
template <GridMode Mode, GridPadding Padding, bool AlignCorners>
TW_DEVICE f32 grid_position(f64 at, i32 extent) {
  const f64 scaled = AlignCorners ? (at + 1) / 2 * (extent - 1) : ((at + 1) * extent - 1) / 2;
  f32 position = static_cast<f32>(scaled);
  if constexpr (Mode == grid_nearest) position = rintf(position);
  const f32 low = AlignCorners ? 0.0f : -0.5f, high = AlignCorners ? extent - 1.0f : extent - 0.5f;
  if (position >= low && position <= high) return position;
  if constexpr (Padding == grid_border && Mode == grid_cubic) {
    // What no integer holds counts as -1, as ONNX Runtime has it.
    if (!(fabsf(position) < 9223372036854775808.0f)) return low;
    // Cubic kernels keep their place and meet the border tap by tap: from here on, with all taps.
    return fminf(fmaxf(position, -2.0f), extent + 1.0f);
  }
  if constexpr (Padding == grid_border) return fminf(fmaxf(position, 0.0f), extent - 1.0f);
  if constexpr (Padding == grid_reflection) return static_cast<f32>(reflected(position, low, high));
  return position;
}

// The element that a tap reads; -1 for none.
template <GridPadding Padding, bool AlignCorners>
TW_DEVICE i32 grid_index(i32 i, i32 extent) {
  if (i >= 0 && i < extent) return i;
  if constexpr (Padding == grid_zeros) return -1;
  if constexpr (Padding == grid_border) return i < 0 ? 0 : extent - 1;
  const f64 at = AlignCorners ? reflected(i, 0, extent - 1) : reflected(i, -0.5, extent - 0.5);
  return min(max(static_cast<i32>(at), 0), extent - 1);
}

template <GridMode Mode>
TW_DEVICE f32 grid_weight(f32 distance) {
  if constexpr (Mode == grid_nearest) return 1.0f;
  if constexpr (Mode == grid_linear) return 1.0f - distance;
  constexpr f32 a = -0.75f;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
  return 0.0f;
}
