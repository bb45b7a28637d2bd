// Dense products on tensor cores; operands and results as the generated text describes them.
#include "gemm/blocks.cuh"
#include "gemm/chunks.cuh"
#include "gemm/copy.cuh"
#include "gemm/prologue.cuh"
#include "gemm/tensor_core.cuh"
