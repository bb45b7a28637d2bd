// A convolution's extents and strides, as three spatial dims whatever its rank (missing outer ones are 1).
#pragma once
#include <string>

#include "base/kernel.h"

namespace tw {

struct ConvGeometry {
  int spatial = 2;                                           // of the tensors themselves
  int64_t batch = 0, groups = 1, channels = 0, outputs = 0;  // channels and outputs of one group
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, pad[3] = {0, 0, 0};  // pads at the beginnings
  int64_t x_batch = 0, x_channel = 0, x[3] = {0, 0, 0};                        // strides of the input
  int64_t y_batch = 0, y_channel = 0, y[3] = {0, 0, 0};

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t out_points() const { return out[0] * out[1] * out[2]; }
  // Every tap of every output reads inside the input.
  bool unpadded() const;
};

// What the attributes alone tell.
struct ConvAttributes {
  std::vector<int64_t> kernel, strides, dilations, pads;
  int64_t group = 1;
  std::string algorithm;
  explicit ConvAttributes(const Attributes& attributes);
};

// Checks ranks and extents against each other: throws kInvalidPlan where they cannot be a convolution of at most three
// spatial dims.
ConvGeometry conv_geometry(const ConvAttributes& attributes, const Tensor& x, const Tensor& y);

}  // namespace tw
