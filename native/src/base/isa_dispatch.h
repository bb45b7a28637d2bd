// Reaching the per-level copies of *.simd.cpp code.
//
//   struct Loops { void (*add)(float*, const float*, int64_t); };
//   TW_PER_ISA(const Loops& loops();)                        // in the header: declares it in every level's namespace
//   namespace tw::TW_ISA_NAMESPACE { const Loops& loops() { … } }   // in the .simd.cpp
//   TW_SELECT_ISA(loops)().add(…)                            // anywhere in namespace tw: the level in use
//
// A *.simd.cpp must not instantiate shared inline functions or templates: the linker keeps one copy of those, and it
// may be the one with instructions this processor lacks. Keep helpers static or inside the level's namespace.
#pragma once
#include "base/isa.h"

#if !TW_X86
#define TW_PER_ISA(...)   \
  namespace isa_generic { \
  __VA_ARGS__             \
  }
#define TW_SELECT_ISA(function) isa_generic::function
#elif TW_BUILT_ISA_LEVEL == 0
#define TW_PER_ISA(...) \
  namespace isa_v2 {    \
  __VA_ARGS__           \
  }
#define TW_SELECT_ISA(function) isa_v2::function
#elif TW_BUILT_ISA_LEVEL == 1
#define TW_PER_ISA(...) \
  namespace isa_v2 {    \
  __VA_ARGS__           \
  }                     \
  namespace isa_avx2 {  \
  __VA_ARGS__           \
  }
#define TW_SELECT_ISA(function) (::tw::isa() >= ::tw::Isa::kAvx2 ? isa_avx2::function : isa_v2::function)
#elif TW_BUILT_ISA_LEVEL == 2
#define TW_PER_ISA(...)  \
  namespace isa_v2 {     \
  __VA_ARGS__            \
  }                      \
  namespace isa_avx2 {   \
  __VA_ARGS__            \
  }                      \
  namespace isa_avx512 { \
  __VA_ARGS__            \
  }
#define TW_SELECT_ISA(function)                             \
  (::tw::isa() >= ::tw::Isa::kAvx512 ? isa_avx512::function \
   : ::tw::isa() == ::tw::Isa::kAvx2 ? isa_avx2::function   \
                                     : isa_v2::function)
#else
#define TW_PER_ISA(...)  \
  namespace isa_v2 {     \
  __VA_ARGS__            \
  }                      \
  namespace isa_avx2 {   \
  __VA_ARGS__            \
  }                      \
  namespace isa_avx512 { \
  __VA_ARGS__            \
  }                      \
  namespace isa_amx {    \
  __VA_ARGS__            \
  }
#define TW_SELECT_ISA(function)                               \
  (::tw::isa() >= ::tw::Isa::kAmx      ? isa_amx::function    \
   : ::tw::isa() == ::tw::Isa::kAvx512 ? isa_avx512::function \
   : ::tw::isa() == ::tw::Isa::kAvx2   ? isa_avx2::function   \
                                       : isa_v2::function)
#endif
