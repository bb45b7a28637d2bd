// Deformable convolutions by mma.sync and in ordinary arithmetic.
#include "gemm.cuh"
#include "gemm/thread_sums.cuh"
#include "deform/gather.cuh"
#include "deform/product.cuh"
