// A transposed convolution as ordinary ones. The outputs that lie a stride apart read the same subset of taps, evenly
// spaced, so each such phase is a convolution at stride 1 over the reversed subset, written to every stride-th output.
#pragma once
#include <vector>

#include "kernels/contraction/conv_geometry.h"
#include "kernels/contraction/sink.h"

namespace tw {

struct ConvPhase {
  ConvGeometry geometry;    // of the phase; kernel extents may be 0: no tap meets these outputs
  int64_t first[3];         // its first output in each spatial dim
  int64_t tap[3], step[3];  // its last tap (the first of the reversed kernel), and the way to the next, negative
};

// All phases of `whole`, whose extents, kernel, strides, dilations and pads are those of the transposed convolution
// (channels of x and outputs of y in each group). The order is fixed: packed weights rely on it.
std::vector<ConvPhase> conv_phases(const ConvGeometry& whole);

// The phase's share of the output and of the side operands (inputs from the fourth on).
Sink phase_sink(const ConvGeometry& whole, const ConvPhase& phase, const Epilogue& epilogue,
                std::span<const Tensor> inputs, const Tensor& y);

}  // namespace tw
