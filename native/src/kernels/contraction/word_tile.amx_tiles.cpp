#include "kernels/contraction/amx_word_tile.h"
#include "kernels/contraction/word_kernels.h"

namespace tw::TW_ISA_NAMESPACE {

TileKernel bfloat16_tile() { return {kAmxRows, run_amx_tile<BFloat16Pairs>, leave_tiles}; }
TileKernel int8_tile() { return {kAmxRows, run_amx_tile<ByteQuadruples>, leave_tiles}; }

}  // namespace tw::TW_ISA_NAMESPACE
