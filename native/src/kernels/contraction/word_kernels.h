// Where the register tiles of narrow words are: one for each level, and those of the extensions beside the levels.
#pragma once
#include "kernels/contraction/tile.h"

namespace tw {

TW_PER_ISA(TileKernel bfloat16_tile(); TileKernel int8_tile();)

namespace isa_avx512_bf16 {
TileKernel bfloat16_tile();
}
namespace isa_avx512_vnni {
TileKernel int8_tile();
}
namespace isa_avx_vnni {
TileKernel int8_tile();
}
namespace isa_amx_tiles {
TileKernel bfloat16_tile();
TileKernel int8_tile();
}

}  // namespace tw
