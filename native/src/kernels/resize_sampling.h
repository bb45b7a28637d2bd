// Where resize reads along one axis, and with which weights.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace tw {

struct ResizeRules {
  std::string mode, coordinates, nearest;
  bool antialias, exclude_outside;
  double cubic_a;
};

struct AxisSampling {
  int64_t extent;                // of the output
  int taps;                      // input elements read for each output element
  std::vector<int32_t> indices;  // taps x extent, inside the input
  std::vector<float> weights;
  std::vector<uint8_t> outside;  // extent; not 0 where the extrapolation value stands instead
};

// `scale`: output extent / input extent before rounding; `begin` and `end`: the region of interest in units of the input.
AxisSampling sample_axis(const ResizeRules& rules, int64_t input, int64_t extent, double scale, double begin, double end);

// The cubic convolution kernel of Keys with parameter a.
double cubic_kernel(double distance, double a);

}  // namespace tw
