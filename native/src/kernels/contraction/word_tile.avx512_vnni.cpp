#include "kernels/contraction/word_kernels.h"
#include "kernels/contraction/word_tile.h"

namespace tw::TW_ISA_NAMESPACE {

TileKernel int8_tile() { return {kWordRows<ByteQuadruples>, run_word_tile<ByteQuadruples>}; }

}  // namespace tw::TW_ISA_NAMESPACE
