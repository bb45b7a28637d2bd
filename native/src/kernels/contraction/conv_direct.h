// Convolution reading its input in place: outputs side by side read places evenly apart, so the register tile needs no
// copied rows, only one offset for each tap and channel. For kernels whose runs are too short to be worth copying.
#pragma once
#include "kernels/contraction/conv_rows.h"

namespace tw {

// Whether it is the better way, and possible.
bool prefers_direct(const ConvGeometry& geometry, ConvOrder order);
size_t conv_direct_bytes(const ConvGeometry& geometry, int threads, bool direct_output);
// `panels` are the packed weights in the given order, `group_floats` of them a group.
void run_conv_direct(ThreadPool& pool, std::byte* workspace, const ConvGeometry& geometry, ConvOrder order,
                     const float* x, const float* panels, int64_t group_floats, const Sink& sink);

}  // namespace tw
