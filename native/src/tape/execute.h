// Shared by parsing and running: which loop an instruction is, and how scratch memory is divided.
#pragma once
#include "tape/block_ops.h"

namespace tw {

constexpr int kMaxBlock = 512, kMinBlock = 32;
constexpr size_t kScratchBytes = 64 * 1024;
constexpr size_t kSlotGap = 64;  // keeps buffers from falling onto the same cache sets

inline size_t slot_bytes(const Program& p, int element) {
  return static_cast<size_t>(p.block) * static_cast<size_t>(element) + kSlotGap;
}
inline size_t scratch_bytes(const Program& p) {
  return static_cast<size_t>(p.slots4) * slot_bytes(p, 4) + static_cast<size_t>(p.slots8) * slot_bytes(p, 8);
}

// `single` tells which arguments are one value: bit k for argument k. Null where there is no such loop.
inline BlockFn loop_of(const BlockOps& ops, const Instruction& i, int single) {
  const int op = static_cast<int>(i.op), from = static_cast<int>(i.from), type = static_cast<int>(i.type);
  switch (i.op) {
    case Op::kIn:
    case Op::kConst:
      return nullptr;
    case Op::kConvert:
      return ops.convert[type][from][i.kind.saturate];
    case Op::kNarrow:
      return ops.narrow[static_cast<int>(i.dtype)][i.kind.index()];
    case Op::kSelect:
      return ops.select[type][(single >> 1) & 3];
    default:
      break;
  }
  if (i.args[1] < 0) return ops.unary[op][from];
  return ops.binary[op][from][single & 2 ? 1 : single & 1 ? 2 : 0];
}

}  // namespace tw
