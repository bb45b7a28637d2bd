// Instructions beside the levels of isa.h that few kernels have code for.
#pragma once
#include "base/isa.h"

namespace tw {

bool has_avx_vnni();  // the 256-bit form, from kAvx2 on
// For tests: when not allowed, neither this nor has_vnni() and has_avx512_bf16() are true (process-wide).
void limit_extensions(bool allowed);

}  // namespace tw
