// What a graph fills with one value, done by kernels. The device is given a run of kernels at once, whatever their number; a
// node that fills memory ends it, and costs the host two microseconds of every start. Libraries have many: cuDNN clears a
// counter of four bytes before most of its convolutions.
#pragma once
#include <memory>

#include "cuda/device.h"

namespace tw::cuda {

// Leaves alone what is large, graphs that allocate, and all where the driver compiles no PTX.
void replace_fills(const std::shared_ptr<CudaDevice>& device, GraphHandle graph);

}  // namespace tw::cuda
