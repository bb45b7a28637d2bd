// Dense products by warpgroups, Hopper only: TMA fills a ring of stages, wgmma empties it.
#include "gemm/blocks.cuh"
#include "gemm/chunks.cuh"
#include "gemm/wgmma_result.cuh"
#include "gemm/row_moments.cuh"
#include "gemm/wgmma_prologue.cuh"
#include "gemm/wgmma.cuh"
