#include "kernels/contraction/word_kernels.h"
#include "kernels/contraction/word_tile.h"

namespace tw::TW_ISA_NAMESPACE {

TileKernel bfloat16_tile() { return {kWordRows<BFloat16Pairs>, run_word_tile<BFloat16Pairs>}; }

}  // namespace tw::TW_ISA_NAMESPACE
