// Convolution without the taps that only meet padding. A region is a box of output points from which the same taps,
// again a box, reach the input. A kernel nearly as wide as its input (dilated ones are) has most of its products there.
#pragma once
#include <vector>

#include "kernels/contraction/conv.h"
#include "kernels/contraction/conv_rows.h"

namespace tw {

struct ConvRegion {
  int64_t begin[3], size[3];          // output points
  int64_t tap_begin[3], tap_size[3];  // all zero sizes: only padding is met
  ConvGeometry geometry;              // the convolution as seen from the region's first point
  std::vector<DepthRange> ranges;     // of the sum over taps, then channels
};

// Empty where the whole convolution in one piece is the better way.
std::vector<ConvRegion> conv_regions(const ConvGeometry& geometry);

size_t conv_regions_bytes(const std::vector<ConvRegion>& regions, int threads, bool direct_output);
// `weights` are those that the sum over taps, then channels, is packed for. Inputs and y as conv_sink() has them.
void run_conv_regions(ThreadPool& pool, std::byte* workspace, const std::vector<ConvRegion>& regions, const Epilogue& epilogue, const PanelSource& weights,
                      std::span<const Tensor> inputs, const Tensor& y);

}  // namespace tw
