// Where resize reads along one axis, and with which weights: a table of `Taps` indices and weights for every output
// element, made in double. An index of -1 in the first tap stands for the extrapolation value.

struct ResizeAxis {
  f64 input, extent, scale, begin, end;
};

enum ResizeCoordinates {
  half_pixel,
  align_corners,
  asymmetric,
  tf_crop_and_resize,
  pytorch_half_pixel,
  half_pixel_symmetric,
  tf_half_pixel_for_nn
};
enum ResizeRounding { round_prefer_floor, round_prefer_ceil, round_floor, round_ceil };

template <ResizeCoordinates Mode>
TW_DEVICE f64 original_coordinate(const ResizeAxis& a, f64 i) {
  const f64 width = a.scale * a.input;
  if constexpr (Mode == align_corners) return width == 1 ? 0 : i * (a.input - 1) / (width - 1);
  if constexpr (Mode == asymmetric) return i / a.scale;
  if constexpr (Mode == tf_crop_and_resize) {
    const f64 first = a.begin * (a.input - 1), span = (a.end - a.begin) * (a.input - 1);
    return width == 1 ? first + span / 2 : first + i * span / (width - 1);
  }
  if constexpr (Mode == pytorch_half_pixel) return width > 1 ? (i + 0.5) / a.scale - 0.5 : 0;
  if constexpr (Mode == half_pixel_symmetric) return a.input / 2 * (1 - a.extent / width) + (i + 0.5) / a.scale - 0.5;
  if constexpr (Mode == tf_half_pixel_for_nn) return (i + 0.5) / a.scale;
  return (i + 0.5) / a.scale - 0.5;
}

template <ResizeRounding Mode>
TW_DEVICE f64 nearest_coordinate(f64 x) {
  if constexpr (Mode == round_floor) return floor(x);
  if constexpr (Mode == round_ceil) return ceil(x);
  if constexpr (Mode == round_prefer_ceil) return floor(x + 0.5);
  return ceil(x - 0.5);
}

// The cubic convolution kernel of Keys.
TW_DEVICE f64 cubic_kernel(f64 distance, f64 a) {
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
  return 0;
}

TW_DEVICE i32 clamp_index(f64 i, f64 extent) { return static_cast<i32>(fmin(fmax(i, 0.0), extent - 1)); }

template <ResizeCoordinates Mode, ResizeRounding Rounding>
TW_DEVICE void nearest_sample(const ResizeAxis& a, i32 i, i32* index) {
  const f64 x = original_coordinate<Mode>(a, i);
  const bool outside = Mode == tf_crop_and_resize && (x < 0 || x > a.input - 1);
  *index = outside ? -1 : clamp_index(nearest_coordinate<Rounding>(x), a.input);
}

// Taps: 2 for linear, 4 for cubic, more where antialiasing stretches the kernel by 1 / stretch.
template <ResizeCoordinates Mode, int Taps, bool Cubic, bool ExcludeOutside>
TW_DEVICE void weigh_samples(const ResizeAxis& a, f64 stretch, f64 cubic_a, i32 i, i32* index, f32* weight) {
  const f64 x = original_coordinate<Mode>(a, i);
  // ONNX counts a whole coordinate as one step right of its left neighbour.
  const f64 left = floor(x) == x ? x - 1 : floor(x), ratio = x - left, first = left - Taps / 2 + 1;
  const auto weigh = [&](int t) {
    const f64 distance = fabs((t - Taps / 2 + 1 - ratio) * stretch);
    if (ExcludeOutside && (first + t < 0 || first + t >= a.input)) return 0.0;
    return Cubic ? cubic_kernel(distance, cubic_a) : fmax(0.0, 1 - distance);
  };
  f64 sum = 0;
  for (int t = 0; t < Taps; ++t) sum += weigh(t);
  const f64 divisor = (stretch < 1 || ExcludeOutside) && sum != 0 ? sum : 1;
  for (int t = 0; t < Taps; ++t) {
    index[t] = clamp_index(first + t, a.input);
    weight[t] = static_cast<f32>(weigh(t) / divisor);
  }
  if (Mode == tf_crop_and_resize && (x < 0 || x > a.input - 1)) index[0] = -1;
}

// To integers: half to even, and no further than their range.
template <typename T, typename Sum>
TW_DEVICE T rounded_to(Sum sum) {
  if constexpr (is_float<T>) {
    return convert<T>(sum);
  } else {
    const f64 v = rint(static_cast<f64>(sum));
    constexpr f64 span = sizeof(T) == 8 ? 18446744073709551616.0 : static_cast<f64>(u64{1} << (8 * sizeof(T) % 64));
    constexpr f64 low = is_signed<T> ? -span / 2 : 0, high = is_signed<T> ? span / 2 - 1 : span - 1;
    return v <= low ? convert<T>(low) : v >= high ? convert<T>(high) : convert<T>(v);
  }
}
