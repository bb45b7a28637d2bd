#include "kernels/contraction/tile.h"

#include "base/isa_extensions.h"
#include "kernels/contraction/word_kernels.h"

namespace tw {
namespace {

TileKernel bfloat16_kernel() {
#if TW_HAS_amx_tiles
  if (isa() >= Isa::kAmx) return isa_amx_tiles::bfloat16_tile();
#endif
#if TW_HAS_avx512_bf16
  if (has_avx512_bf16()) return isa_avx512_bf16::bfloat16_tile();
#endif
  return TW_SELECT_ISA(bfloat16_tile)();
}

TileKernel int8_kernel() {
#if TW_HAS_amx_tiles
  if (isa() >= Isa::kAmx) return isa_amx_tiles::int8_tile();
#endif
#if TW_HAS_avx512_vnni
  if (has_vnni()) return isa_avx512_vnni::int8_tile();
#endif
#if TW_HAS_avx_vnni
  if (has_avx_vnni() && isa() == Isa::kAvx2) return isa_avx_vnni::int8_tile();
#endif
  return TW_SELECT_ISA(int8_tile)();
}

}  // namespace

TileKernel tile_kernel(Words words) {
  switch (words) {
    case Words::kBFloat16:
      return bfloat16_kernel();
    case Words::kInt8:
      return int8_kernel();
    case Words::kFloat32:
      break;
  }
  return {tile_table().rows, tile_table().tile};
}

}  // namespace tw
