// The register tiles of every level: widening ones, except where the level itself has products of narrow elements.
#include "kernels/contraction/word_kernels.h"
#include "kernels/contraction/word_tile.h"

namespace tw::TW_ISA_NAMESPACE {

TileKernel bfloat16_tile() { return {kWordRows<BFloat16Pairs>, run_word_tile<BFloat16Pairs>}; }
TileKernel int8_tile() { return {kWordRows<ByteQuadruples>, run_word_tile<ByteQuadruples>}; }

}  // namespace tw::TW_ISA_NAMESPACE
