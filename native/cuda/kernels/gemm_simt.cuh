// Dense products in ordinary arithmetic; operands and results as the generated text describes them.
#include "gemm/blocks.cuh"
#include "gemm/thread_sums.cuh"
#include "gemm/simt.cuh"
