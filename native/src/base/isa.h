// Run-time choice of instruction set. Files named *.simd.cpp are compiled once per level, with TW_ISA_NAMESPACE
// defined to the level's namespace (isa_v2, isa_avx2, isa_avx512, isa_amx; isa_generic off x86), and reached
// through tables of function pointers filled by that namespace.
#pragma once
#include <string_view>

namespace tw {

enum class Isa { kV2 = 0, kAvx2 = 1, kAvx512 = 2, kAmx = 3 };  // kV2: x86-64-v2, or plain C++ on other processors

Isa detected_isa();          // what this processor and this build can run
Isa isa();                   // the level in use: the detected one unless lowered
void limit_isa(Isa level);   // for tests: use at most this level from now on (process-wide)
std::string_view name(Isa level);
bool has_vnni();             // AVX512_VNNI beside kAvx512
bool has_avx512_bf16();

}  // namespace tw
