// Deformable convolutions by warpgroups, Hopper only.
#include "gemm_wgmma.cuh"
#include "deform/gather.cuh"
#include "deform/warpgroups.cuh"
