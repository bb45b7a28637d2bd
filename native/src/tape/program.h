// The parsed tape: typed instructions in execution order, with their places in scratch memory.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/convert.h"
#include "base/dtype.h"

namespace tw {

// The domains, and truth values: comparisons give 32-bit 0 or 1, which become 64-bit integers only where used as such.
enum class ValueType : uint8_t { kF32, kF64, kI64, kU64, kMask };
constexpr int kValueTypes = 5;
constexpr int size_of(ValueType t) { return t == ValueType::kF32 || t == ValueType::kMask ? 4 : 8; }
constexpr ValueType value_type(Domain d) { return static_cast<ValueType>(d); }

enum class Op : uint8_t {
  kIn,
  kConst,
  kConvert,
  kNarrow,
  kSelect,
  kNeg,
  kAbs,
  kSign,
  kFloor,
  kCeil,
  kRound,
  kTrunc,
  kSqrt,
  kRsqrt,
  kExp,
  kLog,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kTanh,
  kAsinh,
  kAcosh,
  kAtanh,
  kErf,
  kSigmoid,
  kReciprocal,
  kIsNan,
  kIsPosInf,
  kIsNegInf,
  kNot,
  kBitNot,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kFmod,
  kPow,
  kMin,
  kMax,
  kAnd,
  kOr,
  kXor,
  kBitAnd,
  kBitOr,
  kBitXor,
  kShl,
  kShr,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  // Not in the text: whole chains that fuse_chains() found.
  kSwish,      // x sigmoid(x)
  kClipped,    // max(low, min(high, scale x + shift))
  kGatedClip,  // x times that
  kGelu,       // 0.5 (x (erf(scale x) + 1)), or of x / scale where shift is 1
  kCount
};
constexpr int kOps = static_cast<int>(Op::kCount);

// How a value is squeezed into a dtype: an index into tables of loops.
struct NarrowKind {
  bool saturate = false;
  RoundMode round = RoundMode::kUp;
  constexpr int index() const { return static_cast<int>(round) * 2 + saturate; }
};
constexpr int kNarrowKinds = 6;

struct Instruction {
  Op op = Op::kConst;
  ValueType type = ValueType::kF32;  // of the result
  ValueType from = ValueType::kF32;  // of the arguments (of a select: of a and b)
  std::array<int, 3> args = {-1, -1, -1};
  DType dtype = DType::kFloat32;  // of a narrow
  NarrowKind kind;                // of a narrow or convert
  int operand = -1;               // of an in
  std::array<float, 4> numbers = {};  // of the chains: scale, shift, low, high
  bool constant = false;          // the value is known: Program::constants
  int last_use = -1;              // the last instruction that reads the result; the program's size if an output does
  int slot = -1;                  // which block buffer of the type's width
};

// How one output is stored: register `value` by `kind`, where the instructions before it allow more than a plain store.
struct Output {
  int value = -1;
  // The output register narrows `unnarrowed` to `dtype`: storing to that dtype does both at once.
  int unnarrowed = -1;
  bool sole_user = false;                // nothing else reads the narrowed register
  bool sole_user_of_unnarrowed = false;  // nor, but for the narrowing, the one before
  // Moreover `unnarrowed` is `quantized` (f32) converted to integers: clamping in floats does all three at once.
  int quantized = -1;
  DType dtype = DType::kFloat32;
  NarrowKind kind;
};

struct Program {
  std::vector<Instruction> instructions;
  std::vector<Output> outputs;
  std::vector<uint64_t> constants;  // per instruction, in the low bytes
  int operands = 0;
  int slots4 = 0, slots8 = 0;  // block buffers of 4- and 8-byte elements
  int block = 0;               // elements per block when buffers are used
};

Program parse_program(const std::vector<std::string>& text, const std::vector<int64_t>& results);

// Parts of parsing. Drops what no output needs, renumbering the rest.
void remove_unused(Program& program);
void fold_constants(Program& program);
// Joins chains that activations are written with, so that a block is loaded and stored once; the same bits come out.
void fuse_chains(Program& program);
// Liveness and buffers.
void allocate_slots(Program& program);

}  // namespace tw
