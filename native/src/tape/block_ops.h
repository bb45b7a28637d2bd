// The loops a tape is made of: tables of functions over blocks, one set per instruction set.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"
#include "tape/program.h"

namespace tw {

// Arguments a loop does not take are ignored; `stride` is that of strided loads (of a) and stores (of dst), in
// elements. A destination may be the very buffer of an argument of the same width.
using BlockFn = void (*)(int64_t n, void* dst, const void* a, const void* b, const void* c, int64_t stride);

constexpr int kDTypes = static_cast<int>(DType::kCount);

// Missing entries are null: operations that a type does not have.
struct BlockOps {
  BlockFn unary[kOps][kValueTypes];
  BlockFn binary[kOps][kValueTypes][3];          // 0: two blocks; 1: b is one value; 2: a is one value
  BlockFn select[kValueTypes][4];                // of dst's type; a: the mask; bit 0: b is one value, bit 1: c
  BlockFn convert[kValueTypes][kValueTypes][2];  // [to][from][saturate]; to == from copies
  BlockFn fill[kValueTypes];                     // dst from the one value a
  BlockFn narrow[kDTypes][kNarrowKinds];         // in the dtype's own domain
  BlockFn load[kDTypes][kValueTypes][2];         // [1]: strided. The dtype's own domain, and some others
  BlockFn store[kDTypes][kNarrowKinds][2];       // from the dtype's own domain
  BlockFn store_mask[2];                         // to bool
  BlockFn quantize[kDTypes][2];                  // f32 to integers of at most 16 bits, truncated and clamped
};

TW_PER_ISA(const BlockOps& block_ops(); void add_arithmetic(BlockOps& ops); void add_math(BlockOps& ops);
           void add_memory(BlockOps& ops);)

inline const BlockOps& block_ops() { return TW_SELECT_ISA(block_ops)(); }

}  // namespace tw
